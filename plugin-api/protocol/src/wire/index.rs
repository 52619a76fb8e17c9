//! Where the texts of a message are.

/// The text of a message, and its index.
///
/// Whatever writes a message knows how long each text in it is, so that a reader on another thread needs not look for its end.
/// An index is no part of the message: it changes nothing of what is read, and a message without one is read as well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexedText {
    /// JSON-RPC 2.0 text in UTF-8.
    pub json: Vec<u8>,
    /// For each string of an HTTP request, in the order in which the message has them, four bytes with the least significant first:
    /// its length in bytes as it is in the message, twice, and one more if it has escapes. Empty: there is no index.
    pub index: Vec<u8>,
}

/// The bytes of an entry.
pub(super) const ENTRY: usize = size_of::<u32>();

/// Notes the next text of a message in its index.
#[inline(always)]
pub(super) fn note(index: &mut Vec<u8>, length: usize, is_escaped: bool) {
    // With a longer text, no message has this index, and is read without it.
    let entry = u32::try_from(length << 1 | usize::from(is_escaped)).unwrap_or(u32::MAX);
    index.extend_from_slice(&entry.to_le_bytes());
}

/// A text without an index.
impl From<Vec<u8>> for IndexedText {
    fn from(json: Vec<u8>) -> Self {
        Self { json, index: Vec::new() }
    }
}

/// The entries of an index, of which bytes that are no whole entry are none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entries<'a>(&'a [[u8; ENTRY]]);

impl<'a> Entries<'a> {
    pub(super) fn of(index: &'a [u8]) -> Self {
        Self(index.as_chunks().0)
    }
}

impl Entries<'_> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Iterator for Entries<'_> {
    /// The length of a text, and whether it has escapes.
    type Item = (usize, bool);

    #[inline(always)]
    fn next(&mut self) -> Option<(usize, bool)> {
        let (entry, rest) = self.0.split_first()?;
        self.0 = rest;
        let entry = u32::from_le_bytes(*entry);
        Some(((entry >> 1) as usize, entry & 1 != 0))
    }
}
