//! A generation of an app under test, with one worker on a separate thread.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use atoll_port::answer::AnswerError;
use atoll_port::app_calls::AppCalls;
use atoll_port::exchange::{self, Target};
use atoll_port::problem::{Problem, ProblemKind};
use atoll_port::{
    CallContext, Generation, InFlight, Limits, RequestTiming, Requests, SaveError, StartError, WarningKind,
    Warnings, Workers, port_to_thread,
};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::journal::Journal;
use super::others::Others;
use super::{table, thread as host};
use crate::abi::Exit;
use crate::protocol::{Start, code, method};
use crate::worker::app::{App, work};
use crate::worker::rpc::RpcError;

/// A host's settings `queue`, `max_calls` and `message_limit`, when they are not set.
const LIMITS: Limits = Limits { queue: 1024, calls: 1024, message: 16 << 20 };

/// A host's setting `head_limit`, when it is not set.
const HEAD_LIMIT: usize = 256 << 10;

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

/// A generation, as the app that requests are sent to: it is not started again.
pub(super) struct TestGeneration {
    this: Weak<Self>,
    pub(super) start: Start,
    /// How long the test waits for anything.
    pub(super) patience: Duration,
    pub(super) workers: Workers,
    requests: Requests,
    asked: AtomicU64,
}

