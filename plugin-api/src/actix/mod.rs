//! Programs written for actix-web as apps.
//!
//! actix-web's services are bound to their thread and have types of `http` 0.2, so that they are no `tower` services by
//! themselves; [`service`] makes one of an `actix_web::App`. It runs as every `tower` service does: on a current-thread runtime of
//! the worker, as in a worker of actix-web's own server.
//!
//! ```
//! use actix_web::{App, Responder, get, web};
//! use atoll_plugin::actix;
//!
//! #[get("/greet/{name}")]
//! async fn greet(name: web::Path<String>) -> impl Responder {
//!     format!("hello, {name}\n")
//! }
//!
//! async fn app() -> Result<actix::Service, actix::InitError> {
//!     actix::service(App::new().service(greet)).await
//! }
//! atoll_plugin::export_app!(app);
//! ```

mod payload;
mod request;
mod response;
mod service;
mod upgrade;

pub use response::{ResponseBody, ResponseBodyError};
pub use service::{InitError, Service, service};
