//! An app that greets.

use atoll_plugin::prelude::*;

fn app() -> Application {
    Application::new()
        .get("/", |_: Request| "hello, world\n")
        .get("/greet/{name}", greet)
}
atoll_plugin::export_app!(app);

fn greet(req: Request) -> Response {
    let name = req.param("name").unwrap_or("world");
    Response::json(json!({ "hello": name }))
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
