//! The calls of apps to each other: from the port of one, by an [`exchange`] with another, and back.

mod fetch;

use std::sync::Arc;

use atoll_protocol::abi::{Buffer, Message};
use atoll_protocol::{ErrorObject, Fetch, Incoming, Response, RpcCall, code};
use futures_util::future::Abortable;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::call_context::CallContext;
use crate::call_sink::{CallSink, OutgoingCall};
use crate::exchange::{self, Target};
use crate::port::Port;
use crate::worker_message::CallRequest;

/// The apps that calls are for.
pub trait Apps: Clone + 'static {
    /// One of them.
    type App: Target;

    /// The app of this name.
    ///
    /// # Errors
    /// There is none: what the caller gets.
    fn find(&self, name: &str) -> Result<Arc<Self::App>, String>;

    /// How many bytes the body of a response may have that the app `caller` fetches.
    fn fetch_limit(&self, caller: &str) -> usize;

    /// Does `work` for `app` with this context, or with that of a step in the trace of `caller`.
    fn trace<T>(
        &self,
        app: &Self::App,
        caller: &str,
        name: impl FnOnce() -> String,
        context: CallContext,
        work: impl AsyncFnOnce(CallContext) -> Result<T, ErrorObject<'static>>,
    ) -> impl Future<Output = Result<T, ErrorObject<'static>>>;
}

/// Carries out the calls of apps on the thread that it was started on.
#[derive(Clone, Debug)]
pub struct AppCalls(mpsc::UnboundedSender<OutgoingCall>);

/// What comes back: a result, and the buffer that it refers to.
type Delivery = Result<(Box<RawValue>, Option<Buffer>), ErrorObject<'static>>;

impl AppCalls {
    /// Starts to carry out calls to these apps.
    ///
    /// # Panics
    /// Outside of a [`LocalSet`](tokio::task::LocalSet).
    pub fn start(apps: impl Apps) -> Arc<dyn CallSink> {
        let (sender, mut calls) = mpsc::unbounded_channel::<OutgoingCall>();
        tokio::task::spawn_local(async move {
            while let Some(call) = calls.recv().await {
                tokio::task::spawn_local(run(call, apps.clone()));
            }
        });
        Arc::new(Self(sender))
    }
}

impl CallSink for AppCalls {
    fn accept(&self, call: OutgoingCall) {
        if let Err(mpsc::error::SendError(call)) = self.0.send(call) {
            Caller::new(&call).deliver(Err(failure(code::UNAVAILABLE, "the host is shutting down")));
        }
    }
}

async fn run(call: OutgoingCall, apps: impl Apps) {
    let caller = Caller::new(&call);
    let OutgoingCall { request, cancelled, .. } = call;
    let delivery = Abortable::new(caller.carry_out(&apps, request), cancelled).await;
    caller.deliver(delivery.unwrap_or_else(|_aborted| Err(nobody_waits())));
}

/// The worker that a call came from, and that gets its answer.
struct Caller {
    port: Arc<Port>,
    /// The number that the app gave the call.
    id: u64,
}

impl Caller {
    fn new(call: &OutgoingCall) -> Self {
        Self { port: call.port.clone(), id: call.id }
    }

    fn deliver(&self, delivery: Delivery) {
        let Self { port, id } = self;
        match delivery {
            Ok((result, buffer)) => {
                port.answer_call(*id, &Response::result(*id, result), buffer.into_iter().collect());
            }
            Err(error) => port.answer_call(*id, &Response::error(*id, error), Vec::new()),
        }
    }

    async fn carry_out(&self, apps: &impl Apps, request: CallRequest) -> Delivery {
        match request {
            CallRequest::Call(message) => {
                let RpcCall { app, method, params, parent } = params(&message)?;
                let (app, context) = self.find(apps, &app, parent)?;
                let call = async |context| exchange::call(&*app, &method, params, context, |_| ()).await;
                let name = || format!("{}.{method}", app.name());
                Ok((apps.trace(&app, self.port.app(), name, context, call).await?, None))
            }
            CallRequest::Fetch(mut message) => {
                let buffer = message.transfer.take(0);
                let Fetch { app, request, parent } = params(&message)?;
                if !request.path.starts_with('/') {
                    let what = format!("the path {:?} failed to start with /", request.path);
                    return Err(failure(code::INVALID_PARAMS, what));
                }
                fetch::check(&request)?;
                let (app, context) = self.find(apps, &app, parent)?;
                let limit = apps.fetch_limit(self.port.app());
                let (method, name) = (request.method.clone(), app.name().to_owned());
                let name = || format!("{method} {name}");
                let fetch = async |context| fetch::fetch(&*app, request, buffer, context, limit).await;
                apps.trace(&app, self.port.app(), name, context, fetch).await
            }
        }
    }

    /// The app that is asked for, and on whose behalf.
    fn find<A: Apps>(
        &self,
        apps: &A,
        name: &str,
        parent: Option<u64>,
    ) -> Result<(Arc<A::App>, CallContext), ErrorObject<'static>> {
        let caller = self.port.app();
        let context = match parent {
            Some(parent) => self.port.adopt_call(self.id, parent).ok_or_else(nobody_waits)?,
            None => None,
        };
        let context = context
            .unwrap_or_else(|| CallContext::background(caller))
            .call(caller, name)
            .map_err(|cycle| failure(code::CALL_CYCLE, cycle.to_string()))?;
        let app = apps.find(name).map_err(|unknown| failure(code::UNAVAILABLE, unknown))?;
        Ok((app, context))
    }
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
