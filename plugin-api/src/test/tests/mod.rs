use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::stream;
use serde_json::Value;

use super::TestApp;
use crate::http::sse::Event;
use crate::http::ws::{Message, WebSocket};
use crate::prelude::*;
use crate::{Host, RpcError, abi::Exit, protocol::code};

/// Tells when it is dropped.
struct Guard(mpsc::Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        // A test that has failed does not listen.
        let _ = self.0.send("dropped");
    }
}

const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn panics(work: impl FnOnce()) -> String {
    crate::abi::panic::catch(work).expect_err("it is to panic")
}

#[test]
fn a_handler_sees_what_a_host_sends() {
    let app = TestApp::builder(|| {
        Application::new().all("/{*path}", |req: Request| {
            let headers: Vec<_> = req.headers().map(|(name, value)| format!("{name}: {value}")).collect();
            let deadline = req.deadline().is_some();
            Json(json!([
                req.prefix(),
                req.path(),
                req.peer(),
                req.request_id(),
                headers,
                deadline,
                req.text().ok()
            ]))
        })
    })
    .name("seen")
    .start()
    .unwrap();
    let first: Value = app.send(Request::post("/a?b").header("X", "1").body("body")).json().unwrap();
    let headers = json!(["x: 1", "host: localhost", "content-length: 4", "x-request-id: test-1"]);
    assert_eq!(first, json!(["/apps/seen", "/a", "127.0.0.1:40000", "test-1", headers, true, "body"]));
    let second = app.get("/").json::<Value>().unwrap();
    assert_eq!(second[3], "test-2");
}

#[test]
fn errors_and_panics_are_answers_with_their_texts() {
    let app = TestApp::new(|| {
        Application::new()
            .get("/refuses", |_: Request| Err::<(), _>(Error::new(409, "not now")))
            .get("/fails", |_: Request| Err::<(), _>(Error::new(503, "no coral")))
            .get("/panics", |_: Request| -> &'static str { panic!("no reef") })
            .get("/panics-later", async |_: Request| -> &'static str { panic!("no tide") })
    });
    for (path, status, text) in [
        ("/refuses", 409, "not now"),
        ("/fails", 503, "no coral"),
        ("/panics", 500, "no reef"),
        ("/panics-later", 500, "no tide"),
        ("/nowhere", 404, ""),
    ] {
        let answer = app.get(path);
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
        let problem: Value = answer.json().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(text), "{problem}");
    }
    assert_eq!(app.stop(), Exit::Stopped);
}

#[test]
fn settings_and_the_state_are_in_the_start() {
    let app =
        TestApp::builder(|start: Start| Application::new().get("/", move |_: Request| Json(json!(start))))
            .name("set")
            .env("A", "1")
            .config(json!({ "b": 2 }))
            .state([3])
            .body_limit(5)
            .start()
            .unwrap();
    let start: Start = app.get("/").json().unwrap();
    assert_eq!((start.app.as_str(), start.env["A"].as_str(), start.body_limit), ("set", "1", 5));
    assert_eq!((start.config, start.state), (json!({ "b": 2 }), Some(json!([3]))));
}

#[test]
fn an_app_that_does_not_start_says_why() {
    let error = TestApp::builder(|| Err::<Application, _>("no database")).start().unwrap_err();
    assert_eq!((error.code(), error.message()), (code::START_FAILED, "no database"));
    let panicked = || -> Application { panic!("no reef") };
    let error = TestApp::builder(panicked).start().unwrap_err();
    assert_eq!((error.code(), error.message()), (code::HANDLER_PANICKED, "no reef"));
    let text = panics(|| drop(TestApp::new(panicked)));
    assert!(text.starts_with("the app failed to start: no reef"), "{text}");
    let other = TestApp::builder(Application::new).other_app("b", panicked).start().unwrap_err();
    assert_eq!(other.message(), "the other app `b` failed to start: no reef");
}

#[test]
fn large_bodies_come_and_go_in_pieces() {
    let app = TestApp::builder(|| {
        Application::new()
            .post("/whole", |req: Request| Response::bytes(req.into_body()))
            .post("/streamed", streamed(|req: Request| Response::bytes(req.body_stream())))
            .post("/ignored", streamed(|_: Request| (413, "too much")))
    })
    .body_limit(3 << 20)
    .start()
    .unwrap();
    let large: Vec<u8> = (0..2_000_000_u32).map(|n| n as u8).collect();
    for path in ["/whole", "/streamed"] {
        assert!(app.send(Request::post(path).body(large.clone())).body() == large, "{path}");
    }
    assert_eq!(app.send(Request::post("/ignored").body(large)).status(), 413);
    assert_eq!(app.send(Request::post("/whole").body(vec![0; 4 << 20])).status(), 413);
}

#[test]
fn an_upload_that_fails_is_told_so() {
    let (seen, sees) = mpsc::channel();
    let app = TestApp::new(move || {
        let seen = seen.clone();
        Application::new().post(
            "/",
            streamed(async move |req: Request| {
                let mut body = req.body_stream();
                while let Some(chunk) = body.chunk().await {
                    let chunk = chunk.map(|chunk| chunk.to_vec()).map_err(|error| error.message().to_owned());
                    seen.send(chunk).unwrap();
                }
            }),
        )
    });
    let mut upload = app.upload(Request::post("/"));
    upload.send("half");
    upload.fail("the client left");
    assert_eq!(sees.recv_timeout(SOON), Ok(Ok(b"half".to_vec())));
    assert_eq!(sees.recv_timeout(SOON), Ok(Err("the client left".to_owned())));
    assert_eq!(upload.status(), 404);
}

#[test]
fn a_client_that_leaves_ends_its_handler() {
    let (drops, dropped) = mpsc::channel();
    let app = TestApp::new(move || {
        let drops = drops.clone();
        Application::new().get("/", move |_: Request| {
            let guard = Guard(drops.clone());
            Response::events(stream::unfold((guard, 0), async |(guard, n)| {
                if n > 0 {
                    std::future::pending::<()>().await;
                }
                Some((Event::data("first"), (guard, n + 1)))
            }))
        })
    });
    let mut events = app.stream("/");
    assert_eq!(events.event(), Some(Event::data("first")));
    assert!(dropped.try_recv().is_err());
    drop(events);
    assert_eq!(dropped.recv_timeout(SOON), Ok("dropped"));
}

#[test]
fn a_stream_that_breaks_is_not_taken_for_whole() {
    let app = TestApp::new(|| {
        Application::new().get("/", |_: Request| {
            let pieces = [Ok("one"), Err(Error::internal("the disk is gone"))];
            Response::bytes(Body::stream(stream::iter(pieces)))
        })
    });
    let mut answer = app.stream("/");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.chunk().unwrap().unwrap(), "one".into());
    assert_eq!(answer.chunk().unwrap().unwrap_err().message(), "the disk is gone");
    assert!(answer.chunk().is_none());
    let text = panics(|| drop(app.get("/")));
    assert!(text.contains("is incomplete: the disk is gone"), "{text}");
}

