//! Apps that are axum routers.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request as HttpRequest;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::http::request::Request;
use crate::http::ws::Message;
use crate::protocol::Start;
use crate::test::TestApp;

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/echo", post(async |body: Bytes| body))
        .route("/stream", post(async |request: HttpRequest| Body::new(request.into_body())))
        .route("/panics", get(async || -> () { panic!("no reef") }))
        .route("/later", get(async || tokio::spawn(async { "in its own time" }).await.unwrap()))
        .route("/socket", get(socket))
}

/// A WebSocket as axum's own extractor makes one.
async fn socket(headers: HeaderMap, mut request: HttpRequest) -> Response {
    if !headers.contains_key("sec-websocket-key") {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let connection = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.to_text().is_ok_and(|text| text == "leave") {
                let frame = CloseFrame { code: 4000.into(), reason: "as you said".into() };
                socket.close(Some(frame)).await.unwrap();
            } else if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "websocket")]).into_response()
}

#[test]
fn functions_of_every_kind_make_an_app() {
    async fn later() -> Router {
        router()
    }
    async fn fails(_: Start) -> Result<Router, String> {
        Err("no database".to_owned())
    }
    fn with_runtime() -> Router {
        // As `#[tokio::main]` makes of an `async fn`.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { router() })
    }
    assert_eq!(TestApp::new(with_runtime).get("/").text(), "hello");
    assert_eq!(TestApp::new(router).get("/").text(), "hello");
    assert_eq!(TestApp::new(|_: Start| Ok::<_, String>(router())).get("/").text(), "hello");
    assert_eq!(TestApp::new(later).get("/").text(), "hello");
    assert_eq!(TestApp::builder(fails).start().unwrap_err().message(), "no database");
}

#[test]
fn the_runtime_is_that_of_the_setting() {
    use crate::test::MultiThread;

    async fn blocks() -> String {
        // It panics on a runtime with one thread.
        tokio::task::block_in_place(|| format!("{:?}", tokio::runtime::Handle::current().runtime_flavor()))
    }
    fn app() -> Router {
        Router::new().route("/blocks", get(blocks))
    }
    async fn later(start: Start) -> Result<Router, String> {
        if start.multi_thread { Ok(app()) } else { Err("it has one thread".to_owned()) }
    }
    let asked = |app: &TestApp| app.get("/blocks").text().into_owned();
    assert_eq!(asked(&TestApp::new(MultiThread(app))), "MultiThread");
    assert_eq!(asked(&TestApp::new(MultiThread(|| Ok::<_, String>(app())))), "MultiThread");
    assert_eq!(asked(&TestApp::new(MultiThread(async || app()))), "MultiThread");
    let many = TestApp::new(MultiThread(later)).reload();
    assert_eq!(asked(&many), "MultiThread");
    let failed = many.reload_as(app).get("/blocks");
    assert_eq!(failed.status(), 500);
    let why = "can call blocking only when running on the multi-threaded runtime";
    assert!(failed.text().contains(why), "{}", failed.text());
}

#[test]
fn bodies_errors_and_tasks_are_as_in_a_host() {
    let app = TestApp::new(router);
    let large = vec![7; 1_000_000];
    assert!(app.send(Request::post("/echo").body(large.clone())).body() == large);
    let mut echo = app.upload(Request::post("/stream"));
    echo.send("one");
    assert_eq!(echo.chunk().unwrap().unwrap(), "one".into());
    echo.send("two");
    assert_eq!(echo.into_response().text(), "two");
    assert_eq!(app.get("/later").text(), "in its own time");
    let panicked = app.get("/panics");
    assert_eq!(panicked.status(), 500);
    assert!(panicked.json::<Value>().unwrap()["detail"].as_str().unwrap().ends_with("panicked: no reef"));
    assert_eq!(app.reload().get("/").text(), "hello");
}

#[test]
fn trailers_come_and_go() {
    let app = TestApp::new(router);
    let mut echo = app.upload(Request::post("/stream"));
    echo.send("one");
    assert_eq!(echo.chunk().unwrap().unwrap(), "one".into());
    assert_eq!(echo.trailer("x-late"), None);
    echo.end_with([("X-Late", "café"), ("x-more", "1"), ("content-length", "7")]);
    assert!(echo.chunk().is_none());
    let trailers = ["x-late", "X-More", "content-length"].map(|name| echo.trailer(name));
    assert_eq!(trailers, [Some("café".to_owned()), Some("1".to_owned()), None]);

    // With no data at all.
    let mut echo = app.upload(Request::post("/stream"));
    echo.end_with([("x-late", "1")]);
    assert!(echo.chunk().is_none());
    assert_eq!((echo.status(), echo.trailer("x-late").as_deref()), (200, Some("1")));
    // What waits for all of a body has no use for them.
    let mut whole = app.upload(Request::post("/echo"));
    whole.send("text");
    whole.end_with([("x-late", "1")]);
    assert_eq!(whole.into_response().text(), "text");
}

#[test]
fn a_websocket_that_the_service_opens_has_two_ends() {
    let app = TestApp::new(router);
    let mut socket = app.websocket("/socket");
    socket.send_text("hello");
    assert_eq!(socket.receive(), Some(Message::text("hello")));
    socket.send(Message::binary(vec![1; 300_000]));
    assert_eq!(socket.receive(), Some(Message::binary(vec![1; 300_000])));
    socket.send(Message::Ping("p".into()));
    assert_eq!(socket.receive(), Some(Message::Pong("p".into())));
    socket.send_text("leave");
    assert_eq!(socket.receive(), Some(Message::Close(4000, "as you said".to_owned())));
    assert_eq!(socket.receive(), None);
    app.websocket("/socket").close(1000, "");
    assert_eq!(app.get("/socket").status(), 426);

    let mut left = app.websocket("/socket");
    let _app = app.reload();
    assert_eq!(left.receive(), Some(Message::Close(1012, String::new())));
}
