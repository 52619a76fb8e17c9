//! Brings apps' requests to other apps, and the answers back.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::http::header::{HeaderName, HeaderValue};
use atoll_plugin::abi::{Buffer, Message};
use atoll_plugin::protocol::{
    self, ErrorObject, Fetch, Header, HttpRequest, HttpResponse, Incoming, Response, RpcCall, code,
};
use atoll_port::{CallContext, CallRequest, CallSink, OutgoingCall, Port};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::Abortable;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::app::handle::App;
use crate::dispatch::app_index::AppIndex;
use crate::dispatch::exchange::{self, Download, RequestBody, ResponseBody};
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::dispatch::rpc;
use crate::memory::buffer;
use crate::observe::trace::{SpanKind, Step, TraceContext};

/// Carries out the calls of apps on the thread that it was started on.
#[derive(Clone, Debug)]
pub(crate) struct AppCalls(mpsc::UnboundedSender<OutgoingCall>);

/// What comes back: a result, and the buffer that it refers to.
type Delivery = Result<(Box<RawValue>, Option<Buffer>), ErrorObject<'static>>;

impl AppCalls {
    /// Starts to carry out calls to the apps in this index.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub(crate) fn start(index: AppIndex) -> Arc<dyn CallSink> {
        let (sender, mut calls) = mpsc::unbounded_channel::<OutgoingCall>();
        tokio::task::spawn_local(async move {
            while let Some(call) = calls.recv().await {
                tokio::task::spawn_local(run(call, index.clone()));
            }
        });
        Arc::new(Self(sender))
    }
}

impl CallSink for AppCalls {
    fn accept(&self, call: OutgoingCall) {
        if let Err(mpsc::error::SendError(call)) = self.0.send(call) {
            Caller::of(&call).deliver(Err(failure(code::UNAVAILABLE, "the host is shutting down")));
        }
    }
}

async fn run(call: OutgoingCall, index: AppIndex) {
    let caller = Caller::of(&call);
    let OutgoingCall { request, cancelled, .. } = call;
    let delivery = Abortable::new(caller.carry_out(&index, request), cancelled).await;
    caller.deliver(delivery.unwrap_or_else(|_aborted| Err(nobody_waits())));
}

/// The worker that a call came from, and that gets its answer.
struct Caller {
    port: Arc<Port>,
    /// The number that the app gave the call.
    id: u64,
}

impl Caller {
    fn of(call: &OutgoingCall) -> Self {
        Self { port: call.port.clone(), id: call.id }
    }

    fn deliver(&self, delivery: Delivery) {
        let Self { port, id } = self;
        port.end_call(*id);
        match delivery {
            Ok((result, buffer)) => {
                port.answer(&Response::result(*id, result), buffer.into_iter().collect());
            }
            Err(error) => port.answer(&Response::error(*id, error), Vec::new()),
        }
    }

    async fn carry_out(&self, index: &AppIndex, request: CallRequest) -> Delivery {
        match request {
            CallRequest::Call(message) => {
                let RpcCall { app, method, params, parent } = params(&message)?;
                let (app, context) = self.find(index, &app, parent)?;
                let call = async |context| rpc::call(&app, &method, params, context, |_| ()).await;
                let name = || format!("{}.{method}", app.name());
                Ok((traced(&app, self.port.app(), name, context, call).await?, None))
            }
            CallRequest::Fetch(mut message) => {
                let buffer = message.transfer.take(0);
                let Fetch { app, request, parent } = params(&message)?;
                if !request.path.starts_with('/') {
                    let what = format!("the path {:?} failed to start with /", request.path);
                    return Err(failure(code::INVALID_PARAMS, what));
                }
                check(&request)?;
                let (app, context) = self.find(index, &app, parent)?;
                // An app that has been taken out of the registry meanwhile has no settings any more.
                let limit = index.get(self.port.app()).map_or(0, |app| app.settings().body_limit);
                let (method, name) = (request.method.clone(), app.name().clone());
                let name = || format!("{method} {name}");
                let fetch = async |context| fetch(&app, request, buffer, context, limit).await;
                traced(&app, self.port.app(), name, context, fetch).await
            }
        }
    }

    /// The app that is asked for, and on whose behalf.
    fn find(
        &self,
        index: &AppIndex,
        name: &str,
        parent: Option<u64>,
    ) -> Result<(Arc<App>, CallContext), ErrorObject<'static>> {
        let caller = self.port.app();
        let context = match parent {
            Some(parent) => self.port.adopt_call(self.id, parent).ok_or_else(nobody_waits)?,
            None => None,
        };
        let context = context
            .unwrap_or_else(|| CallContext::background(caller))
            .call(caller, name)
            .map_err(|cycle| failure(code::CALL_CYCLE, cycle.to_string()))?;
        let app = index.get(name).ok_or_else(|| failure(code::UNAVAILABLE, index.no_such_app(name)))?;
        Ok((app, context))
    }
}

