//! What is kept of an app's log records, panics, failures and faults, and reported of them.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::observe::fields::RecordFields;

/// A log record of an app's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Its number, counted from 1 for each app.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// What wrote it: usually a module's path.
    pub target: String,
    /// The generation that wrote it.
    pub generation: u64,
    /// The text.
    pub message: String,
    /// Its fields, and the spans that it was written in.
    #[serde(flatten)]
    pub fields: RecordFields,
}

/// A change of how an app's requests are split between versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrafficEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How they are split from then on, and why.
    pub what: String,
}

/// A change of whether a host has the lease of an app that runs on one host of a fleet at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What has happened, and why.
    pub what: String,
}

/// A panic in an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PanicEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The generation that panicked.
    pub generation: u64,
    /// What the panic said.
    pub message: String,
    /// Where it was: `src/lib.rs:12:9`.
    pub location: String,
    /// The app's functions on the stack, the innermost first; empty where `RUST_BACKTRACE` is `0`.
    pub backtrace: Vec<FrameEntry>,
}

/// A function on the stack of a panic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FrameEntry {
    /// Its name.
    pub function: String,
    /// Where in it: `src/lib.rs:12`; absent where the library has no debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// A request that the app or the host could not answer, with a status of 500 or above.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The request's id.
    pub request_id: String,
    /// Its method and path.
    pub request: String,
    /// The status of the answer.
    pub status: u16,
    /// What was said of it.
    pub detail: String,
}

/// A fault that ended a host: a signal such as SIGSEGV, or a stack overflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultEntry {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The host's process.
    pub process: u32,
    /// The app that caused it; absent when a thread of the host did.
    #[serde(default)]
    pub app: Option<String>,
    /// Its generation.
    #[serde(default)]
    pub generation: Option<u64>,
    /// The number of its worker; absent on a thread that the app started.
    #[serde(default)]
    pub worker: Option<usize>,
    /// The name of the thread: its first 15 bytes.
    pub thread: String,
    /// The signal, such as `SIGSEGV`.
    pub signal: String,
    /// What happened: `stack overflow`, `null pointer dereference`.
    pub cause: String,
    /// The address that could not be accessed, or that of the instruction; absent when the code raised the signal.
    #[serde(default)]
    pub address: Option<String>,
    /// The request that the worker ran.
    #[serde(default)]
    pub request: Option<FaultRequest>,
    /// All requests that the app's workers had, or the worker that failed, when the one that caused it is unknown.
    #[serde(default)]
    pub candidates: Vec<FaultRequest>,
    /// The functions on the stack, the innermost first: `LIBRARY+0xOFFSET` where the library is not available.
    pub backtrace: Vec<FrameEntry>,
    /// The hash of the app's library.
    #[serde(default)]
    pub library: Option<String>,
    /// Whether it ended a process of the app's own rather than the host.
    #[serde(default)]
    pub own_process: bool,
    /// Whether the app was enabled or got another library since: then `on_fault` no longer applies.
    #[serde(default)]
    pub resolved: bool,
}

/// A request in a [`FaultEntry`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FaultRequest {
    /// The number of the worker that had it.
    pub worker: usize,
    /// The request's id.
    pub request_id: String,
    /// The beginning of its method and path.
    pub request: String,
}

impl FaultEntry {
    /// What happened, in a clause: `it ended the host with SIGSEGV (…)`.
    pub fn summary(&self) -> String {
        let whose = if self.own_process { "its process" } else { "the host" };
        let mut text = format!("it ended {whose} with {} ({})", self.signal, self.cause);
        if let Some(request) = &self.request {
            // Writing to a string does not fail.
            let _ = write!(text, " during {} (request {})", request.request, request.request_id);
        }
        text
    }

    /// All of it but the backtrace, in a sentence that begins with the app's name.
    pub fn report(&self) -> String {
        let Self { process, signal, cause, .. } = self;
        let app = self.app.as_deref().unwrap_or("host");
        let culprit = self.culprit();
        let whose = if self.own_process { "its process" } else { "the host's previous process" };
        let mut text = format!("{app}: {culprit} ended {whose} {process} with {signal} ({cause})");
        // Writing to a string does not fail.
        let _ = match (&self.address, &self.request) {
            (Some(address), _) if signal != "SIGABRT" => write!(text, " at {address}"),
            _ => Ok(()),
        };
        if let Some(request) = &self.request {
            let _ = write!(text, " during {} (request {})", request.request, request.request_id);
        } else if !self.candidates.is_empty() {
            let all = self.candidates.iter();
            let all: Vec<_> = all.map(|it| format!("{} (request {})", it.request, it.request_id)).collect();
            let _ = write!(text, "; the app had {}", all.join(", "));
        }
        text
    }

    /// As [`report`](Self::report), with the functions on the stack in the lines below.
    pub(crate) fn report_with_backtrace(&self) -> String {
        let mut text = self.report();
        for frame in &self.backtrace {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {}", frame.function);
            if let Some(location) = &frame.location {
                let _ = write!(text, "\n      at {location}");
            }
        }
        text
    }

    /// Who caused it: `worker 0 of bad#1`.
    pub fn culprit(&self) -> String {
        let thread = &self.thread;
        match (&self.app, self.generation, self.worker) {
            (Some(app), Some(generation), Some(worker)) => format!("worker {worker} of {app}#{generation}"),
            (Some(app), Some(generation), None) => format!("the thread \"{thread}\" of {app}#{generation}"),
            (Some(app), ..) => format!("the thread \"{thread}\" of {app}"),
            (None, ..) => format!("the thread \"{thread}\" of the host"),
        }
    }
}