async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.receive().await {
        match message {
            Message::Text(text) if text == "leave" => return socket.close(4000, "as you said"),
            Message::Text(text) if text == "panic" => panic!("told to"),
            Message::Close(code, reason) => {
                log::info!("closed with {code} {reason}");
                return;
            }
            Message::Pong(_) | Message::Ping(_) => {}
            message => socket.send(message).await.unwrap(),
        }
    }
}

fn echoes() -> Application {
    Application::new().get("/echo", |req: Request| req.websocket(echo)).on_save(|| Ok("saved")).on_restore(
        |state: String| {
            log::info!("restored {state}");
            Ok(())
        },
    )
}

#[test]
fn a_websocket_has_two_ends() {
    let app = TestApp::new(echoes);
    let mut socket = app.websocket("/echo");
    socket.send_text("hello");
    assert_eq!(socket.receive(), Some(Message::text("hello")));
    socket.send(Message::binary(vec![0; 1 << 20]));
    socket.send(Message::binary(vec![1; 1 << 20]));
    assert_eq!(socket.receive(), Some(Message::binary(vec![0; 1 << 20])));
    assert_eq!(socket.receive(), Some(Message::binary(vec![1; 1 << 20])));
    socket.send(Message::Ping("p".into()));
    assert_eq!(socket.receive(), Some(Message::Pong("p".into())));
    socket.send_text("leave");
    assert_eq!(socket.receive(), Some(Message::Close(4000, "as you said".to_owned())));
    assert_eq!(socket.receive(), None);

    let mut socket = app.websocket("/echo");
    socket.send_text("panic");
    assert_eq!(socket.receive(), Some(Message::Close(1011, "the app failed".to_owned())));
    app.websocket("/echo").close(3000, "bye");
    assert_eq!(app.log()[0].1, "closed with 3000 bye");
    assert_eq!(app.try_websocket("/nowhere").unwrap_err().status(), 404);
    let text = panics(|| drop(app.get("/nowhere-else").json::<Value>().map(|_| app.websocket("/nowhere"))));
    assert!(text.contains("no WebSocket was opened, got 404"), "{text}");
}

