//! The call of `abort` or `exit` that ended a generation.

/// The call that ended a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abort {
    /// The function that was called.
    pub function: String,
    /// The thread's name.
    pub thread: String,
}

impl std::fmt::Display for Abort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} was called on its thread {:?}, which stopped", self.function, self.thread)
    }
}
