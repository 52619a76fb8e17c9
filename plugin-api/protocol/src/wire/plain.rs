//! Which texts stand for themselves in a JSON string, found out by eight bytes at a time.

use memchr::memchr2;

const ONES: u64 = u64::from_ne_bytes([1; 8]);
const HIGH: u64 = ONES << 7;

/// The high bit of each byte that is zero, and perhaps of some above the first one that is.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// As [`zeros`], of quotes and backslashes.
fn quotes(word: u64) -> u64 {
    zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')))
}

/// As [`zeros`], of what cannot stand for itself in a JSON string.
fn specials(word: u64) -> u64 {
    quotes(word) | (word.wrapping_sub(ONES * u64::from(b' ')) & !word & HIGH)
}

/// Whether all of a text can stand for itself in a JSON string.
pub(super) fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    if let Some(last) = bytes.last_chunk() {
        let words = bytes.chunks_exact(8).filter_map(<[u8]>::first_chunk);
        return words.chain([last]).fold(0, |found, word| found | specials(u64::from_le_bytes(*word))) == 0;
    }
    // Of a short text each byte at least once, and some twice.
    let word = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        (.., [first, .., last]) => {
            u64::from_le_bytes([*first, bytes[1], *last, b' ', b' ', b' ', b' ', b' '])
        }
        (.., [only]) => u64::from(*only) | (ONES * u64::from(b' ')) << 8,
        (.., []) => return true,
    };
    specials(word) == 0
}

/// Where the first quote or backslash is. Most texts are shorter than what a search by vectors is made for.
pub(super) fn find_quote(bytes: &[u8]) -> Option<usize> {
    const SHORT: usize = 64;
    for (index, word) in bytes.chunks_exact(8).take(SHORT / 8).filter_map(<[u8]>::first_chunk).enumerate() {
        let found = quotes(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(8 * index + found.trailing_zeros() as usize / 8);
        }
    }
    let searched = (bytes.len() & !7).min(SHORT);
    memchr2(b'"', b'\\', &bytes[searched..]).map(|place| searched + place)
}