#[test]
fn what_has_no_end_is_ended_by_a_reload() {
    let app = TestApp::new(|| {
        echoes().get("/events", |_: Request| {
            Response::events(stream::once(std::future::ready(Event::data("1"))).chain_pending())
        })
    });
    let (mut socket, mut events) = (app.websocket("/echo"), app.stream("/events"));
    assert_eq!(events.event(), Some(Event::data("1")));
    let app = app.reload();
    assert_eq!(socket.receive(), Some(Message::Close(1012, "the app is being replaced".to_owned())));
    assert_eq!(events.event(), None);
    assert_eq!(app.log()[0].1, "restored saved");
    drop(app.websocket("/echo"));
}

/// A stream that does not end with what it has.
trait ChainPending: futures_util::Stream + Sized {
    fn chain_pending(self) -> impl futures_util::Stream<Item = Self::Item> {
        futures_util::StreamExt::chain(self, stream::pending())
    }
}

impl<S: futures_util::Stream> ChainPending for S {}

#[test]
fn a_state_that_is_not_saved_is_a_cold_start() {
    let app = TestApp::new(|start: Start| {
        Application::new()
            .on_save(|| Err::<(), _>(Error::internal("busy")))
            .get("/", move |_: Request| Json(json!([start.generation, start.state])))
    });
    assert_eq!(app.save().unwrap_err().message(), "busy");
    let app = app.reload();
    assert_eq!(app.get("/").text(), "[2,null]");
    assert!(app.log()[0].1.contains("without the state of the previous generation: busy"), "{:?}", app.log());
}

