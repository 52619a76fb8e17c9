//! The token that allows everything.

use std::fmt;

/// The secret that allows everything. It is kept as its hash, and never shown.
#[derive(Clone, Copy)]
pub struct AdminToken(blake3::Hash);

impl AdminToken {
    /// That of a text; white space around it does not count. `None`: there is none.
    ///
    /// ```
    /// use atoll_host::AdminToken;
    ///
    /// let token = AdminToken::new("s3cret\n").unwrap();
    /// assert!(token.is("s3cret") && !token.is("secret"));
    /// assert!(AdminToken::new(" \n").is_none());
    /// ```
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(blake3::hash(text.as_bytes())))
    }

    /// Whether a text is the token, in a time that does not depend on how much of it is right.
    pub fn is(&self, text: &str) -> bool {
        // Hashes are compared in constant time.
        self.0 == blake3::hash(text.as_bytes())
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        assert_eq!(format!("{:?}", AdminToken::new("s3cret")), "Some(AdminToken(***))");
    }
}
