//! Noticing that files have changed, and when they are complete.
//!
//! One [`Watcher`] serves the whole host with one thread. The kernel's notifications (inotify, by
//! way of `notify`) only say *where to look*; what is reported is always read from the file afterwards. So a
//! notification that is lost, doubled or late does no harm, and a look at every file every two seconds
//! covers what inotify cannot see: network file systems, writes through another hard link, a folder far up
//! the path that was swapped.
//!
//! A file is reported when it is **complete**, without a fixed delay: a read lease on it is refused by the
//! kernel for as long as anyone has it open for writing, so asking for one tells when the writer is done.

mod chain;
mod change;
mod file;
mod fingerprint;
mod folders;
mod lease;
mod pace;
mod service;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

pub use self::change::{Change, TreeChange};
use self::file::Known;
pub use self::fingerprint::Fingerprint;
pub(crate) use self::fingerprint::SETTLE;
use self::folders::Id;
pub(crate) use self::lease::{Writers, writers};
#[cfg(test)]
pub(crate) use self::lease::{wait_for_writers, write_and_release};
use self::pace::Pace;
use self::service::Client;
use self::tree::Outbox;
pub use self::tree::WatchSet;

/// The service that watches files for the whole host. Clones are handles to the same one.
///
/// It ends when the last handle and the last watch are dropped.
///
/// ```no_run
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let watcher = atoll_host::internal::Watcher::new()?;
/// let mut library = watcher.watch_file("target/debug/libhello.so");
/// loop {
///     let change = library.changed().await;
///     match change.fingerprint {
///         Some(now) => println!("{} bytes, seen {:?} ago", now.size(), change.noticed.elapsed()),
///         None => println!("gone"),
///     }
/// }
/// # #[allow(unreachable_code)]
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Watcher {
    client: Arc<Client>,
}

impl Watcher {
    /// Starts the service.
    ///
    /// Where the kernel grants no inotify instance, files are polled every two seconds instead, and a warning is
    /// logged.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn new() -> io::Result<Watcher> {
        Watcher::with(Pace::default())
    }

    fn with(pace: Pace) -> io::Result<Watcher> {
        Ok(Watcher { client: Arc::new(Client::start(pace)?) })
    }

    /// Watches one file, whether it exists yet or not.
    ///
    /// What the file is at this moment is the starting point: it is not reported, and everything after it is.
    /// Only if somebody is writing to it right now is it reported as soon as they are done.
    ///
    /// A symbolic link is followed, and each link of the chain is watched as well as the file at its end.
    /// If the path leads to a folder, what is reported is that entries have come or gone in it.
    pub fn watch_file(&self, path: impl AsRef<Path>) -> FileWatch {
        let path = absolute(path.as_ref());
        let last = file::first_look(&path, self.client.pace().writers);
        let (id, reports) = self.client.watch_file(path, last);
        let reread = self.client.reread().subscribe();
        FileWatch { _registration: Registration { client: self.client.clone(), id }, reports, reread, last }
    }

    /// Reports all watched files that are there once more, changed or not, so that they are read again.
    pub fn reread(&self) {
        self.client.reread().send_replace(());
    }

    /// Watches the files that something is built from.
    ///
    /// In folders, `target` folders, what version control and editors keep for themselves, and editors' temporary files
    /// are left out. Links to folders are followed.
    ///
    /// The files are listed once before this returns, which takes some milliseconds for many files.
    pub fn watch_set(&self, set: WatchSet) -> TreeWatch {
        let (id, outbox) = self.client.watch_tree(set);
        TreeWatch { registration: Registration { client: self.client.clone(), id }, outbox }
    }
}

/// A path that cannot be made absolute (it is empty, or the current folder is gone) leads nowhere either way.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Ends a watch when it is dropped.
#[derive(Debug)]
struct Registration {
    client: Arc<Client>,
    id: Id,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.client.unwatch(self.id);
    }
}

/// Watches one file; dropping it ends that. See [`Watcher::watch_file`].
#[derive(Debug)]
pub struct FileWatch {
    _registration: Registration,
    reports: tokio::sync::watch::Receiver<Option<Change>>,
    reread: tokio::sync::watch::Receiver<()>,
    /// What was reported last, so that a file which is back to that is not reported again.
    last: Known,
}

impl FileWatch {
    /// Waits until the file is complete and other than it was when it was last reported, or is to be
    /// [read again](Watcher::reread).
    ///
    /// Changes that happen between calls are not lost; of several, the last one is reported.
    /// Cancel safe: dropping the future loses nothing.
    pub async fn changed(&mut self) -> Change {
        loop {
            tokio::select! {
                Ok(()) = self.reports.changed() => {
                    let report = self.reports.borrow_and_update().clone();
                    if let Some(change) = report
                        && !self.last.is(change.fingerprint.as_ref())
                    {
                        self.last = Known::from(change.fingerprint);
                        return change;
                    }
                }
                Ok(()) = self.reread.changed() => {
                    if let Known::Present(fingerprint) = self.last {
                        let now = Instant::now();
                        return Change { fingerprint: Some(fingerprint), noticed: now, complete: now };
                    }
                }
                // The service is gone, so there is nothing more to wait for.
                else => std::future::pending().await,
            }
        }
    }
}

/// Watches a set of files; dropping it ends that. See [`Watcher::watch_set`].
#[derive(Debug)]
pub struct TreeWatch {
    registration: Registration,
    outbox: Arc<Outbox>,
}

impl TreeWatch {
    /// Watches another set instead. Changes of files that are in both sets are not lost; a file that was not in the
    /// former set is reported if it has changed since the moment `since`.
    pub fn change_set(&self, set: WatchSet, since: SystemTime) {
        self.registration.client.change_tree(self.registration.id, set, since);
    }

    /// Waits until files of the set have changed.
    ///
    /// Changes within about 20 ms are reported in one batch, and so are changes between calls.
    /// Cancel safe: dropping the future loses nothing.
    pub async fn changed(&mut self) -> TreeChange {
        self.outbox.take().await
    }
}