#[test]
fn the_next_version_gets_the_state_of_this_one() {
    let app = TestApp::new(|| Application::new().on_save(|| Ok(json!({ "count": 7 }))));
    let app = app
        .reload_as(|start: Start| Application::new().get("/", move |_: Request| Json(start.state.clone())));
    assert_eq!(app.get("/").text(), r#"{"count":7}"#);
    let text = panics(|| drop(app.reload_as(|| Err::<Application, _>("not ready"))));
    assert!(text.contains("generation 3 failed to start: not ready"), "{text}");
}

#[test]
fn a_generation_without_a_state_finishes_what_it_has() {
    let app = TestApp::new(|start: Start| {
        let generation = start.generation.to_string();
        Application::new().post(
            "/",
            streamed(async move |req: Request| -> Result<String, Error> {
                Ok(format!("{generation}: {}", req.body_stream().collect(100).await?.len()))
            }),
        )
    });
    let mut upload = app.upload(Request::post("/"));
    upload.send("four");
    let app = app.reload();
    assert_eq!(app.send(Request::post("/")).text(), "2: 0");
    assert_eq!(upload.into_response().text(), "1: 4");
}

#[test]
fn a_config_that_does_not_fit_is_no_start() {
    let app = |start: Start| {
        let names = start.config_as::<Vec<String>>()?;
        Ok::<_, Error>(Application::new().get("/", move |_: Request| Json(names.clone())))
    };
    let fits = TestApp::builder(app).config(json!(["a"])).start().unwrap();
    assert_eq!(fits.get("/").text(), r#"["a"]"#);
    let error = TestApp::builder(app).config(json!({ "a": 1 })).start().unwrap_err().to_string();
    assert!(
        error.contains("cannot deserialize the setting `config`: invalid type: map, expected a sequence"),
        "{error}"
    );
}

#[test]
fn methods_are_called_with_their_errors() {
    let app = TestApp::new(|| {
        Application::new()
            .method("add", |(a, b): (u32, u32)| Ok::<_, Error>(a + b))
            .method("later", async |(): ()| Err::<(), _>(RpcError::new(7, "no").with_data("x")))
            .method("panics", |(): ()| -> Result<(), Error> { panic!("no reef") })
    });
    assert_eq!(app.call::<_, u32>("add", (1, 2)), Ok(3));
    assert_eq!(app.call::<_, ()>("later", ()), Err(RpcError::new(7, "no").with_data("x")));
    let code = |name, params: Value| app.call::<_, Value>(name, params).unwrap_err().code();
    assert_eq!(code("panics", Value::Null), code::HANDLER_PANICKED);
    assert_eq!(code("add", json!(["a"])), code::INVALID_PARAMS);
    assert_eq!(code("stop", Value::Null), code::METHOD_NOT_FOUND);
    assert_eq!(code("nothing", Value::Null), code::METHOD_NOT_FOUND);
    assert!(app.call::<_, bool>("add", (1, 2)).unwrap_err().message().contains("it is 3"));
}

async fn asks(req: Request) -> Result<Response, Error> {
    let (host, app) = (Host::current(), req.query().to_owned());
    let sum: Result<u32, _> = host.call(&app, "add", (1, 2)).await;
    let page = host.fetch(&app, Request::post("/page").header("x", "y").body("body")).await;
    let page = page.map(|page| (page.status(), page.text().into_owned(), page.header("z").is_some()));
    let text = |error: RpcError| (error.code(), error.message().to_owned());
    Ok(Response::json(json!([sum.map_err(text), page.map_err(text)])))
}

#[test]
fn other_apps_are_called() {
    let other = || {
        Application::new().method("add", |(a, b): (u32, u32)| Ok::<_, Error>(a + b)).post(
            "/page",
            |req: Request| {
                let text = format!(
                    "{} {} {:?} {:?}",
                    req.prefix(),
                    req.text().unwrap(),
                    req.header("x"),
                    req.peer()
                );
                Response::text(text).status(201).header("z", "1")
            },
        )
    };
    let refuses = || Application::new().post("/page", |_: Request| Err::<(), _>(Error::new(409, "not now")));
    let panics = || Application::new().post("/page", |_: Request| -> &'static str { panic!("no reef") });
    let app = TestApp::builder(|| Application::new().get("/", asks))
        .other_app("other", other)
        .other_app("refuses", refuses)
        .other_app("panics", panics)
        .start()
        .unwrap();
    // Over a reload, too.
    let app = app.reload();
    let ask = |name: &str| app.get(&format!("/?{name}")).json::<Value>().unwrap();
    let page = r#"/apps/other body Some("y") None"#;
    assert_eq!(ask("other"), json!([{ "Ok": 3 }, { "Ok": [201, page, true] }]));
    let refused = ask("refuses");
    assert_eq!((&refused[0]["Err"][0], &refused[1]["Ok"][0]), (&json!(code::METHOD_NOT_FOUND), &json!(409)));
    assert_eq!(ask("panics")[1]["Err"], json!([code::HANDLER_PANICKED, "no reef"]));
    assert_eq!(ask("nobody")[0]["Err"][0], code::UNAVAILABLE);
    assert_eq!(ask("test")[0]["Err"][0], code::CALL_CYCLE);
}

#[test]
fn a_call_that_is_not_waited_for_is_cancelled() {
    let (drops, dropped) = mpsc::channel();
    let other = move || {
        let waits = |drops: &mpsc::Sender<_>| {
            let guard = Guard(drops.clone());
            async move {
                guard.0.send("asked").unwrap();
                std::future::pending::<Result<(), Error>>().await
            }
        };
        let (fetched, called) = (drops.clone(), drops.clone());
        Application::new()
            .get("/", move |_: Request| waits(&fetched))
            .method("wait", move |(): ()| waits(&called))
    };
    let app = TestApp::builder(|| {
        Application::new()
            .get("/fetch", async |_: Request| -> Result<&'static str, Error> {
                Host::current().fetch("other", Request::get("/")).await?;
                Ok("answered")
            })
            .get("/call", async |_: Request| -> Result<&'static str, Error> {
                Host::current().call::<()>("other", "wait", ()).await?;
                Ok("answered")
            })
    })
    .other_app("other", other)
    .start()
    .unwrap();
    for path in ["/fetch", "/call"] {
        let asks = app.stream(path);
        assert_eq!(dropped.recv_timeout(SOON), Ok("asked"), "{path}");
        drop(asks);
        assert_eq!(dropped.recv_timeout(SOON), Ok("dropped"), "{path}");
    }
}

#[test]
fn no_wait_is_without_an_end() {
    let app = TestApp::builder(|| {
        Application::new()
            .get("/never", async |_: Request| std::future::pending::<()>().await)
            .get("/endless", |_: Request| Response::events(stream::pending()))
            .get("/unfinished", |_: Request| {
                Response::bytes(Body::stream(stream::pending::<Result<Vec<u8>, Error>>()))
            })
            .post(
                "/deaf",
                streamed(async |req: Request| {
                    let _body = req.body_stream();
                    std::future::pending::<()>().await;
                }),
            )
            .method("never", async |(): ()| std::future::pending::<Result<(), Error>>().await)
            .on_save(|| Ok(1))
    })
    .deadline(Duration::from_millis(200))
    .start()
    .unwrap();
    let begun = Instant::now();
    let text = panics(|| drop(app.get("/never")));
    assert_eq!(text, "the app `test` did not answer within 200ms");
    let text = panics(|| drop(app.get("/endless")));
    assert!(
        text.contains("did not end its answer (read one that has no end with `TestApp::stream`)"),
        "{text}"
    );
    let text = panics(|| _ = app.stream("/endless").event());
    assert!(text.contains("did not send anything more within 200ms"), "{text}");
    let text = panics(|| app.upload(Request::post("/deaf")).send(vec![0; 1 << 20]));
    assert!(text.contains("did not take more of the request's body within 200ms"), "{text}");
    assert_eq!(app.call::<_, ()>("never", ()).unwrap_err().code(), code::DEADLINE_EXCEEDED);
    // Its head ends the request's own deadline.
    let mut open = app.stream("/unfinished");
    assert_eq!(open.status(), 200);
    let text = panics(|| drop(app.reload()));
    assert!(text.contains("cannot be reloaded: after 200ms, 1 requests are still open"), "{text}");
    drop(open);
    assert!(begun.elapsed() < SOON);
}

#[test]
fn a_thread_that_does_not_end_fails_its_test() {
    let (release, released) = mpsc::channel::<()>();
    let (begins, begun) = mpsc::channel();
    let released = std::sync::Arc::new(std::sync::Mutex::new(released));
    let app = TestApp::builder(move || {
        let (released, begins) = (released.clone(), begins.clone());
        Application::new().get("/", move |_: Request| {
            begins.send(()).unwrap();
            _ = released.lock().unwrap().recv_timeout(SOON);
        })
    })
    .deadline(Duration::from_millis(100))
    .start()
    .unwrap();
    let blocked = app.stream("/");
    begun.recv_timeout(SOON).unwrap();
    let text = panics(|| drop(app));
    assert!(text.contains("did not exit within 100ms: a handler blocks it"), "{text}");
    drop((blocked, release));
}

#[test]
fn many_clients_share_a_worker() {
    let app = TestApp::new(|| {
        let (count, log) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
        Application::new().post("/", move |req: Request| {
            count.set(count.get() + 1);
            log.borrow_mut().push(req.text().unwrap().to_owned());
            Json(count.get())
        })
    });
    let mut counts: Vec<u32> = std::thread::scope(|scope| {
        let client =
            || (0..50).map(|_| app.send(Request::post("/").body("x")).json().unwrap()).collect::<Vec<_>>();
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    counts.sort_unstable();
    assert_eq!(counts, (1..=200).collect::<Vec<_>>());
}

#[test]
fn a_head_has_no_body_and_a_main_is_an_app() {
    let app = TestApp::new(|| Application::new().get("/", |_: Request| "text"));
    let head = app.send(Request::builder().method("HEAD"));
    assert_eq!((head.status(), head.body()), (200, &b""[..]));

    let main = |_: Start, port: crate::Port| loop {
        match port.receive(None) {
            crate::Event::Message(message) => match crate::Call::parse(message).unwrap() {
                call if call.method() == "leave" => return Exit::Returned,
                call if call.method() == "stop" => return Exit::Stopped,
                call => {
                    let id = call.id().unwrap();
                    port.send(&crate::protocol::Response::result(id, call.method()), Vec::new()).unwrap();
                }
            },
            crate::Event::Closed => return Exit::Stopped,
            _ => {}
        }
    };
    let app = TestApp::new(main);
    assert_eq!(app.call::<_, String>("what", ()).unwrap(), "what");
    assert_eq!(app.call::<_, String>("leave", ()).unwrap_err().code(), code::INTERNAL_ERROR);
    assert_eq!(app.get("/").status(), 503);
    assert_eq!(app.stop(), Exit::Returned);
}

#[cfg(feature = "tower")]
mod tower;
