//! What a worker runs: an application in its event loop, and the calls that it makes.

pub(crate) mod app;
pub(crate) mod application;
pub(crate) mod background;
pub(crate) mod event_loop;
pub(crate) mod host;
pub(crate) mod pipeline;
pub(crate) mod rpc;
pub(crate) mod task;
pub(crate) mod work;
