//! One request or call through an app, whatever it came by.

pub(crate) mod admission;
pub(crate) mod app_calls;
pub(crate) mod app_index;
pub mod exchange;
pub(crate) mod problem;
pub(crate) mod routes;
pub(crate) mod rpc;
