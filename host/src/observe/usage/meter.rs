//! What one app uses, as it is found out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::amounts::Amounts;
use super::rows::Key;
use crate::observe::metrics::Metrics;

/// What stands for the library of an app that has loaded none yet: it answers requests all the same, with problems.
const NO_LIBRARY: &str = "-";

/// A generation, as far as it is metered.
pub(crate) trait Source: Send + Sync {
    /// The CPU time that it has used; it never goes down.
    fn cpu_time(&self) -> Duration;

    /// How many bytes are allocated in its heap.
    fn live_bytes(&self) -> u64;
}

/// Meters one app over all its generations.
///
/// Requests are counted in the app's [`Metrics`] and nowhere else. What was counted there until another library serves is
/// the earlier one's.
#[derive(Debug)]
pub(crate) struct Meter {
    app: Arc<str>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The library that serves, or has served last.
    library: Arc<str>,
    /// What of the app's metrics is in the amounts.
    counted: Amounts,
    generations: Vec<Metered>,
    /// Of the next one of them.
    next_id: u64,
    /// What each library has used since this was taken last.
    taken_next: BTreeMap<Arc<str>, Amounts>,
    /// Since the app was registered.
    total: Amounts,
}

/// A generation, until its [`Metering`] ends.
struct Metered {
    id: u64,
    library: Arc<str>,
    source: Weak<dyn Source>,
    /// What of its CPU time is in the amounts.
    cpu: Duration,
    is_ready: bool,
    read: Instant,
}

/// Has a generation metered, until this is dropped. The [`Source`] lives longer.
#[derive(Debug)]
pub(crate) struct Metering {
    meter: Arc<Meter>,
    id: u64,
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered").field("library", &self.library).finish_non_exhaustive()
    }
}

impl Meter {
    /// That of an app with these metrics.
    pub(crate) fn new(app: Arc<str>, metrics: Arc<Metrics>) -> Self {
        let state = State {
            library: NO_LIBRARY.into(),
            counted: Amounts::default(),
            generations: Vec::new(),
            next_id: 0,
            taken_next: BTreeMap::new(),
            total: Amounts::default(),
        };
        Self { app, metrics, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Meters a generation with this library from now on. All CPU time that it has used counts.
    pub(crate) fn loaded(self: &Arc<Self>, library: &str, source: Weak<dyn Source>) -> Metering {
        let mut state = self.state();
        let id = state.next_id;
        state.next_id += 1;
        state.generations.push(Metered {
            id,
            library: library.into(),
            source,
            cpu: Duration::ZERO,
            is_ready: false,
            read: Instant::now(),
        });
        Metering { meter: self.clone(), id }
    }

    /// What was used since this was called last, by library.
    pub(super) fn take(&self) -> impl Iterator<Item = (Key, Amounts)> {
        let mut state = self.state();
        state.read(&self.metrics);
        let taken = std::mem::take(&mut state.taken_next);
        let app = self.app.clone();
        taken.into_iter().map(move |(library, amounts)| (Key { app: app.clone(), library }, amounts))
    }

    /// What was used since the app was registered.
    pub(crate) fn total(&self) -> Amounts {
        let mut state = self.state();
        state.read(&self.metrics);
        state.total
    }
}

impl Metering {
    /// The generation is ready: its uptime begins.
    pub(crate) fn ready(&self) {
        self.set_ready(true);
    }

    /// Its workers have stopped: its uptime ends.
    pub(crate) fn stopped(&self) {
        self.set_ready(false);
    }

    fn set_ready(&self, is_ready: bool) {
        let mut state = self.meter.state();
        state.read_generations();
        if let Some(generation) = state.generations.iter_mut().find(|generation| generation.id == self.id) {
            generation.is_ready = is_ready;
        }
    }

    /// It begins to serve: requests that are answered from now on are its library's.
    pub(crate) fn serves(&self) {
        let mut state = self.meter.state();
        state.read_counters(&self.meter.metrics);
        let its = state.generations.iter().find(|generation| generation.id == self.id);
        if let Some(library) = its.map(|generation| generation.library.clone()) {
            state.library = library;
        }
    }
}

impl Drop for Metering {
    fn drop(&mut self) {
        let mut state = self.meter.state();
        state.read_generations();
        state.generations.retain(|generation| generation.id != self.id);
    }
}

impl State {
    fn read(&mut self, metrics: &Metrics) {
        self.read_counters(metrics);
        self.read_generations();
    }

    fn read_counters(&mut self, metrics: &Metrics) {
        let now = Amounts {
            requests: metrics.responses().iter().sum(),
            received_bytes: metrics.received.get(),
            sent_bytes: metrics.sent.get(),
            cold_starts: metrics.cold_starts.get(),
            ..Amounts::default()
        };
        let used = now.since(&self.counted);
        self.counted = now;
        self.note(&self.library.clone(), &used);
    }

    fn read_generations(&mut self) {
        let mut generations = std::mem::take(&mut self.generations);
        for generation in &mut generations {
            let used = generation.read();
            self.note(&generation.library, &used);
        }
        self.generations = generations;
    }

    fn note(&mut self, library: &Arc<str>, used: &Amounts) {
        if !used.is_zero() {
            self.total.add(used);
            self.taken_next.entry(library.clone()).or_default().add(used);
        }
    }
}

impl Metered {
    /// What it has used since this was called last.
    fn read(&mut self) -> Amounts {
        let Some(source) = self.source.upgrade() else { return Amounts::default() };
        let (now, cpu) = (Instant::now(), source.cpu_time());
        let passed = now.saturating_duration_since(self.read).as_nanos();
        let heap = u128::from(source.live_bytes()) * passed / 1_000_000_000;
        let used = Amounts {
            uptime_ns: if self.is_ready { saturated(passed) } else { 0 },
            cpu_ns: saturated(cpu.saturating_sub(self.cpu).as_nanos()),
            heap_byte_seconds: saturated(heap),
            ..Amounts::default()
        };
        (self.read, self.cpu) = (now, self.cpu.max(cpu));
        used
    }
}

fn saturated(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Default)]
    struct Fake {
        cpu_ms: AtomicU64,
    }

