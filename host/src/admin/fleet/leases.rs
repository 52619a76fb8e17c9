//! The leases of the apps that run on one host of the fleet at a time.

use std::collections::HashMap;
use std::rc::Rc;

use actix_web::rt::task::JoinHandle;
use tokio::time::sleep;

use super::candidacy::{Candidacy, LOOK};
use super::lease_book::LeaseBook;
use crate::app::handle::App;

/// Takes, renews and gives back leases, as long as it is polled, with a [`Candidacy`] for each app that needs one. It is apart from
/// the connection to NATS, so that a host without NATS keeps the time as well.
pub(super) async fn keep(book: Rc<LeaseBook>) {
    let mut candidacies: HashMap<String, JoinHandle<()>> = HashMap::new();
    loop {
        candidacies.retain(|_, candidacy| !candidacy.is_finished());
        for app in book.state.registry.apps_that(App::needs_lease) {
            // One of an app that was replaced is still to end.
            candidacies
                .entry(app.name().to_string())
                .or_insert_with(|| actix_web::rt::spawn(Candidacy::new(book.clone(), app).run()));
        }
        sleep(LOOK).await;
    }
}
