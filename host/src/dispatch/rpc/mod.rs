//! One RPC method of an app, for all callers: what [`atoll_port::exchange`] does, over JSON-RPC by HTTP.

pub(crate) mod server;

pub(crate) use atoll_port::exchange::{call, from_problem};
