//! What tells the contents of one library from another.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::fs::regular_file;

/// How many bytes of a file are read at once.
const PIECE: usize = 256 << 10;

/// What tells the contents of one library from another: a BLAKE3 hash, shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// That of a whole content.
    pub(crate) fn compute(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// That of a regular file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let (mut file, mut buffer) = (regular_file::open(path)?, vec![0; PIECE]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => _ = hasher.update(&buffer[..read]),
            }
        }
        Ok(Self(*hasher.finalize().as_bytes()))
    }

    /// The hash's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 digits, which are enough for people to tell libraries apart.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

/// A text is no hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid hash {0:?}: expected 64 hexadecimal digits in lower case")]
pub struct NoContentHash(String);

impl FromStr for ContentHash {
    type Err = NoContentHash;

    fn from_str(text: &str) -> Result<Self, NoContentHash> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| NoContentHash(text.to_owned()))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_shown() {
        let hash = ContentHash::compute(b"a library");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "ab", &hash.to_string().to_uppercase(), &format!("{hash}0"), "../../etc/passwd"] {
            assert!(text.parse::<ContentHash>().is_err(), "{text}");
        }
    }
}
