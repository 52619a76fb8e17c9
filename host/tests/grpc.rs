//! A gRPC server of tonic as an app, with tonic's own client: HTTP/2 with prior knowledge.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

#[path = "fixtures/grpc/src/bytewise.rs"]
mod bytewise;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::uri::PathAndQuery;
use serde_json::{Value, json};
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use bytewise::Bytewise;
use support::{Call, Host, Launch, patched};

const PREFIX: &str = "/apps/grpc";

fn start(settings: Value) -> Host {
    let mut app = json!({ "name": "grpc", "path": "libgrpc.so" });
    for (name, value) in settings.as_object().unwrap() {
        app[name] = value.clone();
    }
    Launch::serve(json!([app])).arg("--h2c").write("libgrpc.so", patched("grpc", "1")).start()
}

/// Runs a client, with a limit on how long it may wait.
fn run(client: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(2 * support::LIMIT, client).await.expect("the host answers") };
    runtime.block_on(tokio::task::LocalSet::new().run_until(limited));
}

async fn channel(host: &Host) -> Channel {
    Endpoint::from_shared(format!("http://{}", host.address())).unwrap().connect().await.unwrap()
}

fn origin(host: &Host) -> Uri {
    format!("http://{}{PREFIX}", host.address()).parse().unwrap()
}

async fn health(host: &Host) -> HealthClient<Channel> {
    HealthClient::with_origin(channel(host).await, origin(host))
}

fn service(name: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: name.to_owned() }
}

fn status(response: &HealthCheckResponse) -> ServingStatus {
    response.status()
}

/// A client of the service that echoes.
#[derive(Clone)]
struct Echo(Grpc<Channel>);

impl Echo {
    async fn connect(host: &Host) -> Self {
        let client = Grpc::with_origin(channel(host).await, origin(host));
        Self(client.max_decoding_message_size(usize::MAX))
    }

    async fn ready(&mut self) -> &mut Grpc<Channel> {
        self.0.ready().await.unwrap();
        &mut self.0
    }

    async fn unary(&mut self, message: impl Into<Bytes>) -> Result<Response<Bytes>, Status> {
        self.send(Request::new(message.into())).await
    }

    async fn send(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        self.ready().await.unary(request, method("Unary"), Bytewise).await
    }

    async fn repeat(&mut self, message: &str) -> Result<Streaming<Bytes>, Status> {
        let request = Request::new(Bytes::from(message.to_owned()));
        let response = self.ready().await.server_streaming(request, method("Repeat"), Bytewise).await;
        response.map(Response::into_inner)
    }
}

fn method(name: &str) -> PathAndQuery {
    format!("/test.Echo/{name}").parse().unwrap()
}

