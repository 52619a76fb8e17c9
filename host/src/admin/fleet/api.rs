//! The path of the admin API for the fleet.

use actix_web::web::{self, Data, Json, ServiceConfig};

use crate::admin::failure::Answer;
use crate::admin::openapi::{Refused, Unable};
use crate::admin::state::State;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::fleet::FleetStatus;

pub(in crate::admin) fn configure(service: &mut ServiceConfig) {
    service.route("/api/v1/fleet", web::get().to(show_fleet));
}

/// The hosts and apps of the fleet, as this host sees them
#[utoipa::path(get, path = "/api/v1/fleet", tag = "fleet", responses((status = 200, body = FleetStatus), Refused, Unable))]
async fn show_fleet(state: Data<State>) -> Answer<FleetStatus> {
    match &state.fleet {
        Some(fleet) => Ok(Json(fleet.status())),
        None => {
            let detail = "This host is in no fleet: see `fleet` in apps.json, and `atoll serve --fleet`.";
            Err(Problem::new(ProblemKind::NotFound, detail).into())
        }
    }
}
