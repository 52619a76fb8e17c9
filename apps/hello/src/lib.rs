//! The smallest Atoll app.

use atoll_plugin::prelude::*;

fn app() -> Application {
    Application::new()
        .get("/greet/{name}", |req: Request| Response::json(req.params()))
        .all("/{*path}", |_: Request| Response::json(json!({ "hello": "serverless world!" })))
}
atoll_plugin::export_app!(app);

#[cfg(test)]
mod tests {
    use atoll_plugin::serde_json::Value;
    use atoll_plugin::test::TestApp;

    use super::*;

    #[test]
    fn it_greets_by_name() {
        let app = TestApp::new(app);
        let greeting = app.get("/greet/tobe");
        assert_eq!(greeting.status(), 200);
        assert_eq!(greeting.json::<Value>().unwrap(), json!({ "name": "tobe" }));
    }

    #[test]
    fn it_greets_whoever_asks_for_anything_else() {
        let app = TestApp::new(app);
        for request in [Request::get("/"), Request::delete("/greet"), Request::post("/a/b?c").body("d")] {
            let greeting: Value = app.send(request).json().unwrap();
            assert_eq!(greeting, json!({ "hello": "serverless world!" }));
        }
    }
}
