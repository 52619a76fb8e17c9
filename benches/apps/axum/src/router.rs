//! An axum router. This file is part of an app, and of the server that the app is compared with.

use axum::body::Body;
use axum::extract::Path;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// The parameters of the route, and the answer.
#[derive(Debug, Deserialize, Serialize)]
struct Greeting {
    name: String,
}

async fn greet(Path(greeting): Path<Greeting>) -> Json<Greeting> {
    Json(greeting)
}

/// Sends the body back, piece by piece as it comes.
async fn echo(body: Body) -> Body {
    Body::from_stream(body.into_data_stream())
}

/// `GET /greet/{name}` and `POST /echo`.
pub fn router() -> Router {
    Router::new().route("/greet/{name}", get(greet)).route("/echo", post(echo))
}
