//! Work that runs an app's code outside of its workers: loading and unloading.

use std::io;
use std::thread;

use tokio::task::spawn_blocking;

/// Runs `work` on a thread made for it, and waits until that thread has ended: so thread-locals that the work touched
/// are gone, and no thread of the host's is tied to an app's library.
///
/// # Errors
/// The thread cannot be made, or the work panicked.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let thread = thread::Builder::new().name(name.to_owned());
    let ended = spawn_blocking(|| thread.spawn(work).map(|thread| thread.join())).await;
    ended?.and_then(|joined| joined.map_err(|_panic| io::Error::other("the thread panicked")))
}