/// Does `work` for an app as a step of the caller's trace, where spans are wanted.
async fn traced<T>(
    app: &App,
    caller: &str,
    name: impl FnOnce() -> String,
    mut context: CallContext,
    work: impl AsyncFnOnce(CallContext) -> Result<T, ErrorObject<'static>>,
) -> Result<T, ErrorObject<'static>> {
    let Some(sink) = app.spans() else { return work(context).await };
    let step = match context.traceparent().and_then(TraceContext::parse) {
        Some(caller) => Step::within(caller),
        None => Step::first(&**sink),
    };
    context.set_traceparent(&step.context().to_string());
    let result = work(context).await;
    let attributes = vec![("atoll.app", (&**app.name()).into()), ("atoll.caller", caller.into())];
    step.end(&**sink, name(), SpanKind::Internal, attributes, result.is_err());
    result
}

/// Sends an HTTP request to an app, and waits for the whole of its answer: at most for `body_limit` bytes of a stream.
async fn fetch(
    app: &App,
    mut request: HttpRequest<'_>,
    body: Option<Buffer>,
    context: CallContext,
    body_limit: usize,
) -> Delivery {
    let limit = context.remaining(app.settings().deadline());
    let deadline = Instant::now() + limit;
    let (request_id, traceparent) =
        (context.request_id().to_owned(), context.traceparent().map(str::to_owned));
    request.prefix = format!("/apps/{}", app.name()).into();
    request.peer = None;
    request.request_id = request_id.as_str().into();
    request.traceparent = traceparent.as_deref().map(Into::into);
    request.deadline_ms = None;
    // As with requests from outside, for apps that look there.
    request.headers.retain(|header| !is_of_context(&header.0));
    request.headers.push(Header("x-request-id".into(), request_id.as_str().into()));
    request.headers.extend(traceparent.as_deref().map(|value| Header("traceparent".into(), value.into())));
    let body = body.map_or(RequestBody::None, |buffer| Bytes::from_owner(buffer).into());
    let whole = async {
        let answer = exchange::http_on_behalf(app, request, body, context, |_, head, body| {
            let has_body = !matches!(&body, ResponseBody::Whole(bytes) if bytes.is_empty());
            (written(head, has_body), body)
        })
        .await;
        let (head, body) = match answer {
            Ok(answer) => answer,
            Err(problem) => return refused(problem, &request_id),
        };
        let body = match body {
            ResponseBody::Whole(bytes) => bytes,
            ResponseBody::Stream(download) => collect(app, download, body_limit).await?,
            ResponseBody::WebSocket(_) => {
                let what =
                    format!("the app `{}` opened a WebSocket, which `fetch` does not support", app.name());
                return Err(failure(code::INTERNAL_ERROR, what));
            }
        };
        Ok((head?, Some(buffer::from_bytes(body))))
    };
    timeout_at(deadline, whole).await.unwrap_or_else(|_elapsed| Err(rpc::too_late(app, limit)))
}

/// Whether a request that an app has made could have come by HTTP: the other app relies on it as on a client's.
fn check(request: &HttpRequest<'_>) -> Result<(), ErrorObject<'static>> {
    let invalid = |what: String| Err(failure(code::INVALID_PARAMS, what));
    let is_header = |header: &Header<'_>| {
        HeaderName::from_bytes(header.0.as_bytes()).is_ok()
            && header.value_bytes().is_some_and(|value| HeaderValue::from_bytes(&value).is_ok())
    };
    if let Some(Header(name, _)) = request.headers.iter().find(|header| !is_header(header)) {
        return invalid(format!("invalid name or value of the header {name:?}"));
    }
    if Method::from_bytes(request.method.as_bytes()).is_err() {
        return invalid(format!("invalid HTTP method {:?}", request.method));
    }
    let has_controls = |text: &str| text.bytes().any(|byte| byte <= b' ' || byte == 0x7f);
    if has_controls(&request.path) || has_controls(&request.query) {
        return invalid(format!(
            "the path {:?} or its query contains spaces or control characters",
            request.path
        ));
    }
    Ok(())
}

