//! Strict JSON to a tree that remembers where everything was.
//!
//! `jsonc_parser` keeps the places but lets a few things pass that are not JSON, such as a line break inside a string.
//! `serde_json` knows JSON exactly but keeps no places. A text has to pass both, and when it does not, the error
//! of the one that stopped first is the better one.

use super::{diagnostic::Report, error::ConfigError, node::quoted};
use jsonc_parser::{
    CollectOptions, CommentCollectionStrategy, ParseOptions, ast,
    errors::{ParseError, ParseErrorKind as Kind},
    parse_to_ast,
};
use std::ops::Range;

/// Why a text is not JSON.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
}

/// Parses the whole text. Keys that are given twice are kept; [`super::document`] reports them.
pub(super) fn parse(text: &str) -> Result<ast::Value<'_>, SyntaxError> {
    let keep = CollectOptions { comments: CommentCollectionStrategy::Off, tokens: false };
    let tree = parse_to_ast(text, &keep, &strict()).map_err(|error| from_tree(text, &error));
    let strict = serde_json::from_str::<serde_json::Value>(text).map_err(|error| from_serde(text, &error));
    match (tree, strict) {
        (Ok(tree), Ok(_)) => tree.value.ok_or_else(|| empty(text)),
        (Err(tree), Err(strict)) if strict.span.start < tree.span.start => Err(strict),
        (Err(tree), _) => Err(tree),
        (Ok(tree), Err(strict)) => Err(if tree.value.is_none() { empty(text) } else { strict }),
    }
}

/// The text of a file, or an error that names the first byte that is not text.
pub(super) fn utf8<'a>(bytes: &'a [u8], file_name: &str) -> Result<&'a str, ConfigError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let text = String::from_utf8_lossy(bytes);
        let report = Report::new(file_name, &text);
        let at = error.valid_up_to();
        report.add("", at..at + '\u{fffd}'.len_utf8(), "expected UTF-8 text, found invalid bytes");
        ConfigError::Invalid { diagnostics: report.into_diagnostics() }
    })
}

