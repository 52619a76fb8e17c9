//! The thread of the host's end: what tests have asked of their apps is carried out there, as on an HTTP thread of a host.

use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::{LocalSet, spawn_local};

type Job = Box<dyn FnOnce() + Send>;

/// Starts a task on the host's thread. Tasks begin in the order of these calls.
pub(super) fn spawn<F: Future<Output = ()> + 'static>(task: impl FnOnce() -> F + Send + 'static) {
    static JOBS: OnceLock<UnboundedSender<Job>> = OnceLock::new();
    let jobs = JOBS.get_or_init(|| {
        let (sender, mut jobs) = mpsc::unbounded_channel::<Job>();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime needs a thread and a timer only");
            LocalSet::new().block_on(&runtime, async {
                while let Some(job) = jobs.recv().await {
                    job();
                }
            });
        };
        thread::Builder::new().name("test host".to_owned()).spawn(serve).expect("there is a thread for it");
        sender
    });
    // The thread lasts as long as the process.
    let _ = jobs.send(Box::new(move || drop(spawn_local(task()))));
}

/// What comes of a task on the host's thread.
pub(super) fn wait<F: Future<Output: Send> + 'static>(
    task: impl FnOnce() -> F + Send + 'static,
) -> F::Output {
    let (sender, output) = channel();
    spawn(move || async move {
        // This function waits for it.
        let _ = sender.send(task().await);
    });
    output.recv().expect("the host's thread does not end")
}
