//! Health checks: whether the host is alive, and whether it, or one of its apps, is ready.

use actix_web::HttpResponse;
use actix_web::http::{Method, header};

use super::connection::Shutdown;
use super::target::unknown_app;
use crate::app::handle::App;
use crate::app::lifecycle::Phase;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::registry::Registry;

/// How many apps an answer names that are not ready.
pub(crate) const MAX_NAMED: usize = 100;

/// A question that the host answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health<'a> {
    /// `/healthz`: the process answers.
    Alive,
    /// `/readyz`: the apps that start with the host have started, and no app has failed for good.
    Ready,
    /// `/readyz/APP`: the app takes requests, or starts when one comes.
    AppReady(&'a str),
}

impl<'a> Health<'a> {
    /// The question that is asked at this path.
    pub(super) fn from_path(path: &'a str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Alive),
            "/readyz" => Some(Self::Ready),
            _ => path.strip_prefix("/readyz/").filter(|app| !app.contains('/')).map(Self::AppReady),
        }
    }

    /// Answers it.
    pub(super) fn answer(
        self,
        method: &Method,
        registry: &Registry,
        shutdown: &Shutdown,
    ) -> Result<HttpResponse, Problem> {
        if method == Method::OPTIONS {
            return Ok(HttpResponse::NoContent()
                .insert_header((header::ALLOW, "GET, HEAD, OPTIONS"))
                .finish());
        }
        if method != Method::GET && method != Method::HEAD {
            return Err(Problem::new(
                ProblemKind::MethodNotAllowed,
                format!("Use GET or HEAD here, not {method}."),
            ));
        }
        Ok(match self {
            Self::Alive => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n"),
            Self::AppReady(name) => {
                let app = registry.get(name).ok_or_else(|| unknown_app(name, registry))?;
                if shutdown.turns_clients_away() { shutting_down() } else { app_ready(&app) }
            }
            Self::Ready if shutdown.turns_clients_away() => shutting_down(),
            Self::Ready => ready(registry),
        })
    }
}

fn shutting_down() -> HttpResponse {
    HttpResponse::ServiceUnavailable().body("shutting down\n")
}

fn app_ready(app: &App) -> HttpResponse {
    // Unlike the host as a whole, it is of no use as long as its requests are rejected.
    let rejects = matches!(app.phase(), Phase::Standby | Phase::Disabled | Phase::Closing | Phase::Resting);
    if is_late(app) || rejects {
        return HttpResponse::ServiceUnavailable().body(format!("{}: {}\n", app.name(), app.phase()));
    }
    HttpResponse::Ok().body("ready\n")
}

fn ready(registry: &Registry) -> HttpResponse {
    let mut late = registry.apps_that(is_late);
    if late.is_empty() {
        return HttpResponse::Ok().body("ready\n");
    }
    late.sort_by(|a, b| a.name().cmp(b.name()));
    let more = late.len().saturating_sub(MAX_NAMED);
    let mut text: String =
        late.iter().take(MAX_NAMED).map(|app| format!("{}: {}\n", app.name(), app.phase())).collect();
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    HttpResponse::ServiceUnavailable().body(text)
}

/// Whether clients are better sent elsewhere because of this app.
fn is_late(app: &App) -> bool {
    match app.phase() {
        Phase::Serving | Phase::Standby | Phase::Disabled | Phase::Closing => false,
        // Others start when a client asks for them, which is no reason to send clients elsewhere.
        Phase::Starting | Phase::Resting => app.settings().preload,
        // One that has served was stopped because it was idle, and would stay so without clients.
        Phase::Cold => app.settings().preload && app.history().is_empty(),
        Phase::Failed | Phase::Blocked => true,
    }
}
