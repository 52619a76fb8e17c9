//! The smallest Atoll app.

use atoll_plugin::prelude::*;

fn app() -> Application {
    Application::new()
        .get("/greet/{name}", |req: Request| Response::json(req.params()))
        .all("/{*path}", |_: Request| Response::json(json!({ "hello": "serverless world!" })))
}
atoll_plugin::export_app!(app);
