//! One worker of an app, on a separate thread.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::event::Event;
use super::journal::Journal;
use super::others::Others;
use super::port::{Port, to_json};
use super::table;
use crate::abi::Exit;
use crate::protocol::{Incoming, Request, Start, Started, code, method};
use crate::worker::app::{App, work};
use crate::worker::rpc::RpcError;

/// What makes the app, on its worker.
pub(super) type Maker = Arc<dyn Fn(&Start) -> Box<dyn App> + Send + Sync>;

pub(super) struct Worker {
    start: Start,
    port: Arc<Port>,
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
        others: Others,
        patience: Duration,
    ) -> Result<Self, RpcError> {
        if !table::bind() {
            let what = "a `TestApp` cannot run inside a host: use it in tests";
            return Err(RpcError::new(code::START_FAILED, what));
        }
        let (port, journal) = (Port::new(others), Arc::new(Journal::default()));
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

    /// Calls a method, of the app's or of the protocol, and waits for its result.
    pub(super) fn ask<R: DeserializeOwned>(&self, name: &str, params: impl Serialize) -> Result<R, RpcError> {
        let result = self.ask_raw(name, params, |_| true)?;
        serde_json::from_str(result.get()).map_err(|error| {
            let what = format!("cannot deserialize the result of `{name}`: {error}; it is {result}");
            RpcError::new(code::INTERNAL_ERROR, what)
        })
    }

    /// As [`ask`](Self::ask). `note` gets the request's id; `false`: it is no longer pending.
    pub(super) fn ask_raw(
        &self,
        name: &str,
        params: impl Serialize,
        note: impl FnOnce(u64) -> bool,
    ) -> Result<Box<RawValue>, RpcError> {
        let params = serde_json::value::to_raw_value(&params)
            .map_err(|error| RpcError::new(code::INVALID_PARAMS, error.to_string()))?;
        let (id, events) = self.port.ask(|id| to_json(&Request::new(id, name, &params)), Vec::new());
        let asked = Asked { port: &self.port, id };
        if !note(id) {
            return Err(RpcError::new(code::CANCELLED, "this call is no longer pending"));
        }
        loop {
            let message = match events.recv_timeout(self.patience) {
                Ok(Event::Answer(message, _)) => message,
                Ok(_) => continue,
                Err(RecvTimeoutError::Timeout) => {
                    let (app, patience) = (self.name(), self.patience);
                    let what = format!("the app `{app}` did not respond to `{name}` within {patience:?}");
                    return Err(RpcError::new(code::DEADLINE_EXCEEDED, what));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let what = format!("the worker of the app `{}` has exited", self.name());
                    return Err(RpcError::new(code::UNAVAILABLE, what));
                }
            };
            drop(asked);
            let incoming: Incoming<'_> = serde_json::from_slice(&message.json)
                .map_err(|error| RpcError::new(code::INTERNAL_ERROR, error.to_string()))?;
            return match incoming.error {
                Some(error) => Err(RpcError::from_object(error)),
                None => Ok(incoming.result.unwrap_or(RawValue::NULL).to_owned()),
            };
        }
    }

    /// The state for the next generation.
    pub(super) fn save(&self) -> Result<Value, RpcError> {
        self.ask(method::STATE_SAVE, ())
    }

    /// Tells it to finish what it has, and to end; waits until it has. `None`: it has not.
    pub(super) fn stop(&mut self) -> Option<Exit> {
        self.port.notify(method::STOP, ());
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

/// A pending request; dropping it cancels the request.
struct Asked<'a> {
    port: &'a Port,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.port.forget(self.id);
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
