//! Starting an app on the host that has its lease.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::lease_book::LeaseBook;
use crate::app::handle::App;
use crate::fleet::nats::{FleetError, SavedState};

/// Starts an app with the state that another host has left for it, and deletes that when the app serves.
pub(super) async fn take_up(book: Rc<LeaseBook>, app: Arc<App>, has_state: Rc<Cell<bool>>, pause: Duration) {
    let name = app.name();
    let mut logged = None;
    let state = loop {
        if let Some(link) = book.link() {
            match link.fleet.state(name).await {
                Ok(state) => break state,
                Err(
                    error @ (FleetError::Value { .. }
                    | FleetError::Damaged { .. }
                    | FleetError::Incomplete { .. }),
                ) => {
                    log::error!("{name}: starts without the state that another host has left: {error}");
                    break None;
                }
                Err(error) if logged.as_ref() != Some(&error.to_string()) => {
                    log::warn!("{name}: cannot start yet: {error}");
                    logged = Some(error.to_string());
                }
                Err(_) => {}
            }
        }
        sleep(pause).await;
    };
    has_state.set(state.is_some());
    if let Some(SavedState { host, version, .. }) = &state {
        let version = version.as_deref().unwrap_or("an unknown version");
        log::info!("{name}: starts with the state that it had on {host} with {version}");
    }
    if let Err(error) = app.take_up(state.map(|state| state.workers).unwrap_or_default()).await {
        log::error!("{name}: this host has its lease and cannot run it: {error}");
    }
    while has_state.get() {
        // One that failed may be started again with it.
        if app.serving().is_none() {
            sleep(pause).await;
            continue;
        }
        let Some(link) = book.link() else {
            sleep(pause).await;
            continue;
        };
        match link.fleet.delete_state(name).await {
            Ok(()) => has_state.set(false),
            Err(error) => {
                log::warn!("{name}: its state stays in NATS: {error}");
                sleep(pause).await;
            }
        }
    }
}
