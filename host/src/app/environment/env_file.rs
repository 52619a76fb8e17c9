//! Files with variables in the dotenv syntax.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::path::Path;

use super::error::EnvironmentError;
use crate::fs::regular_file;

/// How many bytes a file with variables may have.
pub(crate) const ENV_FILE_LIMIT: u64 = 1 << 20;

/// The variables of a file; of those with the same name, the last.
///
/// # Errors
/// It cannot be read, or a line of it.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, String>, EnvironmentError> {
    let unreadable = |reason| EnvironmentError::EnvFile { path: path.to_owned(), reason };
    let text = regular_file::read(path, ENV_FILE_LIMIT).map_err(unreadable)?;
    // A text that is not UTF-8 is not shown.
    let text = String::from_utf8(text).map_err(|_| unreadable(io::Error::other("it is not UTF-8")))?;
    parse(&text).map_err(|Malformed { line, expected }| EnvironmentError::Line {
        path: path.to_owned(),
        line,
        expected,
    })
}

/// A line that is no variable.
#[derive(Debug, PartialEq, Eq)]
struct Malformed {
    line: usize,
    expected: &'static str,
}

/// Stands for a `$` that is not escaped. No file has it otherwise.
const DOLLAR: char = '\0';

/// The variables of a text.
fn parse(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() + 1;
        return Err(Malformed { line, expected: "a text without NUL" });
    }
    // Some editors put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines::new(without_substitution(text));
    let mut variables = BTreeMap::new();
    let mut entries = dotenvy::from_read_iter(&mut lines);
    let failed = loop {
        match entries.next() {
            None => break None,
            Some(Ok((name, value))) => drop(variables.insert(name, value.replace(DOLLAR, "$"))),
            // The text is from the file, and may be a secret: its lines are counted, and it is not shown.
            Some(Err(dotenvy::Error::LineParse(text, _))) => break Some(text.lines().count().max(1)),
            Some(Err(_)) => break Some(1),
        }
    };
    drop(entries);
    let Some(count) = failed else { return Ok(variables) };
    let line = (lines.given + 1).saturating_sub(count);
    Err(Malformed { line, expected: "NAME=value, or NAME=\"a value\" with the quotes closed" })
}

/// `dotenvy` replaces `$NAME` by variables of this process, which are none of the app's. So it gets another character for
/// each `$` that is not escaped; within single quotes, where nothing is escaped, it leaves both as they are.
fn without_substitution(text: &str) -> String {
    let mut is_escaped = false;
    let replaced = text.chars().map(|c| {
        let plain = if c == '$' && !is_escaped { DOLLAR } else { c };
        is_escaped = c == '\\' && !is_escaped;
        plain
    });
    let mut text: String = replaced.collect();
    // Without it, `dotenvy` refuses spaces at the end.
    text.push('\n');
    text
}

/// A text that is read line by line, so that it is known which one was read last.
struct Lines {
    rest: io::Cursor<Vec<u8>>,
    is_within: bool,
    /// How many lines were read, if only in part.
    given: usize,
}

impl Lines {
    fn new(text: String) -> Self {
        Self { rest: io::Cursor::new(text.into_bytes()), is_within: false, given: 0 }
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest.fill_buf()?;
        let line = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
        let length = line.min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.rest.consume(length);
        if length > 0 {
            self.given += usize::from(!self.is_within);
            self.is_within = length < line;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).unwrap().into_iter().collect()
    }

    #[test]
    fn the_syntax() {
        let text = "\u{feff}# a comment\r\n\r\nA=1\r\nexport B = \"two words\" # why\nC='$A ${A} \\$A'\nD=$A${A}$\n\
            E=\"$A \\$A \\\\$A \\n\"\nF=\nG=a#b=c\nH=\"one\ntwo\"\nA=last \t";
        let expected = [
            ("A", "last"),
            ("B", "two words"),
            ("C", "$A ${A} \\$A"),
            ("D", "$A${A}$"),
            ("E", "$A $A \\$A \n"),
            ("F", ""),
            ("G", "a#b=c"),
            ("H", "one\ntwo"),
        ];
        assert_eq!(pairs(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn variables_of_the_host_are_not_used() {
        let text = "A=$CARGO_MANIFEST_DIR\nB=\"${CARGO_MANIFEST_DIR}\"\n";
        let expected = [("A", "$CARGO_MANIFEST_DIR"), ("B", "${CARGO_MANIFEST_DIR}")];
        assert_eq!(pairs(text), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        let long = format!("A={}\n", "x".repeat(100_000));
        for (text, line) in [
            ("A", 1),
            ("A=1\n\n# x\nB\nC=1", 4),
            ("A=1\nB=two words\nC=1", 2),
            ("A=\"1\n2\"\nB-C=1\nD=1\n", 3),
            ("A=1\n\nB=\"open\nC=1\nD=1", 3),
            ("A=\"1\n2\" x\nB=1", 1),
            ("A='1'\nB=\"1\n2\n3\\q\"\n", 2),
            (&format!("{long}{long}1=2\n{long}"), 3),
        ] {
            let malformed = parse(text).unwrap_err();
            assert_eq!(malformed.line, line, "{text:?}");
            assert!(malformed.expected.starts_with("NAME=value"));
        }
        assert_eq!(parse("A=1\nB=\0"), Err(Malformed { line: 2, expected: "a text without NUL" }));
    }

    #[test]
    fn an_error_does_not_show_the_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=1\nPASSWORD=hunter2 secret\n").unwrap();
        let error = read(file.path()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.starts_with(&format!("{}:2: expected NAME=value", file.path().display())), "{text}");
        assert!(!text.contains("hunter2") && !text.contains("PASSWORD"), "{text}");
        std::fs::write(file.path(), b"A=\xff").unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.ends_with(": it is not UTF-8"), "{error}");
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_above_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut text = format!("A=1\n#{}", "x".repeat(ENV_FILE_LIMIT as usize - 5));
        std::fs::write(file.path(), &text).unwrap();
        assert_eq!(read(file.path()).unwrap().len(), 1);
        text.push('x');
        std::fs::write(file.path(), &text).unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.ends_with("found 1048577 bytes, the limit is 1048576"), "{error}");
    }
}
