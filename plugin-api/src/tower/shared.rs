//! A service that is made once for all workers of a library: what it does only once in a process, it does once here, and its
//! state is one.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use super::service::{HttpService, SendHttpService};
use atoll_protocol::Error;

/// The service that a worker has made, for so many others.
struct Shared {
    service: Box<dyn Any + Send>,
    left: usize,
}

static SHARED: Mutex<Option<Shared>> = Mutex::new(None);

/// How a service is kept for other workers, and theirs are made of it.
pub(super) type Keep<S> = fn(&S) -> Box<dyn Any + Send>;

/// Keeps a clone of it.
pub(super) fn keep<S: SendHttpService>(service: &S) -> Box<dyn Any + Send> {
    Box::new(service.clone())
}

/// The service of one of `workers` workers: what the first of them makes, or a clone of that. The others wait for it.
///
/// # Errors
/// That of `make`. The next one tries again.
pub(super) fn get<S: HttpService>(
    workers: usize,
    keep: Keep<S>,
    make: impl FnOnce() -> Result<S, Error>,
) -> Result<S, Error> {
    // What panics here leaves nothing in it.
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Shared { service, left }) = &mut *shared
        && let Some(service) = service.downcast_ref::<S>().cloned()
    {
        *left -= 1;
        // The last one is not to outlive the workers.
        if *left == 0 {
            *shared = None;
        }
        return Ok(service);
    }
    let service = make()?;
    if workers > 1 {
        *shared = Some(Shared { service: keep(&service), left: workers - 1 });
    }
    Ok(service)
}
