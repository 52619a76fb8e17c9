//! What is wrong with a library's file.

use std::fmt;

/// What is wrong with a library's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage(String);

impl Damage {
    pub(in crate::library) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<object::read::Error> for Damage {
    fn from(error: object::read::Error) -> Self {
        Self(error.to_string())
    }
}

/// `Err` with this text, unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::library::inspect::damage::Damage::new(format!($($text)+)));
        }
    };
}
pub(in crate::library) use ensure;
