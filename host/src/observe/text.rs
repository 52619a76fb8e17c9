//! Parts of texts.

/// The first `limit` bytes of a text, as far as they are whole characters.
pub(crate) fn start(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_kept_whole_or_left_out() {
        assert_eq!((start("aé", 3), start("aé", 2), start("aé", 1), start("é", 0)), ("aé", "a", "a", ""));
        assert_eq!(start("short", 100), "short");
    }
}
