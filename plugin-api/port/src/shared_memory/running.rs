//! Which requests the workers of an app process run, as its host reads it.

use std::io;

use super::layout::{PAGE, WORKER_PART, worker};
use super::memory::{Mapping, SharedMemory};

/// The numbers of the requests that workers run. They can be read when the process has ended.
#[derive(Debug)]
pub struct RunningRequests(Vec<Mapping>);

impl RunningRequests {
    pub(super) fn new(worker: &SharedMemory, workers: usize) -> io::Result<Self> {
        let map = |number| worker.map(number * WORKER_PART + PAGE, PAGE);
        Ok(Self((0..workers).map(map).collect::<io::Result<_>>()?))
    }

    /// The number of the request whose code a worker runs; `None`: it runs none.
    pub fn request_of(&self, worker: usize) -> Option<u64> {
        let number = self.0.get(worker)?.load_u64(worker::RUNNING - PAGE);
        (number != 0).then_some(number)
    }
}
