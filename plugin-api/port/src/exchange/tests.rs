//! Exchanges with a worker that the tests play themselves.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderMap;
use atoll_protocol::abi::{Buffer, Message, Received};
use atoll_protocol::{
    ErrorObject, Header, HttpRequest, HttpResponse, HttpVersion, INITIAL_CREDIT, Response, WsKind, code,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use serde_json::{Value, json};
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::websocket::{self, Closed, WebSocketClient};
use super::{Answered, BodyPart, RequestBody, ResponseBody, Target, call, http, pace};
use crate::call_context::CallContext;
use crate::call_sink::{CallSink, OutgoingCall};
use crate::generation::{Generation, InFlight, Requests, Workers};
use crate::in_process::port_to_thread;
use crate::port::Limits;
use crate::problem::{Problem, ProblemKind};
use crate::timing::RequestTiming;
use crate::warnings::{WarningKind, Warnings};
use crate::worker_end::WorkerEnd;
use crate::{buffer, message, to_json};

/// An app takes part in these tests by its port only.
#[derive(Debug)]
struct Outside;

impl Warnings for Outside {
    fn warn(self: Arc<Self>, _: WarningKind, what: &dyn Display) {
        panic!("{what}");
    }
}

impl CallSink for Outside {
    fn accept(&self, _: OutgoingCall) {
        panic!("there are no other apps");
    }
}

struct OneGeneration {
    workers: Workers,
    requests: Requests,
}

impl Generation for OneGeneration {
    fn requests(&self) -> &Requests {
        &self.requests
    }

    fn workers(&self) -> &Workers {
        &self.workers
    }

    fn number(&self) -> u64 {
        3
    }

    fn note_incomplete(&self, _: &str) {}
}

/// An app whose generations serve one after the other, when they are waited for.
struct App {
    generations: Vec<Arc<OneGeneration>>,
    ends: Vec<Arc<WorkerEnd>>,
    serving: Cell<usize>,
    deadline: Duration,
}

impl App {
    fn new(generations: usize, deadline: Duration) -> Self {
        let limits = Limits { queue: 8, calls: 8, message: 1 << 20 };
        let (warnings, calls): (Arc<dyn Warnings>, Arc<dyn CallSink>) =
            (Arc::new(Outside), Arc::new(Outside));
        let one = |_| {
            let (port, end) = port_to_thread("app".into(), limits, warnings.clone(), calls.clone());
            let workers = Workers::new([port]);
            (Arc::new(OneGeneration { workers, requests: Requests::default() }), end)
        };
        let (generations, ends) = (0..generations).map(one).unzip();
        Self { generations, ends, serving: Cell::new(0), deadline }
    }

    fn worker(&self, generation: usize) -> Worker {
        Worker(self.ends[generation].clone())
    }
}

impl Target for App {
    type Generation = OneGeneration;

    fn name(&self) -> &str {
        "app"
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn head_limit(&self) -> usize {
        64
    }

    fn body_limit(&self) -> usize {
        1 << 20
    }

    fn shows_details(&self) -> bool {
        true
    }

    fn log_failure(&self, _: impl FnOnce() -> String) {}

    fn enter(&self) -> Option<Result<InFlight<OneGeneration>, Problem>> {
        InFlight::enter(&self.generations[self.serving.get()]).map(Ok)
    }

    async fn wait(&self) -> Result<(), Problem> {
        if self.serving.get() + 1 == self.generations.len() {
            return Err(Problem::new(ProblemKind::Unavailable, "there is no other generation"));
        }
        self.serving.set(self.serving.get() + 1);
        Ok(())
    }

    fn note_answer(&self, _: &OneGeneration, _: Option<RequestTiming>) {}
}

/// The worker's end of a port.
struct Worker(Arc<WorkerEnd>);

impl Worker {
    /// The next message, with its first buffer; what is to be done meanwhile is done.
    async fn receive(&self) -> (Value, Option<Buffer>) {
        let mut received = Message::default();
        loop {
            match self.0.receive(Some(Duration::ZERO), &mut received) {
                Received::Message => break,
                _ => yield_now().await,
            }
        }
        (serde_json::from_slice(&received.json).unwrap(), received.transfer.take(0))
    }

    /// The next message of this method, and its parameters.
    async fn expect(&self, method: &str) -> (u64, Value, Option<Buffer>) {
        let (mut message, buffer) = self.receive().await;
        assert_eq!(message["method"], method, "{message}");
        let params = message["params"].take();
        (message["id"].as_u64().unwrap_or_default(), params, buffer)
    }

    fn send(&self, json: Vec<u8>, transfer: Vec<Buffer>) {
        assert!(self.0.send(message(json, transfer)));
    }

    fn answer(&self, id: u64, result: Value, transfer: Vec<Buffer>) {
        self.send(to_json(&Response::result(id, result)), transfer);
    }

    fn notify(&self, method: &str, params: Value, transfer: Vec<Buffer>) {
        self.send(to_json(&json!({ "jsonrpc": "2.0", "method": method, "params": params })), transfer);
    }
}

fn request() -> HttpRequest<'static> {
    HttpRequest {
        method: "POST".into(),
        path: "/".into(),
        query: "".into(),
        prefix: "".into(),
        headers: Vec::new(),
        peer: None,
        request_id: "1".into(),
        traceparent: None,
        version: HttpVersion::default(),
        deadline_ms: None,
        body: None,
    }
}

fn context() -> CallContext {
    CallContext::new("1", None)
}

fn read(
    _: Answered<'_, OneGeneration>,
    head: HttpResponse<'_>,
    body: ResponseBody<OneGeneration>,
) -> (u16, ResponseBody<OneGeneration>) {
    (head.status, body)
}

/// Sends the app a request.
async fn send(app: &App, body: RequestBody) -> Result<(u16, ResponseBody<OneGeneration>), Problem> {
    http(app, request(), body, context(), read).await
}

const MINUTE: Duration = Duration::from_secs(60);

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    LocalSet::new().block_on(&runtime.unwrap(), work);
}

