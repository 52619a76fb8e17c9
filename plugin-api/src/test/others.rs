//! The other apps that an app under test can call.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::value::RawValue;

use super::buffer;
use super::event::Request;
use super::exchange::Exchange;
use super::port::{Port, to_json};
use super::worker::Worker;
use crate::abi::panic::catch;
use crate::abi::{Buffer, Message};
use crate::http::request_builder::RequestBuilder;
use crate::protocol::{
    Body, ErrorObject, Fetch, Header, HttpRequest, HttpResponse, Incoming, Response, RpcCall, code,
};
use crate::worker::rpc::RpcError;

/// The other apps, by name.
pub(super) type Apps = Arc<HashMap<String, Worker>>;

/// What one worker asks of them.
pub(super) struct Others {
    /// The name of the app that asks.
    caller: String,
    apps: Apps,
    /// What they have been asked and not answered yet, by the number that the worker gave it.
    asked: Mutex<Asked>,
}

/// Where a request was sent on to, by the number that the worker gave it.
type Asked = HashMap<u64, Option<(Arc<Port>, u64)>>;

/// What is brought back: a result and a buffer, or an error.
type Delivery = Result<(Box<RawValue>, Option<Buffer>), ErrorObject<'static>>;

impl Others {
    pub(super) fn new(caller: String, apps: Apps) -> Self {
        Self { caller, apps, asked: Mutex::default() }
    }

    pub(super) fn apps(&self) -> &Apps {
        &self.apps
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out what the worker of this port asks for, and answers it.
    pub(super) fn take(port: &Arc<Port>, id: u64, request: Request) {
        port.others().asked().insert(id, None);
        let asker = port.clone();
        let carry_out = move || {
            let others = asker.others();
            let delivery = catch(|| others.carry_out(id, request))
                .unwrap_or_else(|panic| Err(failure(code::INTERNAL_ERROR, panic)));
            others.asked().remove(&id);
            match delivery {
                Ok((result, buffer)) => {
                    asker.send(to_json(&Response::result(id, result)), buffer.into_iter().collect());
                }
                Err(error) => asker.send(to_json(&Response::error(id, error)), Vec::new()),
            }
        };
        let name = format!("{} calls", port.others().caller);
        if let Err(error) = thread::Builder::new().name(name).spawn(carry_out) {
            let error = failure(code::UNAVAILABLE, format!("cannot start a thread for the call: {error}"));
            port.send(to_json(&Response::error(id, error)), Vec::new());
        }
    }

    /// This is no longer pending.
    pub(super) fn cancel(&self, id: u64) {
        if let Some((port, asked)) = self.asked().remove(&id).flatten() {
            port.forget(asked);
        }
    }

    pub(super) fn cancel_all(&self) {
        let all = std::mem::take(&mut *self.asked());
        for (port, asked) in all.into_values().flatten() {
            port.forget(asked);
        }
    }

    fn carry_out(&self, id: u64, request: Request) -> Delivery {
        match request {
            Request::Call(message) => {
                let RpcCall { app, method, params, .. } = params(&message)?;
                let worker = self.find(&app)?;
                let note = |asked| self.note(id, worker.port(), asked);
                let result = worker.ask_raw(&method, params.unwrap_or(RawValue::NULL), note);
                Ok((result.map_err(RpcError::into_object)?, None))
            }
            Request::Fetch(mut message) => {
                let body = message.transfer.take(0);
                let Fetch { app, request, .. } = params(&message)?;
                if !request.path.starts_with('/') {
                    let what = format!("the path {:?} failed to start with /", request.path);
                    return Err(failure(code::INVALID_PARAMS, what));
                }
                let body = body.map_or_else(Vec::new, |body| body.to_vec());
                let request = RequestBuilder::from_parts(of_app(request), body);
                let exchange = Exchange::begin(self.find(&app)?, request, false);
                let (port, asked) = exchange.place();
                if !self.note(id, &port, asked) {
                    return Err(nobody_waits());
                }
                let reply = exchange.collect();
                if let Some(error) = reply.error.filter(|error| error.code != code::HANDLER_FAILED) {
                    return Err(error);
                }
                let (status, headers, body) = reply.response.into_parts();
                let bytes = Some(body.as_bytes()).filter(|bytes| !bytes.is_empty());
                let body = bytes.map(|_| Body::Transfer(0));
                let head = serde_json::value::to_raw_value(&HttpResponse { status, headers, body })
                    .map_err(|error| failure(code::INTERNAL_ERROR, error.to_string()))?;
                Ok((head, bytes.map(|bytes| buffer::from_vec(bytes.to_vec()))))
            }
        }
    }

    /// Notes where a request was sent on to, for its cancellation; `false`: it is cancelled already.
    fn note(&self, id: u64, port: &Arc<Port>, asked: u64) -> bool {
        self.asked().get_mut(&id).map(|place| *place = Some((port.clone(), asked))).is_some()
    }

    fn find(&self, app: &str) -> Result<&Worker, ErrorObject<'static>> {
        if app == self.caller {
            return Err(failure(code::CALL_CYCLE, format!("the app `{app}` would call itself")));
        }
        self.apps.get(app).ok_or_else(|| {
            let what = format!("unknown app `{app}`: add it with `Builder::other_app`");
            failure(code::UNAVAILABLE, what)
        })
    }
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

fn nobody_waits() -> ErrorObject<'static> {
    failure(code::CANCELLED, "the request that made this call is no longer pending")
}

fn failure(code: i64, message: impl Into<String>) -> ErrorObject<'static> {
    ErrorObject { code, message: message.into().into(), data: None }
}
