//! What an app asks of its host: calls of other apps.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::port::Port;
use crate::abi::running::Running;
use crate::abi::{Buffer, Message};
use crate::http::body::Body;
use crate::http::header;
use crate::http::payload::Payload;
use crate::http::request_builder::RequestBuilder;
use crate::http::stream::Chunk;
use crate::protocol::{self, Fetch, Header, HttpResponse, RpcCall, code, method};
use crate::worker::background::{self, Background};
use crate::worker::rpc::RpcError;

/// The host, as a handler sees it: it brings calls and requests to other apps, without a socket.
///
/// What is asked for while a request is handled carries its deadline and its id on, and is cancelled when the request
/// ends. An app that would be called while it waits for the answer, by whatever way round, is not: the call fails.
///
/// ```
/// use atoll_plugin::prelude::*;
/// use atoll_plugin::Host;
///
/// async fn total(_: Request) -> Result<Json<i64>, Error> {
///     let sum: i64 = Host::current().call("calculator", "add", [1, 2]).await?;
///     Ok(Json(sum))
/// }
/// ```
#[derive(Clone)]
pub struct Host {
    requests: Arc<Requests>,
    /// The host's request on whose behalf this asks.
    parent: Option<u64>,
}

/// The requests of one worker that the host has not answered yet.
pub(crate) struct Requests {
    port: Port,
    running: Running,
    next_id: AtomicU64,
    /// `None` once the worker takes no more messages: then nothing is answered.
    waiting: Mutex<Option<Waiting>>,
    background: Background,
}

type Waiting = HashMap<u64, oneshot::Sender<Message>>;

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

impl Requests {
    pub(crate) fn new(port: Port) -> Arc<Self> {
        // Even numbers are the app's, odd ones the host's.
        Arc::new(Self {
            running: Running::new(&port),
            port,
            next_id: AtomicU64::new(2),
            waiting: Mutex::new(Some(HashMap::new())),
            background: Background::default(),
        })
    }

    /// What the worker is to do besides its requests, and has not begun.
    pub(crate) fn new_background(&self) -> Vec<background::Work> {
        self.background.take_new()
    }

    /// Changes the number of such pieces of work, of which the host is notified.
    fn count_background(&self, change: impl FnOnce(usize) -> usize) {
        self.background.count(change, |count| {
            let params = protocol::Background { count };
            // A host that does not listen does not wait for them, either.
            let _ = self.port.send(&protocol::Request::notification(method::BACKGROUND, params), Vec::new());
        });
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one out that waits. To wake or drop it runs code of a task's executor, so that is done without the lock.
    fn take(&self, id: u64) -> Option<oneshot::Sender<Message>> {
        self.waiting().as_mut()?.remove(&id)
    }

    /// Takes the host's answer to a request of this worker's.
    pub(crate) fn answered(&self, id: u64, message: Message) {
        let answer = self.take(id);
        if let Some(answer) = answer {
            // The task may have stopped waiting.
            let _ = answer.send(message);
        }
    }

    /// Fails the requests without an answer, and those to come: the worker takes no more messages.
    pub(crate) fn close(&self) {
        let waiting = self.waiting().take();
        drop((waiting, self.background.take_new()));
    }

    /// The host, on behalf of one of its requests.
    pub(crate) fn host(self: &Arc<Self>, parent: Option<u64>) -> Host {
        Host { requests: self.clone(), parent }
    }
}

impl Host {
    /// The host, on behalf of the request that is being handled on this thread.
    ///
    /// # Panics
    /// Outside of a worker: in a thread of the app's own, or in a test without a host. A handler can give a clone to
    /// its threads.
    pub fn current() -> Self {
        Self::try_current().expect("the host is known to the threads that it calls; give a clone to others")
    }

    /// The host, on behalf of the request that is being handled on this thread, if one is.
    pub fn try_current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// The host, without a request: for work that continues after the response; calls made for a request are cancelled
    /// when it ends.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { requests: self.requests.clone(), parent: None }
    }

    /// Has the worker do some work after its answers. The host waits for it as for a request: the app is not idle as long as
    /// it runs, and a generation that is replaced or stopped is given `drain_timeout_ms` to end it; after
    /// `stop_timeout_ms` more it is dropped. [`current`](Self::current) is a host without a request in it.
    ///
    /// If it panics, that is logged, and nothing else happens.
    ///
    /// ```
    /// use atoll_plugin::prelude::*;
    /// use atoll_plugin::Host;
    ///
    /// async fn order(req: Request) -> &'static str {
    ///     let order = req.text().unwrap_or_default().to_owned();
    ///     Host::current().wait_until(async move {
    ///         if let Err(error) = Host::current().call::<()>("mail", "send", order).await {
    ///             log::error!("no mail was sent: {error}");
    ///         }
    ///     });
    ///     "thank you"
    /// }
    /// ```
    pub fn wait_until(&self, work: impl Future<Output = ()> + Send + 'static) {
        let requests = self.requests.clone();
        requests.count_background(|count| count + 1);
        let counted = Counted(requests.clone());
        requests.background.add(Box::pin(async move {
            let _counted = counted;
            work.await;
        }));
        requests.port.waker().wake();
    }

    /// Runs `f`, with this host as the current one, on a thread that is not the worker's.
    #[cfg(feature = "tower")]
    pub(crate) fn scope_elsewhere<T>(&self, f: impl FnOnce() -> T) -> T {
        let _restore = Restore::set(self.clone());
        f()
    }