/// Waits until so many calls without an end are open in the app.
async fn wait_for_open_calls(host: &Host, count: usize) {
    let get = Call::get("http://open.example/open");
    while host.call(&get).text() != count.to_string() {
        // Meanwhile the client's connection has its turn.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// By this route as well, the app is there without a prefix.
fn routed() -> Value {
    json!({ "route": { "host": "*.example" } })
}

#[test]
fn unary_calls_are_answered() {
    let host = start(json!({}));
    run(async {
        let mut health = health(&host).await;
        for name in ["up", ""] {
            let response = health.check(service(name)).await.unwrap();
            assert_eq!(status(response.get_ref()), ServingStatus::Serving);
        }
        let mut echo = Echo::connect(&host).await;
        for message in ["", "text"] {
            let response = echo.unary(message).await.unwrap();
            assert_eq!(
                (response.get_ref(), response.metadata().get("x-version").is_some()),
                (&message.into(), true)
            );
        }
        // Of several megabytes in both directions.
        let large: Bytes = (0..6_000_000_u32).map(|number| (number % 251) as u8).collect();
        assert!(echo.unary(large.clone()).await.unwrap().into_inner() == large);
    });
}

#[test]
fn statuses_reach_the_client() {
    let host = start(json!({}));
    run(async {
        let unknown = health(&host).await.check(service("nobody")).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        let mut echo = Echo::connect(&host).await;
        let failed = echo.unary("fail").await.unwrap_err();
        assert_eq!((failed.code(), failed.message()), (Code::FailedPrecondition, "größer als 100 %"));
        assert_eq!(failed.metadata().get("x-detail").unwrap(), "7");
        let missing = echo.ready().await.unary(Request::new(Bytes::new()), method("Nothing"), Bytewise).await;
        assert_eq!(missing.unwrap_err().code(), Code::Unimplemented);

        // After messages, and without any.
        for (count, numbers) in [(3, vec!["1", "2", "3"]), (0, vec![])] {
            let mut messages = echo.repeat(&format!("{count} fail")).await.unwrap();
            for number in numbers {
                assert_eq!(messages.message().await.unwrap().unwrap(), number);
            }
            let aborted = messages.message().await.unwrap_err();
            assert_eq!((aborted.code(), aborted.message()), (Code::Aborted, "as asked"));
        }
    });
}

/// A call of HTTP/2 without a library for gRPC: whether the head is all, and the trailers.
async fn by_hand(host: &Host, message: &[u8]) -> (bool, http::HeaderMap, Option<http::HeaderMap>) {
    let stream = tokio::net::TcpStream::connect(host.address()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(connection);
    let request = http::Request::post(format!("http://{}{PREFIX}/test.Echo/Unary", host.address()))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut sending) = client.ready().await.unwrap().send_request(request, false).unwrap();
    sending.send_data(framed(message).into(), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (200, &"application/grpc".parse().unwrap())
    );
    let is_all = body.is_end_stream();
    while let Some(piece) = body.data().await {
        assert_eq!(piece.unwrap(), framed(message));
    }
    (is_all, head.headers, body.trailers().await.unwrap())
}

/// A message with its length, as gRPC frames it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], &length.to_be_bytes()[..], message].concat()
}

#[test]
fn a_status_is_in_the_trailers_or_the_head_is_all() {
    let host = start(json!({}));
    run(async {
        let (is_all, head, trailers) = by_hand(&host, b"text").await;
        assert_eq!((is_all, head.get("grpc-status"), head.get("content-length")), (false, None, None));
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
        let (is_all, head, trailers) = by_hand(&host, b"fail").await;
        assert_eq!((is_all, head["grpc-status"].as_bytes(), trailers), (true, &b"9"[..], None));
    });
}

#[test]
fn messages_stream_in_both_directions() {
    let host = start(routed());
    run(async {
        let mut echo = Echo::connect(&host).await;
        let messages: Vec<Bytes> = (0..2000).map(|number| format!("{number} ").into()).collect();
        let request = Request::new(stream::iter(messages.clone()));
        let all = echo.ready().await.client_streaming(request, method("Collect"), Bytewise).await.unwrap();
        assert_eq!(all.into_inner(), messages.concat());

        let mut numbers = echo.repeat("2000").await.unwrap();
        for number in 1..=2000 {
            assert_eq!(numbers.message().await.unwrap().unwrap(), number.to_string());
        }
        assert_eq!(numbers.message().await.unwrap(), None);
        assert!(numbers.trailers().await.unwrap().is_some());

        // Each message is answered before the next one is sent.
        let (say, said) = futures_channel::mpsc::unbounded::<Bytes>();
        let request = Request::new(said);
        let answers = echo.ready().await.streaming(request, method("Chat"), Bytewise).await.unwrap();
        let mut answers = answers.into_inner();
        for number in 0..100 {
            say.unbounded_send(number.to_string().into()).unwrap();
            assert_eq!(answers.message().await.unwrap().unwrap(), number.to_string());
        }
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);

        let mut statuses = health(&host).await.watch(service("up")).await.unwrap().into_inner();
        assert_eq!(status(&statuses.message().await.unwrap().unwrap()), ServingStatus::Serving);
        assert_eq!(host.call(&Call::post("http://open.example/down/up", "")).status, 200);
        assert_eq!(status(&statuses.message().await.unwrap().unwrap()), ServingStatus::NotServing);
    });
}

