//! Text that an app or a client wrote, made safe to show on a terminal and in a log.
//!
//! A terminal obeys control characters: text can clear the screen, hide what follows, change the window's title or look like
//! another record. They are shown as Rust writes them in a literal, `\u{1b}`; what has none is not copied.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal or a reader of lines does something else with a character than show it: control characters of
/// ASCII and of Latin-1, what ends a line, and what changes the direction in which text is shown.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text on one line: line breaks are escaped as well.
///
/// ```
/// use atoll_host::internal::escape;
///
/// assert_eq!(escape::line("\x1b[2Jgone\nINFO"), r"\u{1b}[2Jgone\nINFO");
/// assert_eq!(escape::line("żółw 🐢"), "żółw 🐢");
/// ```
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// Text that keeps its line breaks, and has everything else escaped. Indent its second and later lines when you show
/// it, see [`indented`], so that none of them looks like another record.
///
/// ```
/// use atoll_host::internal::escape;
///
/// assert_eq!(escape::lines("one\r\ntwo\u{202e}"), "one\\r\ntwo\\u{202e}");
/// ```
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\n' && is_unsafe(c))
}

/// As [`lines`], with `indent` before the second and all later lines.
///
/// ```
/// use atoll_host::internal::escape;
///
/// assert_eq!(escape::indented("one\ntwo", "  "), "one\n  two");
/// ```
pub fn indented<'t>(text: &'t str, indent: &str) -> Cow<'t, str> {
    let text = lines(text);
    if text.contains('\n') { text.replace('\n', &format!("\n{indent}")).into() } else { text }
}

/// JSON text in which strings have the characters escaped that JSON allows as they are and a terminal obeys.
///
/// ```
/// use atoll_host::internal::escape;
///
/// assert_eq!(escape::json("[\"\u{9b}2J\u{7f}\"]"), "[\"\\u009b2J\\u007f\"]");
/// ```
pub fn json(json: &str) -> Cow<'_, str> {
    // Between strings JSON has none but line breaks and tabs.
    let is_unsafe = |c: char| !matches!(c, '\n' | '\r' | '\t') && is_unsafe(c);
    if !json.contains(is_unsafe) {
        return json.into();
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_unsafe(c) {
            // All of them are in the plane that four digits reach. Writing to a string does not fail.
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        for (text, shown) in [
            ("\0\x07\x08\t\n\r\x1b\x7f", r"\u{0}\u{7}\u{8}\t\n\r\u{1b}\u{7f}"),
            ("\u{80}\u{9b}31m\u{9f}", r"\u{80}\u{9b}31m\u{9f}"),
            (
                "a\u{202e}b\u{2066}c\u{200f}d\u{61c}\u{2028}\u{2029}",
                r"a\u{202e}b\u{2066}c\u{200f}d\u{61c}\u{2028}\u{2029}",
            ),
        ] {
            assert_eq!(line(text), shown);
        }
        for text in ["", "plain", "é ż 日本 🐢", "a\u{a0}b", r"C:\new"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }

    proptest! {
        #[test]
        fn nothing_is_left_that_could_move_the_cursor(text in any::<String>(), more in "[\\x00-\\x1f\u{7f}-\u{9f}a]{0,9}") {
            let text = text + &more;
            prop_assert!(!line(&text).contains(is_unsafe));
            prop_assert!(!lines(&text).replace('\n', "").contains(is_unsafe));
            let value = serde_json::json!({ "text": text });
            let written = value.to_string();
            let safe = json(&written);
            prop_assert!(!safe.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
    }
}