#[test]
fn a_request_and_its_answer_are_whole() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let works = async {
            let (id, params, body) = worker.expect("http").await;
            assert_eq!((&params["body"], &*body.unwrap()), (&json!({ "transfer": 0 }), &b"to the app"[..]));
            assert_eq!(params["deadline_ms"], 60_000);
            let text = buffer::from_vec(b"to the client".to_vec());
            worker.answer(id, json!({ "status": 201, "headers": [], "body": { "transfer": 0 } }), vec![text]);
        };
        let body = Bytes::from_static(b"to the app").into();
        let (answer, ()) = tokio::join!(send(&app, body), works);
        let Ok((201, ResponseBody::Whole(bytes))) = answer else { panic!("{:?}", answer.err()) };
        assert_eq!(bytes, "to the client");
        assert_eq!(app.generations[0].requests.in_flight(), 0);
    });
}

#[test]
fn an_upload_stops_where_the_credit_ends() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let body = stream::iter((0..40).map(|_| Ok(BodyPart::Data(Bytes::from(vec![7; 16 * 1024])))));
        let works = async {
            let (id, params, _) = worker.expect("http").await;
            assert_eq!(params["body"], json!({ "stream": true }));
            let mut came = 0;
            while came < INITIAL_CREDIT as usize {
                came += worker.expect("body.chunk").await.2.unwrap().len();
            }
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(worker.0.receive(Some(Duration::ZERO), &mut Message::default()), Received::TimedOut);
            worker.notify("body.credit", json!({ "id": id, "bytes": INITIAL_CREDIT }), Vec::new());
            while came < 30 * 16 * 1024 {
                came += worker.expect("body.chunk").await.2.unwrap().len();
            }
            worker.notify("body.credit", json!({ "id": id, "bytes": INITIAL_CREDIT }), Vec::new());
            while came < 40 * 16 * 1024 {
                came += worker.expect("body.chunk").await.2.unwrap().len();
            }
            worker.expect("body.end").await;
            worker.answer(id, json!({ "status": 200, "headers": [] }), Vec::new());
        };
        let (answer, ()) =
            tokio::join!(send(&app, RequestBody::Stream(Box::pin(body), pace::BODY_TIMEOUT)), works);
        assert!(matches!(answer, Ok((200, ResponseBody::Whole(bytes))) if bytes.is_empty()));
    });
}

