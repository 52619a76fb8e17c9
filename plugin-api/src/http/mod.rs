//! HTTP as an app sees it: requests, responses, bodies and streams of them, and the routes to handlers.

pub(crate) mod body;
pub(crate) mod extensions;
pub(crate) mod handler;
pub(crate) mod header;
pub(crate) mod outcome;
pub(crate) mod params;
pub(crate) mod pattern;
pub(crate) mod payload;
pub(crate) mod request;
pub(crate) mod request_builder;
pub(crate) mod response;
pub(crate) mod routes;
pub mod sse;
pub(crate) mod stream;
pub mod ws;
