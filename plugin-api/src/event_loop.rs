//! What a worker does: messages in, handlers run, answers out.
//!
//! One thread serves many requests at once: handlers that are futures are polled when they are woken, between
//! messages, as on an isolate's event loop.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::AbortHandle;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use crate::abi::{Exit, Message};
use crate::application::{Application, Handled};
use crate::call::Call;
use crate::error::Error;
use crate::panic::catch;
use crate::port::{Closed, Event, Port};
use crate::protocol::{self, ErrorData, ErrorObject, HttpResponse, code, method};
use crate::request::Request;
use crate::response::Response;
use crate::task::{Outcome, Task};

/// After so many messages without a pause, the futures that were woken get their turn.
const MESSAGES_PER_TURN: usize = 64;

type Answer = Result<Response, Error>;

/// Serves an application until it is told to stop, or the port is closed.
pub(crate) fn run(application: Application, port: Port) -> Exit {
    let waker = port.waker();
    let event_loop = EventLoop {
        application: Rc::new(application),
        port,
        tasks: FuturesUnordered::new(),
        cancels: HashMap::new(),
        waker,
        stopping: false,
    };
    event_loop.run()
}

struct EventLoop {
    application: Rc<Application>,
    port: Port,
    tasks: FuturesUnordered<Task<Answer>>,
    cancels: HashMap<u64, AbortHandle>,
    waker: Waker,
    stopping: bool,
}

impl EventLoop {
    fn run(mut self) -> Exit {
        while !(self.stopping && self.tasks.is_empty()) {
            if self.turn().is_err() {
                break;
            }
        }
        Exit::Stopped
    }

    /// Waits for something to do, then does all that there is.
    fn turn(&mut self) -> Result<(), Closed> {
        let mut event = self.port.receive(None);
        for _ in 0..MESSAGES_PER_TURN {
            match event {
                Event::Message(message) => self.message(message)?,
                Event::Woken => {}
                Event::TimedOut => break,
                Event::Closed => return Err(Closed),
            }
            event = self.port.receive(Some(Duration::ZERO));
        }
        if let Event::Message(message) = event {
            self.message(message)?;
        }
        self.poll_tasks()
    }

    fn message(&mut self, message: Message) -> Result<(), Closed> {
        let call = match Call::parse(message) {
            Ok(call) => call,
            Err(error) => {
                log::error!("a message of the host's cannot be read: {error}");
                return Ok(());
            }
        };
        match (call.method(), call.id()) {
            (method::HTTP, Some(id)) => self.http(id, call),
            (method::STATE_SAVE, Some(id)) => self.save(id),
            (method::CANCEL, None) => {
                self.cancel(&call);
                Ok(())
            }
            (method::STOP, None) => {
                self.stopping = true;
                Ok(())
            }
            (name, Some(id)) => {
                let message = format!("this app has no method {name}");
                self.fail(id, code::METHOD_NOT_FOUND, message.into(), None)
            }
            (_, None) => Ok(()),
        }
    }

    fn http(&mut self, id: u64, call: Call) -> Result<(), Closed> {
        let (json, params, transfer) = call.into_parts();
        let request = match Request::parse(json, params, transfer) {
            Ok(request) => request,
            Err(error) => return self.fail(id, code::INVALID_PARAMS, error.to_string().into(), None),
        };
        match catch(|| self.application.handle(request)) {
            Ok(Handled::Ready(answer)) => self.answer(id, Outcome::Returned(answer)),
            Ok(Handled::Pending(work)) => {
                let (task, cancel) = Task::new(id, work);
                self.cancels.insert(id, cancel);
                self.tasks.push(task);
                Ok(())
            }
            Err(panic) => self.answer(id, Outcome::Panicked(panic)),
        }
    }

    fn cancel(&mut self, call: &Call) {
        if let Ok(protocol::Cancel { id }) = call.params()
            && let Some(cancel) = self.cancels.get(&id)
        {
            cancel.abort();
        }
    }

    fn poll_tasks(&mut self) -> Result<(), Closed> {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        while let Poll::Ready(Some((id, outcome))) = self.tasks.poll_next_unpin(&mut context) {
            self.cancels.remove(&id);
            self.answer(id, outcome)?;
        }
        Ok(())
    }

    fn answer(&self, id: u64, outcome: Outcome<Answer>) -> Result<(), Closed> {
        match outcome {
            Outcome::Returned(Ok(response)) => self.respond(id, response),
            Outcome::Returned(Err(error)) => {
                let data = ErrorData { status: error.status() };
                self.fail(id, code::HANDLER_FAILED, error.to_string().into(), serde_json::to_value(data).ok())
            }
            Outcome::Panicked(text) => self.fail(id, code::HANDLER_PANICKED, text.into(), None),
            Outcome::Cancelled => self.fail(id, code::CANCELLED, "the request was cancelled".into(), None),
        }
    }

    fn respond(&self, id: u64, response: Response) -> Result<(), Closed> {
        let (status, headers, body) = response.into_parts();
        let transfer: Vec<_> = body.into_buffer(&self.port).into_iter().collect();
        let body = (!transfer.is_empty()).then_some(protocol::Body::Transfer(0));
        self.port.send(&protocol::Response::result(id, HttpResponse { status, headers, body }), transfer)
    }

    fn save(&self, id: u64) -> Result<(), Closed> {
        match catch(|| self.application.save()) {
            Ok(Ok(state)) => self.port.send(&protocol::Response::<Value>::result(id, state), Vec::new()),
            Ok(Err(error)) => self.fail(id, code::HANDLER_FAILED, error.to_string().into(), None),
            Err(panic) => self.fail(id, code::HANDLER_PANICKED, panic.into(), None),
        }
    }

    fn fail(&self, id: u64, code: i64, message: Cow<'_, str>, data: Option<Value>) -> Result<(), Closed> {
        self.port.send(&protocol::Response::error(id, ErrorObject { code, message, data }), Vec::new())
    }
}
