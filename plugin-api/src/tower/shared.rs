//! A service that is made once for all workers of a library: what it does only once in a process, it does once here, and its
//! state is one.

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use super::service::{HttpService, SendHttpService};
use crate::abi::panic::catch;
use atoll_protocol::Error;

/// What a worker has made for the others.
enum Shared {
    /// The service, for so many.
    Service(Box<dyn Any + Send>, usize),
    /// None: the reason. What happens only once in a process may have happened, so that the others do not try, too.
    Failed(Error),
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
/// That of `make`, or its panic, for all workers.
pub(super) fn get<S: HttpService>(
    workers: usize,
    keep: Keep<S>,
    make: impl FnOnce() -> Result<S, Error>,
) -> Result<S, Error> {
    if workers == 1 {
        return make();
    }
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *shared {
        Some(Shared::Failed(error)) => Err(error.clone()),
        Some(Shared::Service(service, left)) => {
            let service = service.downcast_ref::<S>().cloned();
            *left -= 1;
            // It is not to outlive the workers.
            if *left == 0 {
                *shared = None;
            }
            service.ok_or_else(|| Error::internal("a library has one app"))
        }
        None => {
            // Here, so that all workers report the panic's text.
            let made = catch(make).unwrap_or_else(|panic| Err(Error::internal(panic)));
            *shared = Some(match &made {
                Ok(service) => Shared::Service(keep(service), workers - 1),
                Err(error) => Shared::Failed(error.clone()),
            });
            made
        }
    }
}
