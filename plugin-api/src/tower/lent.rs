//! What a service is given of a request's body, and may send back as it is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

use crate::abi::Buffer;

/// Fewer bytes are copied sooner than found.
const LARGE: usize = 4 * 1024;

/// So many buffers are remembered: as many of the usual size as may be on the way.
const REMEMBERED: usize = 16;

/// The buffers of the host's that a service holds as [`Bytes`]. What is still one of them when the service sends it goes
/// to the host as that buffer, and not as a copy.
#[derive(Debug, Default)]
pub(super) struct Lent(Mutex<VecDeque<Weak<Buffer>>>);

struct Owner(Arc<Buffer>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Lent {
    /// The buffer as a service takes it.
    pub(super) fn lend(&self, buffer: Buffer) -> Bytes {
        if buffer.len() < LARGE {
            return Bytes::from_owner(buffer);
        }
        let buffer = Arc::new(buffer);
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.len() == REMEMBERED {
            lent.pop_front();
        }
        lent.push_back(Arc::downgrade(&buffer));
        Bytes::from_owner(Owner(buffer))
    }

    /// The buffer that these bytes are all of, if nothing else holds it.
    ///
    /// # Errors
    /// The bytes, if there is none.
    pub(super) fn take_back(&self, bytes: Bytes) -> Result<Buffer, Bytes> {
        if bytes.len() < LARGE {
            return Err(bytes);
        }
        let mut lent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // As long as a buffer lives, nothing else is where it is.
        let found = lent.iter().enumerate().find_map(|(index, buffer)| {
            let buffer = buffer.upgrade()?;
            (buffer.as_ptr_range() == bytes.as_ptr_range()).then_some((index, buffer))
        });
        let Some((index, buffer)) = found else { return Err(bytes) };
        lent.remove(index);
        drop(bytes);
        Arc::try_unwrap(buffer).map_err(|held| Bytes::from_owner(Owner(held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer as the host makes them.
    fn buffer(bytes: Vec<u8>) -> Buffer {
        unsafe extern "C" fn release(_: *const u8, data: *mut u8, len: usize, capacity: usize) {
            // SAFETY: the parts of the vector below, given back once.
            drop(unsafe { Vec::from_raw_parts(data, len, capacity) });
        }
        let mut bytes = std::mem::ManuallyDrop::new(bytes);
        let (data, len, capacity) = (bytes.as_mut_ptr(), bytes.len(), bytes.capacity());
        // SAFETY: the parts of a vector that nothing else owns any more.
        unsafe { Buffer::from_raw_parts(data, len, capacity, std::ptr::null(), release) }
    }

    #[test]
    fn what_comes_back_as_it_was_is_the_same_buffer() {
        let lent = Lent::default();
        let all: Vec<Bytes> = (0..3).map(|n| lent.lend(buffer(vec![n; LARGE]))).collect();
        for (n, bytes) in all.into_iter().enumerate().rev() {
            let place = bytes.as_ptr();
            let back = lent.take_back(bytes).unwrap();
            assert_eq!((back.as_ptr(), &*back), (place, &*vec![n as u8; LARGE]));
        }
        assert!(lent.0.lock().unwrap().is_empty());
    }

    #[test]
    fn what_is_held_or_changed_or_small_is_not_taken_back() {
        let lent = Lent::default();
        let held = lent.lend(buffer(vec![1; LARGE + 1]));
        let bytes = lent.take_back(held.clone()).unwrap_err();
        let part = bytes.slice(1..);
        drop((held, bytes));
        assert_eq!(lent.take_back(part).unwrap_err(), vec![1; LARGE]);
        assert!(lent.take_back(lent.lend(buffer(vec![2; LARGE - 1]))).is_err());
        assert!(lent.take_back(Bytes::from(vec![3; LARGE])).is_err());
    }

    #[test]
    fn few_are_remembered() {
        let lent = Lent::default();
        let all: Vec<Bytes> = (0..=REMEMBERED).map(|_| lent.lend(buffer(vec![0; LARGE]))).collect();
        let taken = all.into_iter().map(|bytes| lent.take_back(bytes).is_ok());
        assert!(taken.eq((0..=REMEMBERED).map(|index| index > 0)));
    }
}