#[test]
fn a_download_grants_credit_and_ends_with_its_app() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let works = async {
            let (id, ..) = worker.expect("http").await;
            worker.answer(
                id,
                json!({ "status": 200, "headers": [], "body": { "stream": true } }),
                Vec::new(),
            );
            worker.notify("body.chunk", json!({ "id": id }), vec![buffer::from_vec(vec![1; 200_000])]);
            let (_, granted, _) = worker.expect("body.credit").await;
            assert!(granted["bytes"].as_u64().unwrap() >= 200_000);
            worker.notify("body.error", json!({ "id": id, "message": "the disk is gone" }), Vec::new());
        };
        let reads = async {
            let Ok((200, ResponseBody::Stream(mut download))) = send(&app, RequestBody::None).await else {
                panic!("a stream follows");
            };
            assert_eq!(download.next().await.unwrap().unwrap().len(), 200_000);
            assert_eq!(download.next().await.unwrap().unwrap_err().to_string(), "the disk is gone");
            assert!(download.next().await.is_none());
        };
        tokio::join!(reads, works);
    });
}

/// The trailers of an answer whose app ends it with these.
async fn answered_with(trailers: Value) -> (Result<(), String>, Option<HeaderMap>) {
    let app = App::new(1, MINUTE);
    let worker = app.worker(0);
    let works = async {
        let (id, ..) = worker.expect("http").await;
        let head = json!({ "status": 200, "headers": [], "body": { "stream": true } });
        worker.answer(id, head, Vec::new());
        worker.notify("body.end", json!({ "id": id, "trailers": trailers }), Vec::new());
    };
    let reads = async {
        let Ok((200, ResponseBody::Stream(mut download))) = send(&app, RequestBody::None).await else {
            panic!("a stream follows");
        };
        assert_eq!(download.take_trailers(), None, "they come with the end");
        let end = download.next().await.map_or(Ok(()), |error| Err(error.unwrap_err().to_string()));
        assert!(download.next().await.is_none());
        (end, download.take_trailers())
    };
    tokio::join!(reads, works).0
}

#[test]
fn trailers_come_with_the_end() {
    run(async {
        let (end, trailers) =
            answered_with(json!([["Grpc-Status", "0"], ["te", "x"], ["x", "caf\u{e9}"]])).await;
        let trailers = trailers.unwrap();
        let all: Vec<_> = trailers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!((end, all), (Ok(()), vec![("grpc-status", &b"0"[..]), ("x", b"caf\xe9")]));
        assert_eq!(answered_with(json!([])).await, (Ok(()), None));

        let (end, trailers) = answered_with(json!([["x", "1\n"]])).await;
        assert_eq!((end.unwrap_err().as_str(), trailers), ("invalid value of the trailer `x`", None));
        let (end, trailers) = answered_with(json!([["x", "1".repeat(64)]])).await;
        let why = "the trailers have 69 bytes, more than head_limit = 64";
        assert_eq!((end.unwrap_err().as_str(), trailers), (why, None));
    });
}

#[test]
fn trailers_of_a_request_come_with_the_end() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let trailers = vec![Header::new("x-sum", "7"), Header::new("Content-Length", "1")];
        let parts = [BodyPart::Data("text".into()), BodyPart::Trailers(trailers)];
        let works = async {
            let (id, ..) = worker.expect("http").await;
            assert_eq!(&*worker.expect("body.chunk").await.2.unwrap(), b"text");
            let end = worker.expect("body.end").await.1;
            assert_eq!(end, json!({ "id": id, "trailers": [["x-sum", "7"]] }));
            worker.answer(id, json!({ "status": 200, "headers": [] }), Vec::new());
        };
        let body = RequestBody::Stream(Box::pin(stream::iter(parts.map(Ok))), pace::BODY_TIMEOUT);
        let (answer, ()) = tokio::join!(send(&app, body), works);
        assert!(matches!(answer, Ok((200, ResponseBody::Whole(bytes))) if bytes.is_empty()));
    });
}