/// Whether a header says what the context does.
fn is_of_context(name: &str) -> bool {
    ["x-request-id", "traceparent"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// What is brought back when there is no answer. That a handler has returned an error is one: that of its status, as a
/// client would get it.
fn refused(problem: Problem, request_id: &str) -> Delivery {
    let ProblemKind::AppError(status) = problem.kind() else { return Err(rpc::from_problem(problem)) };
    let headers = vec![Header::new("content-type", "application/problem+json")];
    let head = written(HttpResponse { status, headers, body: None }, true)?;
    Ok((head, Some(buffer::from_vec(problem.to_json(request_id).into()))))
}

/// The head of an answer whose body will be whole.
fn written(head: HttpResponse<'_>, has_body: bool) -> Result<Box<RawValue>, ErrorObject<'static>> {
    let body = has_body.then_some(protocol::Body::Transfer(0));
    to_raw_value(&HttpResponse { body, ..head })
        .map_err(|error| failure(code::INTERNAL_ERROR, error.to_string()))
}

async fn collect(app: &App, mut download: Download, limit: usize) -> Result<Bytes, ErrorObject<'static>> {
    let mut body = BytesMut::new();
    while let Some(chunk) = download.next().await {
        let chunk = chunk.map_err(|error| {
            failure(code::INTERNAL_ERROR, format!("the response of `{}` is incomplete: {error}", app.name()))
        })?;
        if body.len() + chunk.len() > limit {
            let what = format!(
                "the response of `{}` is larger than body_limit = {limit} bytes of the calling app",
                app.name()
            );
            return Err(failure(code::BODY_TOO_LARGE, what));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn params<'a, T: Deserialize<'a>>(message: &'a Message) -> Result<T, ErrorObject<'static>> {
    let invalid = |error: serde_json::Error| failure(code::INVALID_PARAMS, error.to_string());
    let Incoming { params, .. } = serde_json::from_slice(&message.json).map_err(invalid)?;
    serde_json::from_str(params.map_or("null", RawValue::get)).map_err(invalid)
}

fn failure(code: i64, message: impl Into<String>) -> ErrorObject<'static> {
    ErrorObject { code, message: message.into().into(), data: None }
}

fn nobody_waits() -> ErrorObject<'static> {
    failure(code::CANCELLED, "the request that made this call is no longer pending")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use atoll_plugin::abi::Received;
    use serde_json::Value;

    use super::*;
    use crate::observe::app_warnings::AppWarnings;
    use atoll_port::Limits;

    /// What a worker of the app `a` gets for what it sends, when there are no other apps.
    fn answers<const N: usize>(sent: [&str; N]) -> [Value; N] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let calls = AppCalls::start(AppIndex::default());
            let limits = Limits { queue: 1, calls: 4, message: 1024 };
            let port = Port::new("a".into(), limits, AppWarnings::new("a".into()), calls);
            for text in sent {
                let (json, transfer) = (buffer::from_vec(text.into()), buffer::list(Vec::new()));
                assert!(port.accept(Message { json, transfer }));
            }
            let mut message = Message::default();
            let mut answers = sent.map(|_| Value::Null);
            for answer in &mut answers {
                while port.receive(Some(Duration::ZERO), &mut message) != Received::Message {
                    tokio::task::yield_now().await;
                }
                *answer = serde_json::from_slice(&message.json).unwrap();
            }
            assert_eq!(port.receive(Some(Duration::ZERO), &mut message), Received::TimedOut);
            answers
        })
    }

    #[test]
    fn each_request_has_one_answer() {
        let call = |id: u64, params: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"call","params":{params}}}"#)
        };
        let unknown = call(2, r#"{"app":"b","method":"add"}"#);
        let over = call(4, r#"{"app":"b","method":"add","parent":7}"#);
        let itself = call(6, r#"{"app":"a","method":"add"}"#);
        let malformed = call(8, r#"{"app":1}"#);
        let got = answers([&unknown, &over, &itself, &malformed]);
        let got =
            got.map(|answer| (answer["id"].as_u64().unwrap(), answer["error"]["code"].as_i64().unwrap()));
        let expected =
            [(2, code::UNAVAILABLE), (4, code::CANCELLED), (6, code::CALL_CYCLE), (8, code::INVALID_PARAMS)];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_could_not_have_come_by_http_is_no_request() {
        let fetch = |id: u64, request: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"fetch","params":{{"app":"b","request":{request}}}}}"#
            )
        };
        let header = fetch(2, r#"{"method":"GET","path":"/","headers":[["x\r\ny","1"]]}"#);
        let path = fetch(4, r#"{"method":"GET","path":"/ HTTP/1.1\r\n"}"#);
        let method = fetch(6, r#"{"method":"G T","path":"/"}"#);
        let good = fetch(8, r#"{"method":"GET","path":"/","headers":[["x-y","é"]]}"#);
        let answers = answers([&header, &path, &method, &good]);
        let expected = [code::INVALID_PARAMS, code::INVALID_PARAMS, code::INVALID_PARAMS, code::UNAVAILABLE];
        assert_eq!(answers.map(|answer| answer["error"]["code"].as_i64().unwrap()), expected);
    }
}
