//! Work that runs an app's code outside of its workers: loading and unloading.

use std::io;

use tokio::sync::oneshot;

/// Runs `work` on a thread made for it, and waits until that thread has ended: so thread-locals that the work touched
/// are gone, and no thread of the host's is tied to an app's library.
///
/// # Errors
/// The thread cannot be made, or the work panicked.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let done = work();
        // The one that waits may have been cancelled; the result is dropped then.
        let _ = sender.send(done);
    })?;
    let done = receiver.await;
    let joined = tokio::task::spawn_blocking(|| thread.join()).await;
    match (done, joined) {
        (Ok(done), Ok(Ok(()))) => Ok(done),
        _ => Err(io::Error::other("the thread panicked")),
    }
}
