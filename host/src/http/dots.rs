//! Segments `.` and `..` in a path, which are not routed.
//!
//! A proxy in front may apply its rules to the path without them (RFC 3986, section 5.2.4) and pass on the path as it was
//! sent: `/apps/a/../b/` would pass its rule for `b` and reach `a`, or the other way round. Which of the two is meant
//! nobody can know, so such a request is refused.

use crate::dispatch::problem::{Problem, ProblemKind};

/// Whether a path has none.
///
/// # Errors
/// It has one, be it percent-encoded, or set off by an encoded slash or a backslash.
pub(super) fn check(path: &str) -> Result<(), Problem> {
    // Few paths have any of these.
    let may_have_one = path.contains("/.") || path.contains('%') || path.contains('\\');
    if may_have_one && has_dot_segment(path.as_bytes()) {
        let detail =
            "The path contains a `.` or `..` segment. Send the normalized path: /b instead of /a/../b.";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    }
    Ok(())
}

/// Checks that it finds what is found in the decoded path, segment by segment.
#[cfg(feature = "fuzzing")]
pub(super) fn check_agreement(path: &str) {
    let decoded =
        [("%2e", "."), ("%2E", "."), ("%2f", "/"), ("%2F", "/"), ("%5c", "/"), ("%5C", "/"), ("\\", "/")]
            .iter()
            .fold(path.to_owned(), |path, (from, to)| path.replace(from, to));
    let has_one = decoded.split('/').any(|segment| matches!(segment, "." | ".."));
    assert_eq!(check(path).is_err(), has_one, "{path:?}");
}

fn has_dot_segment(path: &[u8]) -> bool {
    let (mut dots, mut others) = (0, 0);
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let (byte, after) = match (first, after) {
            (b'%', [b'2', b'e' | b'E', after @ ..]) => (b'.', after),
            (b'%', [b'2', b'f' | b'F', after @ ..] | [b'5', b'c' | b'C', after @ ..]) => (b'/', after),
            (b'\\', after) => (b'/', after),
            (byte, after) => (*byte, after),
        };
        rest = after;
        match byte {
            b'/' if others == 0 && matches!(dots, 1 | 2) => return true,
            b'/' => (dots, others) = (0, 0),
            b'.' => dots += 1,
            _ => others += 1,
        }
    }
    others == 0 && matches!(dots, 1 | 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_found_however_they_are_written() {
        for path in [
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/apps/echo/x/../../hello/",
            "/a/%2e%2e/b",
            "/a/%2E%2e/b",
            "/a/.%2e",
            "/a/%2e",
            "/a/..%2fb",
            "/a%2f..%2Fb",
            "/a%2F%2e%2E",
            "/a\\..\\b",
            "/a/..\\b",
            "/a%5c..%5Cb",
            "/%2e/",
            "/..;/../x",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
        for path in [
            "/",
            "*",
            "",
            "/a/b",
            "/a.b",
            "/.a",
            "/..a",
            "/a..",
            "/...",
            "/a/.../b",
            "/.well-known/x",
            "/%2ea",
            "/a%2fb",
            "/%",
            "/%2",
            "/a%2",
            "/%2e%2e%2e",
            "/a//b",
            "/%252e%252e/",
            "/..;/x",
            "/a\\b",
        ] {
            assert!(check(path).is_ok(), "{path}");
        }
    }
}
