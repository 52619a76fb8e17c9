//! A service with the threads that answer its requests.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::task::{JoinError, JoinHandle};

use super::body::Body;
use super::service::{BoxError, HttpService, SendHttpService};
use crate::worker::host::Host;

type Answer<B> = Result<Response<B>, BoxError>;

/// Has a service answer on the threads of the runtime.
pub(super) type Spawn<S> = fn(S, Request<Body>) -> JoinHandle<Answer<<S as HttpService>::ResponseBody>>;

/// Has a service answer on the threads of the runtime, with the current host.
pub(super) fn spawn<S: SendHttpService>(
    service: S,
    request: Request<Body>,
) -> JoinHandle<Answer<S::ResponseBody>> {
    let work = service.answer_on_any_thread(request);
    match Host::try_current() {
        Some(host) => tokio::spawn(Elsewhere { host, work: Box::pin(work) }),
        None => tokio::spawn(work),
    }
}

/// A service, which answers on the worker's thread or on the threads of its runtime.
#[derive(Clone)]
pub(super) struct Caller<S: HttpService> {
    service: S,
    spawn: Option<Spawn<S>>,
}

impl<S: HttpService> Caller<S> {
    /// Without `spawn`, it answers on the worker's thread.
    pub(super) fn new(service: S, spawn: Option<Spawn<S>>) -> Self {
        Self { service, spawn }
    }

    pub(super) async fn answer(self, request: Request<Body>) -> Answer<S::ResponseBody> {
        let Some(spawn) = self.spawn else { return self.service.answer(request).await };
        match AbortOnDrop(spawn(self.service, request)).await {
            Ok(answer) => answer,
            // The hook has reported it, and the worker answers as it does for a panic on its thread.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Polls with a host as the current one.
struct Elsewhere<W> {
    host: Host,
    work: Pin<Box<W>>,
}

impl<W: Future> Future for Elsewhere<W> {
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<W::Output> {
        let this = &mut *self;
        this.host.scope_elsewhere(|| this.work.as_mut().poll(context))
    }
}

/// A task that ends with those who wait for it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}
