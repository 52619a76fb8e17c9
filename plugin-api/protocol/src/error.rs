//! The error of a handler.

use std::fmt;

/// The failure of a handler or a hook: an HTTP status and a message.
///
/// `?` converts any [`std::error::Error`] with status 500 and its source errors in the message. Therefore this type is
/// not a [`std::error::Error`] itself, as with `anyhow`. Convert other displayable types (an `anyhow::Error`, a
/// `Box<dyn Error>`) with [`Error::internal`].
///
/// The host responds to a failed request with a problem document (RFC 9457) with this status and message.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// fn parse(text: &str) -> Result<u32, Error> {
///     if text.is_empty() {
///         return Err(Error::bad_request("a number is missing"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert_eq!(parse("").unwrap_err().status(), 400);
/// let error = parse("x").unwrap_err();
/// assert_eq!((error.status(), error.message()), (500, "invalid digit found in string"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: u16,
    message: String,
}

impl Error {
    /// An error with an HTTP status from 400 to 599; any other number becomes 500.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status: error_status(status), message: message.into() }
    }

    /// Status 400: the client sent something that the app cannot accept.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// Status 404: not found.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    /// Status 500 with the alternate display of `cause` (`{:#}`), which for `anyhow` is the whole chain.
    ///
    /// ```
    /// use atoll_plugin::Error;
    ///
    /// fn load() -> Result<(), Box<dyn std::error::Error>> {
    ///     Err("the disk is gone".into())
    /// }
    ///
    /// let error = load().map_err(Error::internal).unwrap_err();
    /// assert_eq!(error.message(), "the disk is gone");
    /// ```
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(500, format!("{cause:#}"))
    }

    /// The same error with another status from 400 to 599; any other number becomes 500.
    ///
    /// ```
    /// use atoll_plugin::Error;
    ///
    /// let error = "x".parse::<u8>().map_err(|error| Error::from(error).with_status(422)).unwrap_err();
    /// assert_eq!(error.status(), 422);
    /// ```
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = error_status(status);
        self
    }

    /// The HTTP status, 400 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// A success as the status of an error would have the client take the message for the answer.
fn error_status(status: u16) -> u16 {
    if (400..=599).contains(&status) { status } else { 500 }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors show their source themselves; saying it twice helps nobody.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::new(500, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Chain(&'static str, Option<Box<Chain>>);

    impl fmt::Display for Chain {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Chain {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn the_causes_are_in_the_message_once() {
        let cause = Chain("no route to host", Some(Box::new(Chain("cable cut", None))));
        assert_eq!(
            Error::from(Chain("cannot fetch", Some(Box::new(cause)))).message(),
            "cannot fetch: no route to host: cable cut"
        );

        let shown = Chain("cannot fetch: timed out", Some(Box::new(Chain("timed out", None))));
        assert_eq!(Error::from(shown).message(), "cannot fetch: timed out");
    }

    #[test]
    fn an_error_never_has_the_status_of_a_success() {
        for status in [0, 200, 302, 399, 600] {
            assert_eq!(Error::new(status, "").status(), 500);
            assert_eq!(Error::not_found("").with_status(status).status(), 500);
        }
        assert_eq!(Error::new(418, "").status(), 418);
    }
}
