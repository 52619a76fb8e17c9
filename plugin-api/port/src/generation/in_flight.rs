//! One request in a generation.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::generation::requests::Requests;
use crate::generation::workers::Workers;

/// What serves an app's requests.
pub trait Generation {
    /// The requests that it has.
    fn requests(&self) -> &Requests;

    /// What carries them out.
    fn workers(&self) -> &Workers;

    /// Which of the app's generations this is, counted from 1.
    fn number(&self) -> u64;

    /// Reports that the app has ended the body of a response before it was complete.
    fn note_incomplete(&self, why: &str);
}

/// One request's stay in a generation: the generation is not stopped while it lasts.
pub struct InFlight<G: Generation>(Arc<G>);

impl<G: Generation> InFlight<G> {
    /// Admits one request to a generation, unless it is retired.
    pub fn enter(generation: &Arc<G>) -> Option<Self> {
        generation.requests().enter().then(|| Self(generation.clone()))
    }

    /// The generation, without holding it up.
    pub fn generation(&self) -> Arc<G> {
        self.0.clone()
    }
}

impl<G: Generation> Deref for InFlight<G> {
    type Target = G;

    fn deref(&self) -> &G {
        &self.0
    }
}

impl<G: Generation> Drop for InFlight<G> {
    fn drop(&mut self) {
        self.0.requests().leave();
    }
}

impl<G: Generation + fmt::Debug> fmt::Debug for InFlight<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InFlight").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Serves(Requests);

    impl Generation for Serves {
        fn requests(&self) -> &Requests {
            &self.0
        }

        fn workers(&self) -> &Workers {
            unreachable!("it is sent nothing")
        }

        fn number(&self) -> u64 {
            1
        }

        fn note_incomplete(&self, _: &str) {}
    }

    #[test]
    fn a_generation_lasts_as_long_as_its_requests() {
        let generation = Arc::new(Serves::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let drain = || runtime.block_on(generation.requests().drain(Duration::from_millis(1)));
        let first = InFlight::enter(&generation);
        assert!(first.is_some() && !generation.requests().retire_if_idle());
        generation.requests().retire();
        assert!(InFlight::enter(&generation).is_none(), "it is retired");
        assert_eq!(drain(), 1);
        drop(first);
        assert_eq!(drain(), 0);
        generation.requests().resume();
        assert!(InFlight::enter(&generation).is_some());
        assert!(generation.requests().retire_if_idle());
    }
}