    /// Runs `f` on the worker's thread, with this host as the current one.
    pub(crate) fn scope<T>(&self, f: impl FnOnce() -> T) -> T {
        let _restore = Restore::set(self.clone());
        let _noted = self.requests.running.note(self.parent.unwrap_or(0));
        f()
    }

    /// Calls a JSON-RPC method of another app, which starts if need be.
    ///
    /// # Errors
    /// The method's; or [`code::UNAVAILABLE`], [`code::CALL_CYCLE`], [`code::DEADLINE_EXCEEDED`],
    /// [`code::METHOD_NOT_FOUND`].
    pub async fn call<R: DeserializeOwned>(
        &self,
        app: &str,
        method: &str,
        params: impl Serialize,
    ) -> Result<R, RpcError> {
        let params = serde_json::value::to_raw_value(&params)
            .map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))?;
        let params =
            RpcCall { app: app.into(), method: method.into(), params: Some(&params), parent: self.parent };
        let message = self.ask(method::CALL, params, Vec::new()).await?;
        let answer = answer(&message)?;
        serde_json::from_str(answer).map_err(|error| unreadable(&error))
    }

    /// Sends an HTTP request to another app, which starts if need be.
    ///
    /// # Errors
    /// No answer came: see [`call`](Self::call). An answer of any status is one.
    pub async fn fetch(&self, app: &str, request: RequestBuilder) -> Result<Fetched, RpcError> {
        let (mut request, body) = request.into_parts();
        let transfer: Vec<Buffer> = Payload::Vec(body).into_buffer(&self.requests.port).into_iter().collect();
        request.body = (!transfer.is_empty()).then_some(protocol::Body::Transfer(0));
        let params = Fetch { app: Cow::Borrowed(app), request, parent: self.parent };
        let mut message = self.ask(method::FETCH, params, transfer).await?;
        let response: HttpResponse<'_> =
            serde_json::from_str(answer(&message)?).map_err(|error| unreadable(&error))?;
        let headers = response
            .headers
            .into_iter()
            .map(|Header(name, value)| Header(name.into_owned().into(), value.into_owned().into()))
            .collect();
        let (status, body) = (response.status, response.body);
        let body = match body {
            Some(protocol::Body::Transfer(index)) => {
                Payload::Buffer(message.transfer.take(index).unwrap_or_default())
            }
            _ => Payload::Empty,
        };
        Ok(Fetched { status, headers, body })
    }

    async fn ask(
        &self,
        method: &str,
        params: impl Serialize,
        transfer: Vec<Buffer>,
    ) -> Result<Message, RpcError> {
        let requests = &self.requests;
        let id = requests.next_id.fetch_add(2, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let closed = || RpcError::new(code::UNAVAILABLE, "the host no longer receives messages");
        match &mut *requests.waiting() {
            Some(waiting) => _ = waiting.insert(id, answer),
            None => return Err(closed()),
        }
        let asked = Asked { requests, id };
        requests
            .port
            .send(&protocol::Request::new(id, method, params), transfer)
            .map_err(|_closed| closed())?;
        let message = answered.await.map_err(|_cancelled| closed());
        drop(asked);
        message
    }
}

/// A piece of work besides requests, as long as it is there.
struct Counted(Arc<Requests>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count_background(|count| count - 1);
    }
}

/// The host that was the current one before.
struct Restore(Option<Host>);

impl Restore {
    /// Makes this host the current one, until what is returned is dropped.
    fn set(host: Host) -> Self {
        Self(CURRENT.replace(Some(host)))
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// A pending request; dropping it cancels the request.
struct Asked<'a> {
    requests: &'a Requests,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let asked = self.requests.take(self.id);
        if asked.is_some() {
            let cancel = protocol::Cancel { id: self.id };
            // A host that does not listen has nothing to cancel.
            let _ =
                self.requests.port.send(&protocol::Request::notification(method::CANCEL, cancel), Vec::new());
        }
    }
}

fn answer(message: &Message) -> Result<&str, RpcError> {
    let incoming: protocol::Incoming<'_> =
        serde_json::from_slice(&message.json).map_err(|error| unreadable(&error))?;
    match incoming.error {
        Some(error) => Err(RpcError::from_object(error)),
        None => Ok(incoming.result.map_or("null", |result| result.get())),
    }
}

fn unreadable(error: &serde_json::Error) -> RpcError {
    RpcError::new(code::INTERNAL_ERROR, format!("cannot deserialize the response: {error}"))
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("parent", &self.parent).finish_non_exhaustive()
    }
}

/// A complete response: of another app to a [`fetch`](Host::fetch), or of an app under test.
#[derive(Debug)]
pub struct Fetched {
    status: u16,
    headers: Vec<Header<'static>>,
    body: Payload,
}

#[cfg(feature = "test")]
impl Fetched {
    pub(crate) fn new(status: u16, headers: Vec<Header<'static>>, body: Payload) -> Self {
        Self { status, headers, body }
    }

    pub(crate) fn set_body(&mut self, body: Payload) {
        self.body = body;
    }

    pub(crate) fn take_body(&mut self) -> Payload {
        std::mem::take(&mut self.body)
    }
}

impl Fetched {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, in any case; bytes that are not UTF-8 are replaced.
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        header::find(&self.headers, name).map(header::value_text)
    }

    /// All headers, repeats kept; bytes that are not UTF-8 are replaced.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.headers.iter().map(|header| (&*header.0, header::value_text(header)))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not what `T` takes.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.body())
    }

    /// The body, to be sent on without a copy.
    pub fn into_body(self) -> Body {
        Chunk(self.body).into()
    }
}