    impl Source for Fake {
        fn cpu_time(&self) -> Duration {
            Duration::from_millis(self.cpu_ms.load(Ordering::Relaxed))
        }

        fn live_bytes(&self) -> u64 {
            1 << 40
        }
    }

    fn taken(meter: &Meter) -> BTreeMap<String, Amounts> {
        meter.take().map(|(key, amounts)| (key.library.to_string(), amounts)).collect()
    }

    #[test]
    fn what_is_used_is_that_of_the_library_that_serves_or_runs() {
        let metrics = Arc::<Metrics>::default();
        let meter = Arc::new(Meter::new("a".into(), metrics.clone()));
        metrics.answered(503, Duration::ZERO);
        let (one, two) = (Arc::new(Fake::default()), Arc::new(Fake::default()));
        let sources: [Weak<dyn Source>; 2] = [Arc::downgrade(&one) as _, Arc::downgrade(&two) as _];
        let [of_one, of_two] = sources;
        one.cpu_ms.store(5, Ordering::Relaxed);
        let metering_one = meter.loaded("one", of_one);
        metering_one.serves();
        metering_one.ready();
        metrics.cold_starts.add(1);
        metrics.answered(200, Duration::ZERO);
        let metering_two = meter.loaded("two", of_two);
        metering_two.serves();
        metrics.received.add(7);
        metrics.sent.add(9);
        one.cpu_ms.store(8, Ordering::Relaxed);
        two.cpu_ms.store(1, Ordering::Relaxed);
        metering_one.stopped();
        drop(metering_one);
        // Counts no more.
        one.cpu_ms.store(99, Ordering::Relaxed);
        let all = taken(&meter);
        assert_eq!((all["-"].requests, all["-"].cold_starts), (1, 0));
        assert_eq!((all["one"].requests, all["one"].cold_starts, all["one"].cpu_ns), (1, 1, 8_000_000));
        assert!(all["one"].uptime_ns > 0 && all["one"].heap_byte_seconds > 0, "{all:?}");
        assert_eq!((all["two"].received_bytes, all["two"].sent_bytes), (7, 9));
        assert_eq!((all["two"].cpu_ns, all["two"].uptime_ns), (1_000_000, 0), "it was never ready");
        assert_eq!(meter.total().cpu_ns, 9_000_000);
        two.cpu_ms.store(3, Ordering::Relaxed);
        assert_eq!(taken(&meter)["two"].cpu_ns, 2_000_000);
        drop(metering_two);
        // Until then, its heap was there.
        assert_eq!(taken(&meter).remove("two").unwrap_or_default().cpu_ns, 0);
        two.cpu_ms.store(4, Ordering::Relaxed);
        assert!(taken(&meter).is_empty());
        assert_eq!(meter.total().cpu_ns, 11_000_000);
    }
}