fn strict() -> ParseOptions {
    ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn empty(text: &str) -> SyntaxError {
    SyntaxError {
        span: text.len()..text.len(),
        message:
            r#"expected a list of apps such as [{ "name": "hello", "path": "apps/hello" }], found an empty file"#
                .into(),
    }
}

fn from_tree(text: &str, error: &ParseError) -> SyntaxError {
    let mut span = error.range().start..error.range().end;
    let found = text.get(span.clone()).filter(|found| !found.is_empty());
    let found = found.map_or("the end of the file".into(), |found| quoted('`', found));
    let value =
        "expected a value (a string in double quotes, a number, true, false, null, a list or an object)";
    let message = match error.kind() {
        Kind::ExpectedComma if text[span.start..].starts_with(|c: char| c.is_ascii_digit()) => {
            "expected a number that does not start with 0".into()
        }
        Kind::ExpectedComma => "expected a comma here".into(),
        Kind::TrailingCommasNotAllowed => {
            "trailing comma: expected another entry, or remove the comma".into()
        }
        Kind::CommentsNotAllowed => "comments are not allowed in JSON".into(),
        Kind::SingleQuotedStringsNotAllowed => "expected double quotes, found a single quote".into(),
        Kind::ExpectedStringObjectProperty => {
            format!("expected a field name in double quotes, found {found}")
        }
        Kind::UnexpectedTokenInObject => format!("expected a field or the end of the object, found {found}"),
        Kind::ExpectedColonAfterObjectKey => {
            format!("expected a colon after the field's name, found {found}")
        }
        Kind::MultipleRootJsonValues => format!("expected the end of the file, found {found}"),
        Kind::UnterminatedArray | Kind::UnterminatedObject => {
            // The whole rest of the file is the range; the bracket is what has to be found.
            span.end = span.start + 1;
            format!("unclosed `{}`", &text[span.clone()])
        }
        Kind::String(jsonc_parser::ParseStringErrorKind::UnterminatedStringLiteral) => UNCLOSED.into(),
        Kind::String(_) => {
            // The range may take in the closing quote.
            let escape = text[span.clone()].trim_end_matches('"');
            span.end = span.start + escape.len();
            format!("expected a JSON escape such as \\n, \\\\ or \\u00e9, found {}", quoted('`', escape))
        }
        Kind::NestingDepthExceeded => "nested too deeply".into(),
        Kind::HexadecimalNumbersNotAllowed
        | Kind::UnaryPlusNumbersNotAllowed
        | Kind::BareDecimalPointNumbersNotAllowed
        | Kind::NonFiniteNumbersNotAllowed
        | Kind::ExpectedDigit
        | Kind::ExpectedDigitFollowingNegativeSign
        | Kind::ExpectedPlusMinusOrDigitInNumberLiteral => {
            format!("expected a number such as 30, -1.5 or 2e6 ({})", lowercase(&error.kind().to_string()))
        }
        _ => format!("{value}, found {found}"),
    };
    SyntaxError { span, message }
}

const UNCLOSED: &str = "expected a closing double quote before the end of the line";

fn from_serde(text: &str, error: &serde_json::Error) -> SyntaxError {
    let line_start = match error.line() {
        0 | 1 => 0,
        line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(newline, _)| newline + 1),
    };
    // The column counts bytes; it is 0 when the line break itself is wrong, and may be inside a character.
    let at = if error.is_eof() {
        text.len()
    } else {
        (line_start + error.column()).saturating_sub(1).min(text.len())
    };
    let at = (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    let message = match text[at..].chars().next() {
        Some('\r' | '\n') if message.starts_with("control character") => UNCLOSED.into(),
        Some(c) if message.starts_with("control character") => {
            format!("control character in a string: write it as \\u{:04x}", u32::from(c))
        }
        Some(c) if c.is_control() || (c.is_whitespace() && !c.is_ascii()) => {
            format!("expected ASCII whitespace between values, found the character U+{:04X}", u32::from(c))
        }
        _ if message.starts_with("recursion limit") => "nested too deeply".into(),
        _ => lowercase(message),
    };
    SyntaxError { span: at..at, message }
}

fn lowercase(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte where the error is, and its message.
    fn error(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        assert!(
            text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end),
            "{error:?}"
        );
        (error.span.start, error.message)
    }

    #[test]
    fn syntax_errors_say_what_was_expected_and_where() {
        for (text, at, message) in [
            ("", 0, "expected a list of apps such as"),
            (" \n ", 3, "expected a list of apps such as"),
            ("[1,]", 2, "trailing comma: expected another entry, or remove the comma"),
            ("[{\"a\":1,}]", 7, "trailing comma: "),
            ("[1 2]", 2, "expected a comma here"),
            ("[{\"a\":1\n\"b\":2}]", 7, "expected a comma here"),
            ("[{a:1}]", 2, "expected a field name in double quotes, found `a`"),
            ("['x']", 1, "expected double quotes, found a single quote"),
            ("[{\"a\" 1}]", 6, "expected a colon after the field's name, found `1`"),
            ("[{\"a\":}]", 6, "expected a value (a string in double quotes,"),
            ("[{\"a\":", 6, "expected a value (a string in double quotes,"),
            (
                "[True]",
                1,
                "expected a value (a string in double quotes, a number, true, false, null, a list or an object), \
                found `True`",
            ),
            ("[1, {\"a\":1", 4, "unclosed `{`"),
            ("[1", 0, "unclosed `[`"),
            ("{\"a\":1]", 6, "expected a field or the end of the object, found `]`"),
            ("[1}", 2, "expected a value"),
            ("[01]", 2, "expected a number that does not start with 0"),
            ("[0x1]", 1, "expected a number such as"),
            ("[1.]", 1, "expected a number such as"),
            ("[-]", 2, "expected a number such as"),
            ("[1e999]", 5, "number out of range"),
            ("[] []", 3, "expected the end of the file, found `[`"),
            ("// c\n[]", 0, "comments are not allowed in JSON"),
            ("[1 /* c */]", 3, "comments are not allowed in JSON"),
            ("[\"a", 1, UNCLOSED),
            ("[\n \"a,\n \"b\"]", 6, UNCLOSED),
            ("[\n \"a,\r\n \"b\"]", 6, UNCLOSED),
            ("[\"\\x\"]", 2, r"expected a JSON escape such as \n, \\ or \u00e9, found `\x`"),
            ("[\"\\ud800\"]", 2, r"expected a JSON escape such as \n, \\ or \u00e9, found `\ud800`"),
            ("[\"a\u{1}b\"]", 3, "control character in a string: write it as \\u0001"),
            ("[\u{a0}1]", 1, "expected ASCII whitespace between values, found the character U+00A0"),
            ("[\u{b}1]", 1, "expected ASCII whitespace between values, found the character U+000B"),
        ] {
            let (found_at, found) = error(text);
            assert_eq!(found_at, at, "{text:?}: {found}");
            assert!(found.starts_with(message), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_a_stack_overflow() {
        for open in ["[", "{\"a\":"] {
            assert_eq!(error(&open.repeat(100_000)).1, "nested too deeply");
        }
        assert!(parse(&format!("{}{}", "[".repeat(100), "]".repeat(100))).is_ok());
    }

    #[test]
    fn every_cut_of_a_text_is_an_error_with_a_place_in_it() {
        let text = "[{ \"nämé\": \"日本\\u00e9\\n\", \"path\": [-1.5e+3, true, null, {}] }]";
        for (cut, _) in text.char_indices() {
            let (at, message) = error(&text[..cut]);
            assert!(at <= cut && !message.is_empty());
        }
        assert!(parse(text).is_ok());
    }

    #[test]
    fn text_that_is_not_utf8() {
        let error = utf8(b"[\n \"\xff\"]", "apps.json").unwrap_err();
        assert_eq!(
            error.to_string(),
            "apps.json:2:3: expected UTF-8 text, found invalid bytes\n  2 |  \"\u{fffd}\"]\n    |   ^"
        );
    }
}
