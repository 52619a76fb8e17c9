//! What is said of builds and reloads: a line for each thing that happens.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use atoll_host::internal::events::{EventKind, HostEvent};
use atoll_host::internal::{Registry, State};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Whose records these are in the log.
pub(super) const LOG: &str = "atoll::dev";

/// How many files that have changed are named.
const NAMED: usize = 3;

/// Logs builds and reloads.
#[derive(Debug)]
pub(super) struct Report {
    registry: Arc<Registry>,
    /// The server's URL.
    base: String,
    /// Libraries that were handed to the host and do not serve yet, by their app's name.
    handed_over: RefCell<HashMap<String, HandedOver>>,
}

#[derive(Debug)]
struct HandedOver {
    /// When the change was noticed.
    since: Instant,
    at: Instant,
}

impl Report {
    pub(super) fn new(registry: Arc<Registry>, base: String) -> Self {
        Self { registry, base, handed_over: RefCell::default() }
    }

    /// A library is about to be handed to the host; `took` is how long its build did, if there was one.
    pub(super) fn built(&self, app: &str, since: Instant, took: Option<Duration>) {
        let registered = self.registry.get(app);
        if let Some(took) = took {
            let then = match &registered {
                None => format!("; serving at {}/apps/{app}/", self.base),
                Some(app) if app.serving().is_none() => "; the next request starts it".to_owned(),
                Some(_) => String::new(),
            };
            log::info!(target: LOG, "{app}: built in {:.2} s{then}", took.as_secs_f64());
        }
        if registered.is_some_and(|app| app.serving().is_some()) {
            self.handed_over.borrow_mut().insert(app.to_owned(), HandedOver { since, at: Instant::now() });
        }
    }

    /// Logs each generation that starts serving, as long as it is polled.
    pub(super) async fn follow(&self, mut events: Receiver<Arc<HostEvent>>) {
        let serving = State::Serving.to_string();
        loop {
            match events.recv().await {
                Ok(event) => match &event.what {
                    EventKind::Transition(entry) if entry.state == serving => {
                        self.serves(&event.app, entry.generation);
                    }
                    _ => {}
                },
                Err(RecvError::Lagged(missed)) => log::debug!(target: LOG, "{missed} events were missed"),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn serves(&self, app: &str, generation: u64) {
        match self.handed_over.borrow_mut().remove(app) {
            Some(HandedOver { since, at }) => log::info!(
                target: LOG,
                "{app}: reloaded in {:.0} ms; generation {generation} is serving {:.2} s after the save",
                at.elapsed().as_secs_f64() * 1000.0,
                since.elapsed().as_secs_f64(),
            ),
            None => log::info!(target: LOG, "{app}: generation {generation} is serving"),
        }
    }
}

/// The names of files, as seen from the current folder.
pub(super) fn files(paths: &[PathBuf]) -> String {
    let here = std::env::current_dir().and_then(|folder| folder.canonicalize()).unwrap_or_default();
    let names: Vec<_> = paths.iter().map(|path| relative(path, &here)).collect();
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn relative(path: &Path, here: &Path) -> String {
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_files_are_named() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        let paths = ["a.rs", "b.rs", "c.rs", "d.rs", "e.rs"].map(|name| here.join("src").join(name));
        assert_eq!(files(&paths[..1]), "src/a.rs");
        assert_eq!(files(&paths), "src/a.rs, src/b.rs, src/c.rs and 2 more");
        assert_eq!(files(&[PathBuf::from("/elsewhere/x.rs")]), "/elsewhere/x.rs");
    }
}
