//! How long a request waited and was worked on.

pub use atoll_port::RequestTiming;

/// Who had a request, and how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The generation's number.
    pub(crate) generation: u64,
    /// What its worker took, until now where it has not answered.
    pub(crate) times: RequestTiming,
}
