//! The meters of a host, and what was found out with them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::ledger::Ledger;
use super::meter::Meter;
use super::report::UsageReport;
use crate::observe::metrics::Metrics;

/// What the apps of a host use. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    meters: Mutex<Vec<Arc<Meter>>>,
    /// What was written last.
    written: watch::Sender<Ledger>,
}

impl Usage {
    /// A meter for an app with these metrics.
    pub(crate) fn meter(&self, app: Arc<str>, metrics: Arc<Metrics>) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(app, metrics));
        self.0.meters.lock().unwrap_or_else(PoisonError::into_inner).push(meter.clone());
        meter
    }

    /// What was used, by app and library, from one time to another; see [`UsageReport::new`].
    pub(crate) fn report(&self, since_ms: Option<u64>, until_ms: Option<u64>) -> UsageReport {
        UsageReport::new(&self.0.written.borrow(), since_ms, until_ms)
    }

    /// Adds what all apps have used by now.
    pub(super) fn read(&self, ledger: &mut Ledger, at_ms: u64) {
        let mut meters = self.0.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.retain(|meter| {
            // Looked at first: without anyone else who has it, this is the last that it finds.
            let is_shared = Arc::strong_count(meter) > 1;
            meter.take().for_each(|(key, amounts)| ledger.add(at_ms, &key, &amounts));
            is_shared
        });
        ledger.note_read(at_ms);
    }

    /// From now on, reports are of this.
    pub(super) fn publish(&self, ledger: Ledger) {
        self.0.written.send_replace(ledger);
    }

    /// What was written last, whenever it is.
    pub(crate) fn written(&self) -> watch::Receiver<Ledger> {
        self.0.written.subscribe()
    }
}
