//! One worker of an app, on a separate thread.

use std::fmt::Display;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use atoll_port::answer::{self, AnswerError};
use atoll_port::{CallContext, CallSink, Limits, Port, ReplyEvent, WarningKind, Warnings, to_json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::host::{self, Asked, Event, Open};
use super::journal::Journal;
use super::table;
use crate::abi::{Buffer, Exit};
use crate::protocol::{Request, Start, Started, code, method};
use crate::worker::app::{App, work};
use crate::worker::rpc::RpcError;

/// A host's settings `queue`, `max_calls` and `message_limit`, when they are not set.
const LIMITS: Limits = Limits { queue: 1024, calls: 1024, message: 16 << 20 };

/// What an app does against the protocol is in the test's output.
#[derive(Debug)]
struct ToOutput;

impl Warnings for ToOutput {
    fn warn(self: Arc<Self>, _: WarningKind, what: &dyn Display) {
        eprintln!("{what}");
    }
}

/// What makes the app, on its worker.
pub(super) type Maker = Arc<dyn Fn(&Start) -> Box<dyn App> + Send + Sync>;

pub(super) struct Worker {
    start: Start,
    port: Arc<Port>,
    open: Arc<Open>,
    /// Carries out its calls to other apps.
    calls: Arc<dyn CallSink>,
    thread: Option<JoinHandle<()>>,
    ended: Mutex<Receiver<Exit>>,
    journal: Arc<Journal>,
    saves: bool,
    patience: Duration,
}

impl Worker {
    /// Starts a worker, and waits until it is ready.
    pub(super) fn start(
        make: &Maker,
        start: Start,
        calls: Arc<dyn CallSink>,
        patience: Duration,
    ) -> Result<Self, RpcError> {
        if !table::bind() {
            let what = "a `TestApp` cannot run inside a host: use it in tests";
            return Err(RpcError::new(code::START_FAILED, what));
        }
        let (app, journal) = (start.app.as_str(), Arc::new(Journal::default()));
        let port = Port::new(app.into(), LIMITS, Arc::new(ToOutput), calls.clone());
        let (at_end, ended) = channel();
        let (make, its_port, its_journal) = (make.clone(), port.clone(), journal.clone());
        let run = move || {
            table::keep_log(its_journal);
            let exit = work(table::worker_end(&its_port), |start| make(start));
            its_port.close();
            // Nobody may wait for it.
            let _ = at_end.send(exit);
        };
        let name = format!("{}#{}", start.app, start.generation);
        let thread = thread::Builder::new().name(name).spawn(run).map_err(|error| {
            RpcError::new(code::START_FAILED, format!("cannot start a thread for the app: {error}"))
        })?;
        let mut worker = Self {
            start,
            port,
            open: Arc::default(),
            calls,
            thread: Some(thread),
            ended: Mutex::new(ended),
            journal,
            saves: false,
            patience,
        };
        let started: Started = worker.ask(method::START, &worker.start)?;
        worker.saves = started.saves;
        Ok(worker)
    }

    pub(super) fn name(&self) -> &str {
        &self.start.app
    }

    /// What it was started with.
    pub(super) fn settings(&self) -> &Start {
        &self.start
    }

    pub(super) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    /// The test's requests that are not over.
    pub(super) fn open(&self) -> &Open {
        &self.open
    }

    /// What carries out its calls to other apps.
    pub(super) fn calls(&self) -> &Arc<dyn CallSink> {
        &self.calls
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether it has a state to hand over.
    pub(super) fn saves(&self) -> bool {
        self.saves
    }

    /// Sends a request; see [`Asked::send`].
    pub(super) fn send(
        &self,
        context: Option<CallContext>,
        json: impl FnOnce(u64) -> Vec<u8> + Send + 'static,
        buffer: Option<Buffer>,
    ) -> Asked {
        Asked::send(&self.port, &self.open, context, json, buffer)
    }

    /// Sends a notification, behind what the test has sent before.
    pub(super) fn notify(&self, method: &'static str, params: impl Serialize + Send + 'static) {
        let port = self.port.clone();
        host::run(move || port.notify(method, params, Vec::new()));
    }

    /// The context of a request of the test's.
    pub(super) fn context(&self) -> CallContext {
        let mut context = CallContext::background("test");
        context.set_deadline(tokio::time::Instant::now() + self.patience);
        context
    }

    /// Calls a method, of the app's or of the protocol, and waits for its result.
    pub(super) fn ask<R: DeserializeOwned>(&self, name: &str, params: impl Serialize) -> Result<R, RpcError> {
        let params =
            to_raw_value(&params).map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))?;
        let method = name.to_owned();
        let asked =
            self.send(Some(self.context()), move |id| to_json(&Request::new(id, &method, &params)), None);
        let message = loop {
            match asked.events.recv_timeout(self.patience) {
                Ok(Event::Reply(ReplyEvent::Answer(message, _), _)) => break message,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let (app, patience) = (self.name(), self.patience);
                    let what = format!("the app `{app}` did not respond to `{name}` within {patience:?}");
                    return Err(RpcError::new(code::DEADLINE_EXCEEDED, what));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let what = format!("the worker of the app `{}` has exited", self.name());
                    return Err(RpcError::new(code::UNAVAILABLE, what));
                }
            }
        };
        let result = answer::raw_result(&message.json).map_err(|error| match error {
            AnswerError::Failed(error) => RpcError::from_object(error),
            error => RpcError::new(code::INTERNAL_ERROR, error.to_string()),
        })?;
        serde_json::from_str(result.get()).map_err(|error| {
            let what = format!("cannot deserialize the result of `{name}`: {error}; it is {result}");
            RpcError::new(code::INTERNAL_ERROR, what)
        })
    }

    /// The state for the next generation.
    pub(super) fn save(&self) -> Result<Value, RpcError> {
        self.ask(method::STATE_SAVE, ())
    }

    /// Tells it to finish what it has, and to end; waits until it has. `None`: it has not.
    pub(super) fn stop(&mut self) -> Option<Exit> {
        self.notify(method::STOP, ());
        self.join()
    }

    /// Ends it, whatever it does.
    pub(super) fn close(&mut self) -> Option<Exit> {
        self.port.close();
        self.join()
    }

    fn join(&mut self) -> Option<Exit> {
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let exit = ended.recv_timeout(self.patience).ok()?;
        if let Some(thread) = self.thread.take() {
            // Its panics are caught in it.
            let _ = thread.join();
        }
        Some(exit)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.thread.is_none() || self.close().is_some() {
            return;
        }
        let (app, patience) = (self.name(), self.patience);
        let what = format!(
            "the thread of the app `{app}` did not exit within {patience:?}: a handler blocks it; leaving it running"
        );
        if thread::panicking() { eprintln!("{what}") } else { panic!("{what}") }
    }
}
