//! Looks at files on other threads, a few at a time.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::fs::regular_file::in_background;

/// How many threads look at files at a time.
const MAX_LOOKUPS: usize = 4;

/// How long a look at files may take.
pub(crate) const LOOKUP_LIMIT: Duration = Duration::from_secs(5);

/// Limits the threads that look at files, so that a host with many apps does not start one for each. Clones share the
/// limit.
#[derive(Clone, Debug)]
pub(crate) struct FileLookups(Rc<Semaphore>);

impl Default for FileLookups {
    fn default() -> Self {
        Self(Rc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl FileLookups {
    /// Runs `look` outside of this thread; at most for [`LOOKUP_LIMIT`], as a file system may not answer.
    ///
    /// # Errors
    /// It took too long, or there is no thread for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let looking = async {
            let _turn = self.0.acquire().await.map_err(io::Error::other)?;
            in_background(look).await
        };
        timeout(LOOKUP_LIMIT, looking).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
