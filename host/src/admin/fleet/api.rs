//! The path of the admin API for the fleet.

use actix_web::get;
use actix_web::web::{Data, Json, ServiceConfig};

use crate::admin::failure::Answer;
use crate::admin::openapi::{Refused, Unable};
use crate::admin::state::State;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::fleet::FleetStatus;

pub(in crate::admin) fn configure(service: &mut ServiceConfig) {
    service.service(show_fleet);
}

/// The hosts and apps of the fleet, as this host sees them
#[utoipa::path(tag = "fleet", responses((status = 200, body = FleetStatus), Refused, Unable))]
#[get("/api/v1/fleet")]
async fn show_fleet(state: Data<State>) -> Answer<FleetStatus> {
    match &state.fleet {
        Some(fleet) => Ok(Json(fleet.status())),
        None => {
            let detail = "This host is in no fleet: see `fleet` in apps.json, and `atoll serve --fleet`.";
            Err(Problem::new(ProblemKind::NotFound, detail).into())
        }
    }
}
