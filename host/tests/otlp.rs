//! Spans, as a collector gets them.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message;
use serde_json::json;
use support::{Call, Host, Launch, library};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A collector, which keeps what it is sent.
struct Collector {
    address: SocketAddr,
    received: mpsc::Receiver<ExportTraceServiceRequest>,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    fn at(address: SocketAddr) -> Self {
        let (sender, received) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let take = move |body: web::Bytes, sender: web::Data<mpsc::Sender<_>>| async move {
                sender.send(ExportTraceServiceRequest::decode(body).unwrap()).unwrap();
                HttpResponse::Ok().finish()
            };
            actix_web::rt::System::new().block_on(async move {
                let app = move || {
                    let data = web::Data::new(sender.clone());
                    App::new().app_data(data).route("/v1/traces", web::post().to(take))
                };
                let server = HttpServer::new(app).workers(1).disable_signals().bind(address).unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                tell.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, server) = told.recv().unwrap();
        Self { address, received, server, thread: Some(thread) }
    }

    /// All spans that a host has sent, which has ended, each with the service's name.
    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for export in self.received.try_iter() {
            for resource in export.resource_spans {
                let name = resource.resource.unwrap().attributes;
                let name = name.into_iter().find(|attribute| attribute.key == "service.name");
                assert_eq!(name.unwrap().value.unwrap().value, Some(Value::StringValue("atoll".into())));
                spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        spans
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _stopping = self.server.stop(false);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// A host that sends its spans to the collector.
fn host(apps: serde_json::Value, collector: &Collector, args: &[&str]) -> Host {
    Launch::serve(apps).args(["--otlp", &format!("http://{}", collector.address)]).args(args).start()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} among {names:?}"))
}

/// An attribute, as text.
fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.unwrap_or_else(|| panic!("{key}: {span:?}")).value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{key}: {other:?}"),
    }
}

#[test]
fn a_request_is_a_span_in_its_clients_trace_with_its_wait_and_its_work() {
    let collector = Collector::start();
    let host = host(json!([{ "name": "probe", "path": library("probe") }]), &collector, &[]);
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let call = Call::get("/apps/probe/seen/").header("traceparent", &traceparent);
    let seen = host.call(&call).json();
    let told = seen["traceparent"].as_str().unwrap_or_else(|| panic!("{seen}")).to_owned();
    assert_eq!(host.stop().status.code(), Some(0));

    let spans = collector.spans();
    let request = named(&spans, "GET probe");
    assert_eq!(
        told,
        format!("00-{TRACE}-{}-01", hex(&request.span_id)),
        "the app works within the host's span"
    );
    assert_eq!(
        (hex(&request.trace_id), hex(&request.parent_span_id)),
        (TRACE.into(), "b7ad6b7169203331".into())
    );
    assert_eq!(request.kind(), SpanKind::Server);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/apps/probe/seen/"),
        ("http.response.status_code", "200"),
        ("atoll.app", "probe"),
        ("atoll.generation", "1"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(request, key), value);
    }
    let (queue, handler) = (named(&spans, "queue"), named(&spans, "handler"));
    for part in [queue, handler] {
        assert_eq!((&part.trace_id, &part.parent_span_id), (&request.trace_id, &request.span_id));
        assert!(request.start_time_unix_nano <= part.start_time_unix_nano);
        assert!(part.end_time_unix_nano <= request.end_time_unix_nano);
    }
    assert_eq!(queue.end_time_unix_nano, handler.start_time_unix_nano);
}

#[test]
fn a_call_between_apps_is_a_span_between_theirs() {
    let collector = Collector::start();
    let app = |name| json!({ "name": name, "path": library("rpc") });
    let host = host(json!([app("a"), app("b")]), &collector, &[]);
    let get = |path| assert_eq!(host.get(path).status, 200);
    get("/apps/a/call/b/get_data");
    assert_eq!(host.get("/apps/a/call/b/fail").status, 500);
    host.stop();

    let spans = collector.spans();
    let traces: Vec<_> = spans.iter().filter(|span| span.name == "GET a").collect();
    let [first, second] = *traces else { panic!("{traces:?}") };
    assert_ne!(first.trace_id, second.trace_id, "each request is a trace of its own, as its client has none");
    let within = |request: &Span, name: &str| {
        let call = named(&spans, name).clone();
        assert_eq!((&call.trace_id, &call.parent_span_id), (&request.trace_id, &request.span_id));
        assert_eq!(
            (attribute(&call, "atoll.app"), attribute(&call, "atoll.caller")),
            ("b".into(), "a".into())
        );
        call.status.map(|status| status.code())
    };
    let failed = |code| code == Some(StatusCode::Error);
    assert!(!failed(within(first, "b.get_data")));
    assert!(failed(within(second, "b.fail")));
    assert!(failed(second.status.clone().map(|status| status.code())), "{second:?}");
}

#[test]
fn no_more_is_recorded_than_is_wanted() {
    let collector = Collector::start();
    let host =
        host(json!([{ "name": "probe", "path": library("probe") }]), &collector, &["--trace-share", "0"]);
    let told = |traceparent: &str| {
        let call = Call::get("/apps/probe/seen/");
        let call = if traceparent.is_empty() { call } else { call.header("traceparent", traceparent) };
        host.call(&call).json()["traceparent"].as_str().map(str::to_owned)
    };
    assert!(told("").unwrap().ends_with("-00"), "the app is told that the trace is not recorded");
    assert!(told(&format!("00-{TRACE}-b7ad6b7169203331-00")).unwrap().ends_with("-00"));
    assert!(told(&format!("00-{TRACE}-b7ad6b7169203331-01")).unwrap().ends_with("-01"));
    host.stop();
    let spans = collector.spans();
    let requests: Vec<_> = spans.iter().filter(|span| span.name == "GET probe").collect();
    assert_eq!(requests.len(), 1, "the one whose client wants it: {requests:?}");
}

#[test]
fn a_collector_that_is_not_there_costs_spans_and_no_request() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let host = Launch::serve(json!([{ "name": "probe", "path": library("probe") }]))
        .args(["--otlp", &format!("http://{free}/")])
        .env("OTEL_BSP_SCHEDULE_DELAY", "10")
        .start();
    assert_eq!(host.get("/apps/probe/start").status, 200);
    host.wait_for_log(&["WARN", "dropping spans", &free.to_string()]);
    assert_eq!(host.get("/apps/probe/start").status, 200);
    assert_eq!(host.log_lines(&["dropping spans"]).len(), 1, "it is said once");
    let _collector = Collector::at(free);
    assert_eq!(host.get("/apps/probe/start").status, 200);
    host.wait_for_log(&["INFO", &format!("sending spans to http://{free}/ again")]);
    assert_eq!(host.stop().status.code(), Some(0));
}

#[test]
fn a_collector_that_does_not_answer_does_not_keep_the_host_from_ending() {
    // The system takes the connection, and nobody reads from it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let apps = json!([{ "name": "probe", "path": library("probe") }]);
    let host = Launch::serve(apps).args(["--otlp", &url]).start();
    assert_eq!(host.get("/apps/probe/start").status, 200);
    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.stderr.contains("the last spans may be lost: "), "{}", ended.stderr);
}

#[test]
fn a_url_or_a_share_that_is_none_is_refused() {
    let refused = Launch::serve("[]").args(["--otlp", "not a url"]).run();
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.contains("http://127.0.0.1:4318"), "{}", refused.stderr);
    let refused = Launch::serve("[]").args(["--otlp", "http://127.0.0.1:1", "--trace-share", "2"]).run();
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("a number from 0 to 1"), "{}", refused.stderr);
}
