//! An app that greets, as an axum router.

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

#[derive(Serialize)]
struct Greeting {
    hello: String,
}

async fn app() -> Router {
    Router::new()
        .route("/", get(async || "hello, world\n"))
        .route("/greet/{name}", get(greet))
}
atoll_plugin::export_app!(app);

async fn greet(Path(hello): Path<String>) -> Json<Greeting> {
    Json(Greeting { hello })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn it_greets_by_name() {
        let request = Request::get("/greet/reef").body(Body::empty()).unwrap();
        let response = app().await.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), 1024).await.unwrap();
        let greeting: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(greeting, json!({ "hello": "reef" }));
    }

    #[tokio::test]
    async fn other_paths_are_not_found() {
        let request = Request::get("/nowhere").body(Body::empty()).unwrap();
        let response = app().await.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
