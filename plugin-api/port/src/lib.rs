//! The host's end of a worker's port: the requests that the worker has not answered yet, with their deadlines, cancellation
//! and streams with credit, the calls that the app makes, and the way back of what workers send to the threads that wait
//! for it.
//!
//! What a port is does not depend on what carries its messages, which is a [`Transport`]. One is here: a channel to a worker on
//! a thread of this process, and a doorbell, of [`port_to_thread`]. The functions in the table that an app gets are those in
//! [`table`], for whatever [`WorkerEnd`] it has.
//!
//! | for | use |
//! |---|---|
//! | requests to a worker | [`Port::reserve`], [`Port::call`], which give an [`Answer`] |
//! | what comes back for one | [`ReplyEvent`], or that the [worker is gone](WorkerGone) |
//! | what a worker sends | [`Port::accept`] |
//! | one HTTP request, or one call of a method | [`exchange`] with a [`Target`](exchange::Target), or the [`problem`] that its client gets |
//! | the workers and the requests of a generation | [`Workers`], [`Requests`], [`InFlight`] |
//! | the calls of its app | [`app_calls`], or another [`CallSink`] of the host's |
//! | what its app does against the protocol | [`Warnings`] of the host's |
//!
//! Answers wait on a [`LocalSet`](tokio::task::LocalSet) of tokio's: each thread has one queue for all that it waits for.
//!
//! The crate is in the folder of `atoll-plugin`, whose `TestApp` is this port with a worker and no HTTP.

pub mod answer;
pub mod app_calls;
mod arrivals;
mod background;
pub mod buffer;
mod call_context;
mod call_sink;
mod doorbell;
pub mod exchange;
mod flow_control;
pub mod forked;
mod generation;
mod host_note;
mod in_process;
mod inlets;
mod message;
mod outgoing_calls;
mod port;
pub mod problem;
mod reply;
mod reply_queue;
mod request_line;
mod requests_at_fault;
pub mod shared_memory;
mod sync;
pub mod table;
mod timing;
mod transport;
mod warnings;
mod worker_end;
mod worker_message;

pub use self::call_context::{CallContext, Cycle};
pub use self::call_sink::{CallSink, OutgoingCall};
pub use self::doorbell::Doorbell;
pub use self::generation::{Generation, InFlight, Requests, SaveError, ShutdownSignal, StartError, Workers};
pub use self::host_note::HostNote;
pub use self::in_process::port_to_thread;
pub use self::message::{message, to_json};
pub use self::port::{Limits, Port};
pub use self::reply::{Answer, CallError, Permit};
pub use self::reply_queue::{Watch, WorkerGone, take_lane};
pub use self::requests_at_fault::RequestAtFault;
pub use self::timing::{RequestTiming, Taken};
pub use self::transport::{Bell, Inlet, Item, Transport};
pub use self::warnings::{WarningKind, Warnings};
pub use self::worker_end::{WorkerEnd, WorkerPort};
#[cfg(feature = "fuzzing")]
pub use self::worker_message::check_agreement;
pub use self::worker_message::{CallRequest, ReplyEvent, WorkerMessage, WorkerMessageError};
