//! One request through an app's port, whatever it came by: what [`atoll_port::exchange`] does, for the apps of this host and
//! with the problems that their clients get.

use std::time::Duration;

use atoll_plugin::protocol::{HttpRequest, HttpResponse};
use atoll_port::CallContext;
use atoll_port::exchange::{self, Target};

use crate::app::handle::App;
use crate::app::unavailable::Unavailable;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::generation::handle::{Generation, InFlight};
use crate::observe::timing::RequestTiming;

pub use atoll_port::exchange::{BodyPart, BodySource, RequestBody};
pub(crate) use atoll_port::exchange::{WHOLE_LIMIT, is_trailer, pace};

/// When a client may try again that has asked a host on which the app stands by: another host may have it by then.
const STANDBY_RETRY: Duration = Duration::from_secs(1);

/// Who has answered, and how long it took.
pub type Answered<'a> = exchange::Answered<'a, Generation>;

/// The body of an app's answer.
pub type ResponseBody = exchange::ResponseBody<Generation>;

/// A body as the app sends it, and the request's own body on the way to it.
pub type Download = exchange::Download<Generation>;

/// One request, from the moment that it was sent to a generation.
pub type Exchange = exchange::Exchange<Generation>;

/// Sends a request to an app, and reads its answer with `read`: see [`atoll_port::exchange::http`].
///
/// # Errors
/// See [`ProblemKind`].
pub fn http<T>(
    app: &App,
    request: HttpRequest<'_>,
    body: RequestBody,
    read: impl FnOnce(Answered<'_>, HttpResponse<'_>, ResponseBody) -> T,
) -> impl Future<Output = Result<T, Problem>> {
    let context = CallContext::of_http(&request);
    exchange::http(app, request, body, context, read)
}

impl Target for App {
    type Generation = Generation;

    fn name(&self) -> &str {
        self.registered_name()
    }

    fn deadline(&self) -> Duration {
        self.deadline()
    }

    fn head_limit(&self) -> usize {
        self.head_limit()
    }

    fn body_limit(&self) -> usize {
        self.settings().body_limit
    }

    fn shows_details(&self) -> bool {
        self.shows_details()
    }

    fn log_failure(&self, line: impl FnOnce() -> String) {
        self.app_log().log_failure(|| match self.version() {
            Some(version) => format!("{} (version {version})", line()),
            None => line(),
        });
    }

    fn enter(&self) -> Option<Result<InFlight, Problem>> {
        match self.successor() {
            Some(successor) => admit(&successor),
            None => admit(self),
        }
    }

    async fn wait(&self) -> Result<(), Problem> {
        if let Some(successor) = self.successor() {
            return successor.wait().await.map_err(|error| unavailable(&successor, &error));
        }
        match self.wait().await {
            // A version that was taken away after this request has chosen it.
            Err(Unavailable::Closing) if self.leave() => Ok(()),
            waited => waited.map_err(|error| unavailable(self, &error)),
        }
    }

    fn note_answer(&self, generation: &Generation, times: Option<RequestTiming>) {
        generation.note_answer();
        if let Some(times) = times {
            self.metrics().observe_timing(times);
        }
    }
}

/// Admits a request to the generation that serves; `None` if none does.
fn admit(app: &App) -> Option<Result<InFlight, Problem>> {
    if app.stands_by() {
        return Some(Err(unavailable(app, &Unavailable::StandsBy)));
    }
    let in_flight = app.enter()?;
    if let Some(most) = app.max_concurrency().filter(|most| in_flight.in_flight() > *most) {
        let detail = format!(
            "The app `{}` has reached its limit of {most} concurrent requests (max_concurrency = {most}). Try again \
            later.",
            app.registered_name()
        );
        return Some(Err(Problem::new(ProblemKind::Overloaded, detail).retry_after(Duration::from_secs(1))));
    }
    Some(Ok(in_flight))
}

/// The problem of a request to an app that does not serve.
fn unavailable(app: &App, error: &Unavailable) -> Problem {
    let name = app.registered_name();
    let detail = |what: &str, reason: &str| {
        if app.shows_details() { format!("{what}: {reason}") } else { format!("{what}; see the host's log.") }
    };
    let detail = match error {
        Unavailable::Unusable(reason) | Unavailable::Resting { reason, .. } => {
            log::debug!("{}: {error}", app.name());
            detail(&format!("The app `{name}` failed to start"), reason)
        }
        Unavailable::Blocked(reason) => {
            let what = format!(
                "The app `{name}` was not started because too many of its earlier generations could not be unloaded"
            );
            detail(&what, reason)
        }
        Unavailable::StandsBy => match app.lease().holder() {
            Some(holder) => format!("The app `{name}` stands by on this host: it runs on `{holder}`."),
            None => format!("The app `{name}` stands by on this host, and no host runs it now."),
        },
        Unavailable::Disabled => format!("The app `{name}` is disabled."),
        Unavailable::Faulted(reason) => {
            let what = format!("The app `{name}` is disabled because it ended the host with a fault");
            detail(&what, reason)
        }
        Unavailable::NotConnected => format!(
            "The app `{name}` is on other hosts of the fleet, and this host has no connection to NATS now."
        ),
        Unavailable::Closing => format!("The app `{name}` is shutting down."),
    };
    let retry_after = match error {
        Unavailable::Resting { retry_after, .. } => *retry_after,
        Unavailable::StandsBy => STANDBY_RETRY,
        Unavailable::Unusable(_)
        | Unavailable::Blocked(_)
        | Unavailable::Disabled
        | Unavailable::Faulted(_)
        | Unavailable::NotConnected
        | Unavailable::Closing => Duration::from_secs(5),
    };
    Problem::new(ProblemKind::Unavailable, detail).retry_after(retry_after)
}
