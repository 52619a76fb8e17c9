//! Parts of texts.

use std::borrow::Cow;

/// The first `limit` bytes of a text, as far as they are whole characters.
pub(crate) fn start(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The [`start`] of a text, and how much is left out.
pub(crate) fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return Cow::Borrowed(text);
    }
    let kept = start(text, limit);
    Cow::Owned(format!("{kept}… ({} bytes more)", text.len() - kept.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_kept_whole_or_left_out() {
        assert_eq!((start("aé", 3), start("aé", 2), start("aé", 1), start("é", 0)), ("aé", "a", "a", ""));
        assert_eq!(start("short", 100), "short");
    }

    #[test]
    fn texts_are_shortened_above_the_limit_only() {
        for (text, limit, expected) in
            [("four", 4, "four"), ("fours", 4, "four… (1 bytes more)"), ("äöü", 3, "ä… (4 bytes more)")]
        {
            assert_eq!(shortened(text, limit), expected);
        }
    }
}