#[test]
fn a_call_that_is_cancelled_or_late_ends_in_the_app() {
    let host = start(routed());
    run(async {
        let mut echo = Echo::connect(&host).await;
        let mut ticks = echo.repeat("forever").await.unwrap();
        for _ in 0..3 {
            assert_eq!(ticks.message().await.unwrap().unwrap(), "tick");
        }
        wait_for_open_calls(&host, 1).await;
        drop(ticks);
        wait_for_open_calls(&host, 0).await;

        let mut other = echo.clone();
        let sleeps = tokio::task::spawn_local(async move { other.unary("sleep").await });
        wait_for_open_calls(&host, 1).await;
        sleeps.abort();
        wait_for_open_calls(&host, 0).await;

        let mut request = Request::new("sleep".into());
        request.set_timeout(Duration::from_millis(200));
        let late = echo.send(request).await.unwrap_err();
        assert!([Code::Cancelled, Code::DeadlineExceeded].contains(&late.code()), "{late:?}");
        wait_for_open_calls(&host, 0).await;
        assert_eq!(echo.unary("text").await.unwrap().into_inner(), "text");
    });
}

#[test]
fn an_app_may_have_a_route_of_the_services_name() {
    let host = start(json!({ "route": [{ "host": "*.example" }, { "path_prefix": "/elsewhere" }] }));
    run(async {
        let endpoint = Endpoint::from_shared(format!("http://{}", host.address())).unwrap();
        let endpoint = endpoint.origin("http://grpc.example".parse().unwrap());
        let mut health = HealthClient::new(endpoint.connect().await.unwrap());
        assert_eq!(status(health.check(service("up")).await.unwrap().get_ref()), ServingStatus::Serving);
        let elsewhere = format!("http://{}/elsewhere", host.address()).parse().unwrap();
        let mut health = HealthClient::with_origin(channel(&host).await, elsewhere);
        assert_eq!(status(health.check(service("up")).await.unwrap().get_ref()), ServingStatus::Serving);
    });
}

#[test]
fn browsers_have_grpc_web() {
    let host = start(json!({}));
    let call = |message: &[u8]| {
        let call = Call::post("/apps/grpc/test.Echo/Unary", framed(message));
        host.call(&call.header("content-type", "application/grpc-web+proto"))
    };
    let reply = call(b"text");
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (200, Some("application/grpc-web+proto".to_owned()))
    );
    let (message, trailers) = reply.body.split_at(framed(b"text").len());
    assert_eq!(message, framed(b"text"));
    assert_eq!(trailers[0], 0x80, "they are in the body");
    assert!(String::from_utf8_lossy(trailers).contains("grpc-status:0\r\n"), "{}", trailers.escape_ascii());
    let reply = call(b"fail");
    assert_eq!((reply.status, reply.header("grpc-status")), (200, Some("9".to_owned())));
}

#[test]
fn no_call_fails_while_the_app_is_replaced() {
    let host = start(json!({}));
    run(async {
        let (done, calls) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let mut clients = Vec::new();
        for number in 0..4 {
            let (done, calls, mut echo) = (done.clone(), calls.clone(), Echo::connect(&host).await);
            clients.push(tokio::task::spawn_local(async move {
                let mut newest = 0;
                loop {
                    // The last call begins when the last version has answered.
                    let is_last = done.get();
                    let response = echo.unary("text").await.unwrap();
                    let version = response.metadata().get("x-version").unwrap().to_str().unwrap();
                    let version: u64 = version.parse().unwrap();
                    assert!(version >= newest, "client {number}: {version} after {newest}");
                    newest = version;
                    let messages: Vec<_> = echo.repeat("20").await.unwrap().collect().await;
                    assert!(messages.len() == 20 && messages.iter().all(Result::is_ok), "{messages:?}");
                    calls.set(calls.get() + 2);
                    if is_last {
                        return newest;
                    }
                }
            }));
        }
        for version in 2..=10 {
            let before = calls.get();
            host.replace("libgrpc.so", patched("grpc", &version.to_string()));
            let mut echo = Echo::connect(&host).await;
            loop {
                let response = echo.unary("").await.unwrap();
                let answered: u64 =
                    response.metadata().get("x-version").unwrap().to_str().unwrap().parse().unwrap();
                if answered == version && calls.get() > before + 8 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
        done.set(true);
        for client in clients {
            assert_eq!(client.await.unwrap(), 10);
        }
    });
    assert_eq!(host.log_lines(&["ERROR"]), [""; 0]);
    assert_eq!(host.log_lines(&["pinned"]), [""; 0]);
}
