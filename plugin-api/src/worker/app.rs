//! What can be a worker, and what it does from its start to its end.

use std::borrow::Cow;

use crate::abi::Exit;
use crate::abi::call::Call;
use crate::abi::logging;
use crate::abi::panic::{catch, cover_hook};
use crate::abi::port::{Event, Port};
use crate::protocol::{self, ErrorObject, Start, Started, code, method};
use crate::worker::application::Application;
use crate::worker::event_loop;
use atoll_protocol::Error;

/// What can be a worker: an [`Application`].
pub trait App {
    /// Makes ready for the first request. The host waits for it, up to the start deadline.
    ///
    /// # Errors
    /// The start failed: the generation is discarded, and the previous one keeps serving.
    fn start(&mut self, start: &Start) -> Result<(), Error>;

    /// Whether it answers [`method::STATE_SAVE`] with a state for the next generation.
    fn saves(&self) -> bool {
        false
    }

    /// Serves the port until it receives `stop` or the port is closed.
    fn run(self: Box<Self>, start: &Start, port: Port) -> Exit;
}

impl App for Application {
    fn start(&mut self, start: &Start) -> Result<(), Error> {
        Application::start(self, start)
    }

    fn saves(&self) -> bool {
        Application::saves(self)
    }

    fn run(self: Box<Self>, start: &Start, port: Port) -> Exit {
        event_loop::run(*self, start, port)
    }
}

/// What a worker does from its start to its end, with the app that `make` makes.
pub(crate) fn work(port: Port, make: impl FnOnce(&Start) -> Box<dyn App>) -> Exit {
    catch(|| start(&port, make).map_or(Exit::Returned, |(app, start)| app.run(&start, port)))
        .unwrap_or(Exit::Panicked)
}

/// Waits for the host's `start`, makes the app and answers; `None` when there is nothing to run.
fn start(port: &Port, make: impl FnOnce(&Start) -> Box<dyn App>) -> Option<(Box<dyn App>, Start)> {
    let call = loop {
        match port.receive(None) {
            Event::Message(message) => break Call::parse(message).ok()?,
            Event::Woken | Event::TimedOut => {}
            Event::Closed => return None,
        }
    };
    let id = call.id().filter(|_| call.method() == method::START)?;
    let made =
        call.params::<Start>().map_err(|error| (code::INVALID_PARAMS, error.to_string())).and_then(|start| {
            match catch(|| {
                let mut app = make(&start);
                app.start(&start).map(|()| app)
            }) {
                Ok(Ok(app)) => {
                    // What the app has not set up itself by now. Where it has a logger, there is one; a hook for panics is called
                    // after the report to the host.
                    logging::install();
                    cover_hook();
                    #[cfg(feature = "tracing")]
                    crate::abi::tracing::find_subscriber();
                    Ok((app, start))
                }
                Ok(Err(error)) => Err((code::START_FAILED, error.to_string())),
                Err(panic) => Err((code::HANDLER_PANICKED, panic)),
            }
        });
    let sent = match &made {
        Ok((app, _)) => {
            port.send(&protocol::Response::result(id, Started { saves: app.saves() }), Vec::new())
        }
        Err((code, message)) => {
            let error = ErrorObject { code: *code, message: Cow::Borrowed(message), data: None };
            port.send(&protocol::Response::error(id, error), Vec::new())
        }
    };
    made.ok().filter(|_| sent.is_ok())
}
