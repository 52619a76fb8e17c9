//! What nearly every app uses: `use atoll_plugin::prelude::*;`.
//!
//! A type that derives `Serialize` or `Deserialize` must name their crate, because an app does not need its own `serde`
//! dependency:
//!
//! ```
//! use atoll_plugin::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! #[serde(crate = "atoll_plugin::serde")]
//! struct Point { x: i32, y: i32 }
//!
//! let app = Application::new().post("/flip", |req: Request| -> Result<_, Error> {
//!     let Point { x, y } = req.json()?;
//!     log::debug!("flipping {x}, {y}");
//!     Ok(Json(Point { x: y, y: x }))
//! });
//! let response = app.oneshot(Request::post("/flip").json(json!({ "x": 1, "y": 2 })));
//! assert_eq!(response.body_bytes(), br#"{"x":2,"y":1}"#);
//! ```

pub use log;
pub use serde::{Deserialize, Serialize};
pub use serde_json::json;

pub use crate::http::body::Body;
pub use crate::http::handler::streamed;
pub use crate::http::outcome::Json;
pub use crate::http::request::Request;
pub use crate::http::response::Response;
pub use crate::protocol::Start;
pub use crate::worker::application::Application;
pub use atoll_protocol::Error;