#[test]
fn a_request_that_is_dropped_is_cancelled() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let mut asks = Box::pin(send(&app, RequestBody::None));
        assert!((&mut asks).now_or_never().is_none());
        let (id, ..) = worker.expect("http").await;
        drop(asks);
        assert_eq!(worker.expect("cancel").await.1, json!({ "id": id }));
        assert_eq!(app.generations[0].requests.in_flight(), 0);
    });
}

#[test]
fn the_deadline_ends_a_request() {
    run(async {
        let app = App::new(1, Duration::from_millis(20));
        let late = send(&app, RequestBody::None).await.map(|_| ()).unwrap_err();
        assert_eq!(late.kind(), ProblemKind::DeadlineExceeded);
        assert_eq!(late.taken().map(|taken| taken.generation), Some(3));
        let silent = RequestBody::Stream(Box::pin(stream::pending()), pace::BODY_TIMEOUT);
        let late = send(&app, silent).await.map(|_| ()).unwrap_err();
        assert_eq!(late.kind(), ProblemKind::RequestTimeout, "the client has not sent its body");
    });
}

#[test]
fn a_request_that_no_worker_had_goes_to_the_next_generation() {
    run(async {
        let app = App::new(2, MINUTE);
        let mut asks = Box::pin(send(&app, RequestBody::None));
        assert!((&mut asks).now_or_never().is_none());
        app.generations[0].workers.close();
        let worker = app.worker(1);
        let works = async {
            let (id, ..) = worker.expect("http").await;
            worker.answer(id, json!({ "status": 204, "headers": [] }), Vec::new());
        };
        let (answer, ()) = tokio::join!(asks, works);
        assert!(matches!(answer, Ok((204, _))));
        // One that it had may have taken effect.
        let mut asks = Box::pin(send(&app, RequestBody::None));
        assert!((&mut asks).now_or_never().is_none());
        worker.expect("http").await;
        app.generations[1].workers.close();
        assert_eq!(asks.await.map(|_| ()).unwrap_err().kind(), ProblemKind::BadGateway);
        assert_eq!(
            send(&app, RequestBody::None).await.map(|_| ()).unwrap_err().kind(),
            ProblemKind::Unavailable
        );
    });
}

#[test]
fn failures_are_problems_with_their_reasons() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let long = "x".repeat(64);
        let head = Response::result(0, json!({ "status": 200, "headers": [["x", long]] }));
        let error = |code, message: &str| json!({ "error": ErrorObject { code, message: message.to_owned().into(), data: None } });
        for (answer, kind, detail) in [
            (error(code::HANDLER_PANICKED, "no reef"), ProblemKind::AppPanicked, "panicked: no reef"),
            (error(code::HANDLER_FAILED, "no tide"), ProblemKind::AppError(500), "failed: no tide"),
            (error(code::BODY_TOO_LARGE, ""), ProblemKind::BodyTooLarge, "body_limit = 1048576 bytes"),
            (json!({ "result": "ok" }), ProblemKind::BadGateway, "did not return a valid HTTP response"),
            (json!(head), ProblemKind::BadGateway, "more than head_limit = 64"),
        ] {
            let works = async {
                let (id, ..) = worker.expect("http").await;
                let mut answer = answer;
                answer["jsonrpc"] = "2.0".into();
                answer["id"] = id.into();
                worker.send(to_json(&answer), Vec::new());
            };
            let (answer, ()) = tokio::join!(send(&app, RequestBody::None), works);
            let problem = answer.map(|_| ()).unwrap_err();
            assert_eq!(problem.kind(), kind);
            assert!(problem.detail().contains(detail), "{problem}");
        }
    });
}

#[test]
fn a_call_has_a_result_or_an_error() {
    run(async {
        let app = App::new(1, Duration::from_millis(50));
        let worker = app.worker(0);
        let works = async {
            let (id, params, _) = worker.expect("add").await;
            worker.answer(id, json!(params[0].as_u64().unwrap() + params[1].as_u64().unwrap()), Vec::new());
        };
        let (result, ()) = tokio::join!(call(&app, "add", [1, 2], context(), |_| ()), works);
        assert_eq!(result.unwrap().get(), "3");
        let failed = async |name| call(&app, name, (), context(), |_| ()).await.unwrap_err().code;
        assert_eq!(failed("http").await, code::METHOD_NOT_FOUND, "it is the protocol's");
        assert_eq!(failed("never").await, code::DEADLINE_EXCEEDED);
        app.generations[0].workers.close();
        assert_eq!(failed("add").await, code::UNAVAILABLE);
    });
}

