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
    use atoll_plugin::test::TestApp;

    use super::*;

    #[test]
    fn it_greets_by_name() {
        let response = TestApp::new(app).get("/greet/reef");
        assert_eq!(response.status(), 200);
        assert_eq!(response.text(), r#"{"hello":"reef"}"#);
    }

    #[test]
    fn other_paths_are_not_found() {
        assert_eq!(TestApp::new(app).get("/nowhere").status(), 404);
    }
}
