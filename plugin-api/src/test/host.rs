//! The thread of the host's end: the answers to all that tests have asked wait there, as on one of a host's threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use atoll_port::{Answer, CallContext, Port, ReplyEvent};
use futures_util::future::poll_fn;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender, WeakUnboundedSender};
use tokio::task::{LocalSet, spawn_local};

use super::follows::{Endless, Follows};
use crate::abi::Buffer;
use crate::protocol::{WsClose, method};

/// With what code and reason a WebSocket is closed when its app is replaced.
pub(super) const RESTART: (u16, &str) = (1012, "the app is being replaced");

type Job = Box<dyn FnOnce() + Send>;

/// Does something on the host's thread, where it may spawn local tasks.
pub(super) fn run(job: impl FnOnce() + Send + 'static) {
    static JOBS: OnceLock<UnboundedSender<Job>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime needs a thread and a timer only");
            LocalSet::new().block_on(&runtime, async {
                while let Some(job) = jobs.recv().await {
                    job();
                }
            });
        };
        thread::Builder::new().name("test host".to_owned()).spawn(serve).expect("there is a thread for it");
        sender
    });
    // The thread lasts as long as the process.
    let _ = jobs.send(Box::new(job));
}

/// What comes for a request.
pub(super) enum Event {
    /// From the app; and what follows, if it is the answer.
    Reply(ReplyEvent, Follows),
    /// The app is being replaced, which ends endless streams.
    Replaced,
}

enum Command {
    Act(Box<dyn FnOnce(&Answer) + Send>),
    Replace,
    Cancel,
}

/// Ends a request when it is dropped.
pub(super) struct Canceller(WeakUnboundedSender<Command>);

impl Drop for Canceller {
    fn drop(&mut self) {
        if let Some(request) = self.0.upgrade() {
            // It may be over now.
            let _ = request.send(Command::Cancel);
        }
    }
}

/// The requests of one worker that are not over.
#[derive(Default)]
pub(super) struct Open {
    requests: Mutex<HashMap<u64, WeakUnboundedSender<Command>>>,
    settled: Condvar,
}

impl Open {
    fn requests(&self) -> MutexGuard<'_, HashMap<u64, WeakUnboundedSender<Command>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, number: u64) {
        self.requests().remove(&number);
        self.settled.notify_all();
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.requests().len()
    }

    /// Waits until there are none; how many there are when the time is over.
    pub(super) fn settle(&self, patience: Duration) -> usize {
        let waited =
            self.settled.wait_timeout_while(self.requests(), patience, |requests| !requests.is_empty());
        waited.unwrap_or_else(PoisonError::into_inner).0.len()
    }

    /// Ends endless streams, as a host does when the app is replaced.
    pub(super) fn end_endless(&self) {
        for request in self.requests().values().filter_map(WeakUnboundedSender::upgrade) {
            // It may be over now.
            let _ = request.send(Command::Replace);
        }
    }
}

/// A request of the test's: what comes for it, and the way to send more. Dropped, the request is cancelled.
pub(super) struct Asked {
    pub(super) events: Receiver<Event>,
    commands: UnboundedSender<Command>,
    open: Arc<Open>,
    number: u64,
}

impl Asked {
    /// Sends the request that `json` writes, of the number that it gets. From a worker that has ended nothing comes.
    pub(super) fn send(
        port: &Arc<Port>,
        open: &Arc<Open>,
        context: Option<CallContext>,
        json: impl FnOnce(u64) -> Vec<u8> + Send + 'static,
        buffer: Option<Buffer>,
    ) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = channel();
        let (commands, receiver) = mpsc::unbounded_channel();
        open.requests().insert(number, commands.downgrade());
        let (port, all) = (port.clone(), open.clone());
        run(move || {
            let mut buffer = buffer;
            let sent =
                port.reserve().and_then(|permit| permit.on_behalf(context.as_ref()).send(json, &mut buffer));
            match sent {
                Ok(answer) => {
                    let relay = Relay {
                        answer,
                        events: sender,
                        commands: receiver,
                        endless: None,
                        open: all,
                        number,
                    };
                    drop(spawn_local(relay.run()));
                }
                Err(_) => all.end(number),
            }
        });
        Self { events, commands, open: open.clone(), number }
    }

    /// What ends the request when it is dropped.
    pub(super) fn canceller(&self) -> Canceller {
        Canceller(self.commands.downgrade())
    }

    /// Does something with the request on the host's thread, if it is not over.
    pub(super) fn act(&self, act: impl FnOnce(&Answer) + Send + 'static) {
        // One that is over takes no more.
        let _ = self.commands.send(Command::Act(Box::new(act)));
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.open.end(self.number);
    }
}

/// Brings what comes for one request to the test, and what the test sends to the app.
struct Relay {
    answer: Answer,
    events: Sender<Event>,
    commands: UnboundedReceiver<Command>,
    endless: Option<Endless>,
    open: Arc<Open>,
    number: u64,
}

impl Relay {
    async fn run(mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// Ready when the request is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(command) = self.commands.poll_recv(context) {
            match command {
                Some(Command::Act(act)) => act(&self.answer),
                Some(Command::Replace) => {
                    let Some(endless) = self.endless.take() else { continue };
                    self.tell(Event::Replaced);
                    if endless != Endless::WebSocket {
                        return Poll::Ready(());
                    }
                    let (code, reason) = RESTART;
                    let close = WsClose { id: self.answer.id(), code, reason: reason.into() };
                    self.answer.notify(method::WS_CLOSE, close);
                }
                // The test has dropped it.
                Some(Command::Cancel) | None => return Poll::Ready(()),
            }
        }
        loop {
            // Else the worker is gone.
            let Ok(event) = ready!(self.answer.poll_event(context)) else { return Poll::Ready(()) };
            let follows = Follows::of(&event);
            if let Follows::Endless(endless) = follows {
                self.endless = Some(endless);
            }
            let is_last = match &event {
                ReplyEvent::Answer(..) => follows == Follows::Nothing,
                ReplyEvent::End | ReplyEvent::Failed(_) | ReplyEvent::WsClose(..) => true,
                ReplyEvent::Chunk(_) | ReplyEvent::Credit(_) | ReplyEvent::WsMessage(..) => false,
            };
            self.tell(Event::Reply(event, follows));
            if is_last {
                self.answer.over();
                return Poll::Ready(());
            }
        }
    }

    fn tell(&self, event: Event) {
        // The test may have let go of it just now.
        let _ = self.events.send(event);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.open.end(self.number);
    }
}