/// A client that has sent some messages, and keeps what it gets.
struct Client {
    sends: VecDeque<Result<(WsKind, Bytes), Closed>>,
    gets: tokio::sync::mpsc::UnboundedSender<String>,
}

impl WebSocketClient for Client {
    type Incoming = Result<(WsKind, Bytes), Closed>;

    async fn next(&mut self) -> Self::Incoming {
        match self.sends.pop_front() {
            Some(incoming) => incoming,
            None => std::future::pending().await,
        }
    }

    async fn read(&mut self, incoming: Self::Incoming) -> Result<Option<(WsKind, Bytes)>, Closed> {
        incoming.map(Some)
    }

    async fn feed(&mut self, _: WsKind, bytes: Buffer) -> Result<(), Closed> {
        self.gets.send(String::from_utf8(bytes.to_vec()).unwrap()).unwrap();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Closed> {
        Ok(())
    }

    async fn close(self, code: u16, reason: &str) {
        self.gets.send(format!("{code} {reason}")).unwrap();
    }
}

#[test]
fn a_websocket_is_closed_by_either_side_or_the_host() {
    run(async {
        let app = App::new(1, MINUTE);
        let worker = app.worker(0);
        let open = async |sends: Vec<Result<(WsKind, Bytes), Closed>>| {
            let works = async {
                let (id, ..) = worker.expect("http").await;
                worker.answer(
                    id,
                    json!({ "status": 101, "headers": [], "body": { "websocket": true } }),
                    Vec::new(),
                );
                id
            };
            let (answer, id) = tokio::join!(send(&app, RequestBody::None), works);
            let Ok((101, ResponseBody::WebSocket(exchange))) = answer else { panic!("it is accepted") };
            let (gets, got) = tokio::sync::mpsc::unbounded_channel();
            let served = spawn_local(websocket::serve(Client { sends: sends.into(), gets }, exchange));
            (id, got, served)
        };

        let hello = (WsKind::Text, Bytes::from_static(b"hello"));
        let (id, mut got, served) = open(vec![Ok(hello)]).await;
        assert_eq!(&*worker.expect("ws.message").await.2.unwrap(), b"hello");
        worker.notify(
            "ws.message",
            json!({ "id": id, "kind": "text" }),
            vec![buffer::from_vec(b"hi".to_vec())],
        );
        worker.notify("ws.close", json!({ "id": id, "code": 4000, "reason": "bye" }), Vec::new());
        assert_eq!(got.recv().await.as_deref(), Some("hi"));
        assert_eq!(got.recv().await.as_deref(), Some("4000 bye"));
        served.await.unwrap();

        let (id, mut got, served) = open(vec![Err(Closed::ByClient(3000, "done".to_owned()))]).await;
        assert_eq!(worker.expect("ws.close").await.1, json!({ "id": id, "code": 3000, "reason": "done" }));
        worker.notify("ws.close", json!({ "id": id, "code": 1000, "reason": "" }), Vec::new());
        served.await.unwrap();
        assert_eq!(got.recv().await, None, "its close is answered by its connection");

        let (id, mut got, served) = open(Vec::new()).await;
        app.generations[0].requests.shutdown().cancel_endless();
        assert_eq!(worker.expect("ws.close").await.1["code"], 1012);
        worker.notify("ws.close", json!({ "id": id, "code": 1000, "reason": "" }), Vec::new());
        assert_eq!(got.recv().await.as_deref(), Some("1012 the app is being replaced"));
        served.await.unwrap();

        app.generations[0].requests.resume();
        let (_, mut got, served) = open(Vec::new()).await;
        app.generations[0].workers.close();
        // Without a wait for an app that has ended.
        assert_eq!(got.recv().await.as_deref(), Some("1011 the app failed"));
        served.await.unwrap();
        assert_eq!(app.generations[0].requests.in_flight(), 0);
    });
}
