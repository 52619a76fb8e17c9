//! The router of the benches as an app.

pub mod router;

atoll_plugin::export_app!(router::router);
