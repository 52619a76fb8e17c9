//! What says whether the host is alive, and whether it is ready.

use actix_web::{HttpResponse, web};

use crate::lifecycle::Phase;
use crate::registry::Registry;

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The apps that start with the host have started, and none has failed.
pub(super) async fn readyz(registry: web::Data<Registry>) -> HttpResponse {
    let late: Vec<String> = registry
        .apps()
        .iter()
        .filter(|app| match app.phase() {
            Phase::Serving => false,
            Phase::Cold => app.settings().preload,
            Phase::Starting | Phase::Resting | Phase::Failed | Phase::Closing => true,
        })
        .map(|app| format!("{}: {}\n", app.name(), app.phase()))
        .collect();
    if late.is_empty() {
        HttpResponse::Ok().body("ready\n")
    } else {
        HttpResponse::ServiceUnavailable().body(late.concat())
    }
}