impl TestGeneration {
    /// The id of the next request.
    pub(super) fn request_id(&self) -> String {
        format!("test-{}", self.asked.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

impl Generation for TestGeneration {
    fn requests(&self) -> &Requests {
        &self.requests
    }

    fn workers(&self) -> &Workers {
        &self.workers
    }

    fn number(&self) -> u64 {
        self.start.generation
    }

    /// The test reads it from the response.
    fn note_incomplete(&self, _: &str) {}
}

impl Target for TestGeneration {
    type Generation = Self;

    fn name(&self) -> &str {
        &self.start.app
    }

    fn deadline(&self) -> Duration {
        self.patience
    }

    fn head_limit(&self) -> usize {
        HEAD_LIMIT
    }

    fn body_limit(&self) -> usize {
        usize::try_from(self.start.body_limit).unwrap_or(usize::MAX)
    }

    fn shows_details(&self) -> bool {
        true
    }

    /// The test has it in the response.
    fn log_failure(&self, _: impl FnOnce() -> String) {}

    fn enter(&self) -> Option<Result<InFlight<Self>, Problem>> {
        InFlight::enter(&self.this.upgrade()?).map(Ok)
    }

    async fn wait(&self) -> Result<(), Problem> {
        let detail = format!("The worker of the app `{}` has exited.", self.name());
        Err(Problem::new(ProblemKind::Unavailable, detail))
    }

    fn note_answer(&self, _: &Self, _: Option<RequestTiming>) {}
}

/// The thread of a generation's worker, and the test's side of it.
pub(super) struct Worker {
    pub(super) generation: Arc<TestGeneration>,
    thread: Option<JoinHandle<()>>,
    ended: Mutex<Receiver<Exit>>,
    pub(super) journal: Arc<Journal>,
}

impl Worker {
    /// Starts a worker which can call these other apps, and waits until it is ready.
    pub(super) fn start(
        make: &Maker,
        start: Start,
        others: Others,
        patience: Duration,
    ) -> Result<Self, RpcError> {
        if !table::bind() {
            let what = "a `TestApp` cannot run inside a host: use it in tests";
            return Err(RpcError::new(code::START_FAILED, what));
        }
        let call_sink = host::wait(|| async { AppCalls::start(others) });
        let warnings: Arc<dyn Warnings> = Arc::new(ToOutput);
        let (port, end) = port_to_thread(start.app.as_str().into(), LIMITS, warnings, call_sink);
        let workers = Workers::new([port.clone()]);
        let (at_end, ended) = channel();
        let (make, journal) = (make.clone(), Arc::new(Journal::default()));
        let its_journal = journal.clone();
        let run = move || {
            table::keep_log(its_journal);
            let exit = work(table::worker_end(end), |start| make(start));
            port.close();
            // Nobody may wait for it.
            let _ = at_end.send(exit);
        };
        let name = format!("{}#{}", start.app, start.generation);
        let thread = thread::Builder::new().name(name).spawn(run).map_err(|error| {
            RpcError::new(code::START_FAILED, format!("cannot start a thread for the app: {error}"))
        })?;
        let generation = Arc::new_cyclic(|this| TestGeneration {
            this: this.clone(),
            start,
            patience,
            workers,
            requests: Requests::default(),
            asked: AtomicU64::default(),
        });
        let worker = Self { generation, thread: Some(thread), ended: Mutex::new(ended), journal };
        let started = worker.wait(async move |generation| {
            let start = generation.start.clone();
            let states = start.state.iter().cloned().collect();
            generation.workers.start(start, states, patience).await
        });
        match started {
            Ok(()) => Ok(worker),
            Err(StartError::Refused { reason: AnswerError::Failed(error), .. }) => {
                Err(RpcError::from_object(error))
            }
            Err(error) => Err(RpcError::new(code::START_FAILED, error.to_string())),
        }
    }

    /// What comes of work on the host's thread, behind what the test has asked before.
    fn wait<T: Send + 'static>(&self, work: impl AsyncFnOnce(&TestGeneration) -> T + Send + 'static) -> T {
        let generation = self.generation.clone();
        host::wait(move || async move { work(&generation).await })
    }

    /// How many requests it has.
    pub(super) fn in_flight(&self) -> usize {
        self.wait(async |generation| generation.requests.in_flight() + generation.workers.background())
    }

    /// Ends endless streams, as a host does when the app is replaced.
    pub(super) fn end_endless(&self) {
        self.wait(async |generation| generation.requests.shutdown().cancel_endless());
    }

    /// Admits no more requests, and waits until it has none; how many it has when the time is over.
    pub(super) fn drain(&self) -> usize {
        self.wait(async |generation| {
            generation.requests.retire();
            let left = generation.requests.drain(generation.patience).await;
            left + generation.workers.drain_background(generation.patience).await
        })
    }

    /// Sends a notification.
    pub(super) fn notify(&self, method: &'static str, params: impl Serialize + Send + 'static) {
        self.wait(async move |generation| generation.workers.notify(method, &params));
    }

    /// Calls one of the app's methods; the text of its result.
    pub(super) fn call(&self, name: &str, params: Box<RawValue>) -> Result<Box<RawValue>, RpcError> {
        let (generation, name) = (self.generation.clone(), name.to_owned());
        let called = host::wait(move || async move {
            exchange::call(&*generation, &name, params, CallContext::background("test"), |_| ()).await
        });
        called.map_err(RpcError::from_object)
    }

    /// The state for the next generation.
    pub(super) fn save(&self) -> Result<Value, RpcError> {
        let saved = self.wait(async |generation| generation.workers.save(generation.patience).await);
        match saved {
            Ok(states) => Ok(states.into_iter().next().unwrap_or_default()),
            Err(SaveError::Answer(AnswerError::Failed(error))) => Err(RpcError::from_object(error)),
            Err(error) => Err(RpcError::new(code::INTERNAL_ERROR, error.to_string())),
        }
    }

    /// Tells it to finish what it has, and to end; waits until it has. `None`: it has not.
    pub(super) fn stop(&mut self) -> Option<Exit> {
        self.notify(method::STOP, ());
        self.join()
    }

    fn join(&mut self) -> Option<Exit> {
        let patience = self.generation.patience;
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let exit = ended.recv_timeout(patience).ok()?;
        if let Some(thread) = self.thread.take() {
            // Its panics are caught in it.
            let _ = thread.join();
        }
        Some(exit)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.generation.workers.close();
        if self.thread.is_none() || self.join().is_some() {
            return;
        }
        let (app, patience) = (&self.generation.start.app, self.generation.patience);
        let what = format!(
            "the thread of the app `{app}` did not exit within {patience:?}: a handler blocks it; leaving it running"
        );
        if thread::panicking() { eprintln!("{what}") } else { panic!("{what}") }
    }
}
