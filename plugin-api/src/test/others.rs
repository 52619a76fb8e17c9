//! The other apps that an app under test can call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::thread;

use atoll_port::answer::{self, AnswerError};
use atoll_port::{CallContext, CallRequest, CallSink, OutgoingCall, Port, buffer, to_json};
use futures_channel::oneshot;
use futures_util::future::Abortable;
use serde_json::value::{RawValue, to_raw_value};
use tokio::task::spawn_local;

use super::exchange::Exchange;
use super::host;
use super::worker::Worker;
use crate::abi::panic::catch;
use crate::abi::{Buffer, Message};
use crate::http::request_builder::RequestBuilder;
use crate::protocol::{
    Body, ErrorObject, Fetch, Header, HttpRequest, HttpResponse, Incoming, Request, Response, RpcCall, code,
};

/// The other apps, by name.
pub(super) type Apps = Arc<HashMap<String, Worker>>;

/// Carries out what one worker asks of them.
#[derive(Default)]
pub(super) struct Others(pub(super) Apps);

/// What is brought back: a result and a buffer, or an error.
type Delivery = Result<(Box<RawValue>, Option<Buffer>), ErrorObject<'static>>;

impl CallSink for Others {
    fn accept(&self, call: OutgoingCall) {
        let apps = self.0.clone();
        host::run(move || {
            drop(spawn_local(async move {
                let OutgoingCall { port, id, request, cancelled } = call;
                let delivery = Abortable::new(carry_out(&apps, &port, id, request), cancelled).await;
                port.end_call(id);
                match delivery.unwrap_or_else(|_aborted| Err(no_longer_pending())) {
                    Ok((result, buffer)) => {
                        port.answer(&Response::result(id, result), buffer.into_iter().collect());
                    }
                    Err(error) => port.answer(&Response::error(id, error), Vec::new()),
                }
            }));
        });
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

async fn carry_out(apps: &Apps, port: &Port, id: u64, request: CallRequest) -> Delivery {
    match request {
        CallRequest::Call(message) => {
            let RpcCall { app, method, params, parent } = params(&message)?;
            let (worker, context) = find(apps, port, id, &app, parent)?;
            let params = params.unwrap_or(RawValue::NULL);
            let unavailable = |why: String| failure(code::UNAVAILABLE, format!("the app `{app}`: {why}"));
            let answer = worker
                .port()
                .reserve()
                .and_then(|permit| {
                    let json = |id| to_json(&Request::new(id, &method, params));
                    permit.on_behalf(Some(&context)).send(json, &mut None)
                })
                .map_err(|error| unavailable(error.to_string()))?;
            let (message, _) = answer.await.map_err(|error| unavailable(error.to_string()))?;
            match answer::raw_result(&message.json) {
                Ok(result) => Ok((result.to_owned(), None)),
                Err(AnswerError::Failed(error)) => Err(error),
                Err(error) => Err(failure(code::INTERNAL_ERROR, error.to_string())),
            }
        }
        CallRequest::Fetch(mut message) => {
            let body = message.transfer.take(0);
            let Fetch { app, request, parent } = params(&message)?;
            if !request.path.starts_with('/') {
                let what = format!("the path {:?} does not start with /", request.path);
                return Err(failure(code::INVALID_PARAMS, what));
            }
            let (worker, context) = find(apps, port, id, &app, parent)?;
            let body = body.map_or_else(Vec::new, |body| body.to_vec());
            let request = RequestBuilder::from_parts(of_app(request), body);
            let exchange = Exchange::begin(worker, request, false, Some(context));
            collect(exchange).await
        }
    }
}

/// The app that is asked for, and on whose behalf.
fn find<'a>(
    apps: &'a Apps,
    port: &Port,
    id: u64,
    name: &str,
    parent: Option<u64>,
) -> Result<(&'a Worker, CallContext), ErrorObject<'static>> {
    let context = match parent {
        Some(parent) => port.adopt_call(id, parent).ok_or_else(no_longer_pending)?,
        None => None,
    };
    let context = context
        .unwrap_or_else(|| CallContext::background(port.app()))
        .call(port.app(), name)
        .map_err(|cycle| failure(code::CALL_CYCLE, cycle.to_string()))?;
    let worker = apps.get(name).ok_or_else(|| {
        let what = format!("unknown app `{name}`: add it with `Builder::other_app`");
        failure(code::UNAVAILABLE, what)
    })?;
    Ok((worker, context))
}

/// The whole answer, for which a thread waits. Dropping this cancels the request.
async fn collect(exchange: Exchange) -> Delivery {
    let _cancels = exchange.canceller();
    let (sender, reply) = oneshot::channel();
    let wait = move || _ = sender.send(catch(|| exchange.collect()));
    thread::Builder::new().name("test call".to_owned()).spawn(wait).map_err(|error| {
        failure(code::UNAVAILABLE, format!("cannot start a thread for the call: {error}"))
    })?;
    let reply = match reply.await {
        Ok(Ok(reply)) => reply,
        Ok(Err(panic)) => return Err(failure(code::INTERNAL_ERROR, panic)),
        Err(_cancelled) => return Err(no_longer_pending()),
    };
    if let Some(error) = reply.error.filter(|error| error.code != code::HANDLER_FAILED) {
        return Err(error);
    }
    let (status, headers, body) = reply.response.into_parts();
    let bytes = Some(body.as_bytes()).filter(|bytes| !bytes.is_empty());
    let body = bytes.map(|_| Body::Transfer(0));
    let head = to_raw_value(&HttpResponse { status, headers, body })
        .map_err(|error| failure(code::INTERNAL_ERROR, error.to_string()))?;
    Ok((head, bytes.map(|bytes| buffer::from_vec(bytes.to_vec()))))
}

/// An app's request to another one, of which some is the host's to say.
fn of_app(request: HttpRequest<'_>) -> HttpRequest<'static> {
    let HttpRequest { method, path, query, headers, .. } = request;
    let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
    HttpRequest {
        method: owned(method),
        path: owned(path),
        query: owned(query),
        prefix: "".into(),
        headers: headers.into_iter().map(|Header(name, value)| Header(owned(name), owned(value))).collect(),
        peer: None,
        request_id: "".into(),
        traceparent: None,
        deadline_ms: None,
        body: None,
    }
}

fn params<'a, T: serde::Deserialize<'a>>(message: &'a Message) -> Result<T, ErrorObject<'static>> {
    let invalid = |error: serde_json::Error| failure(code::INVALID_PARAMS, error.to_string());
    let Incoming { params, .. } = serde_json::from_slice(&message.json).map_err(invalid)?;
    serde_json::from_str(params.map_or("null", RawValue::get)).map_err(invalid)
}

fn no_longer_pending() -> ErrorObject<'static> {
    failure(code::CANCELLED, "the request that made this call is no longer pending")
}

fn failure(code: i64, message: impl Into<String>) -> ErrorObject<'static> {
    ErrorObject { code, message: message.into().into(), data: None }
}
