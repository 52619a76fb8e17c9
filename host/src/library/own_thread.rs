//! Threads for work that waits for an app's code: opening and closing its library.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum OwnThreadError<V> {
    /// A thread could not be started: the system's error, and the unused value.
    NoThread(io::Error, V),
    /// The work panicked.
    Panicked,
}

impl<V> From<OwnThreadError<V>> for io::Error {
    fn from(error: OwnThreadError<V>) -> Self {
        match error {
            OwnThreadError::NoThread(error, _) => error,
            OwnThreadError::Panicked => Self::other("the thread panicked"),
        }
    }
}

/// Runs `work` with `value` on a thread made for it, and waits for its result.
///
/// # Errors
/// See [`OwnThreadError`].
pub(crate) async fn on_own_thread<V: Send + 'static, T: Send + 'static>(
    name: &str,
    value: V,
    work: impl FnOnce(V) -> T + Send + 'static,
) -> Result<T, OwnThreadError<V>> {
    // A thread that cannot be made loses what it was given; the value is not to be lost.
    let slot = Arc::new(Mutex::new(Some(value)));
    let take = |slot: &Mutex<Option<V>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let given = slot.clone();
    let (send, result) = oneshot::channel();
    let run = move || {
        if let Some(value) = take(&given) {
            // Whoever waits for it may have left.
            let _ = send.send(work(value));
        }
    };
    if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(run) {
        return Err(
            take(&slot).map_or(OwnThreadError::Panicked, |value| OwnThreadError::NoThread(error, value))
        );
    }
    result.await.map_err(|_| OwnThreadError::Panicked)
}

/// A thread that lives as long as the process, on which libraries are opened and closed: it owns the thread-locals that
/// their constructors have touched.
#[cfg(feature = "standalone")]
pub(crate) struct LastingThread(std::sync::mpsc::Sender<Box<dyn FnOnce() + Send>>);

#[cfg(feature = "standalone")]
impl LastingThread {
    /// Starts it.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (send, work) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let run = move || {
            for work in work {
                work();
            }
            loop {
                thread::park();
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self(send))
    }

    /// Runs `work` on it, and waits for its result.
    ///
    /// # Errors
    /// The work panicked, and with it the thread ended.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (send, result) = oneshot::channel();
        let work = move || {
            // Whoever waits for it may have left.
            let _ = send.send(work());
        };
        // A thread that has ended gives no result either.
        let _ = self.0.send(Box::new(work));
        result.await.map_err(|_| io::Error::other("the thread panicked"))
    }
}
