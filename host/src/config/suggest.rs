//! The known name that a mistyped one probably stands for: a field's, or an app's.

/// A longer name than this, in bytes, is compared with none: the work grows with its length.
const LONGEST: usize = 64;

/// How many edits may lie between an unknown app name and the one that is suggested for it.
const MAX_EDITS: usize = 2;

/// The nearest of the known field names, if one is near enough to be worth saying.
pub(super) fn nearest_field<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    if given.len() > LONGEST {
        return None;
    }
    let given = plain(given);
    let distance = |name: &str| {
        let name = plain(name);
        // A forgotten unit (`deadline` for `deadline_ms`) or a word in full (`environment` for `env`).
        let cut =
            (name.starts_with(&given) && given.len() > 3) || (given.starts_with(&name) && name.len() >= 3);
        let typos = edits(&given, &name);
        if typos > 0 && cut { 1 } else { typos }
    };
    let (typos, name) = known.iter().map(|&name| (distance(name), name)).min_by_key(|(typos, _)| *typos)?;
    // More than that, and it is as likely another word (`timeout_ms` could be any of four).
    let allowed = match plain(name).len() {
        0..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    (typos <= allowed).then_some(name)
}

/// Without what differs between `deadlineMs`, `deadline-ms` and `deadline_ms`.
fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

/// The app name that takes the fewest edits to become from `name`, if [`MAX_EDITS`] are enough. Among several, the first in
/// the alphabet.
pub(crate) fn nearest_app<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        // Most names differ too much in length, which costs nothing to see.
        .filter(|known| known.len().abs_diff(name.len()) <= MAX_EDITS)
        .map(|known| (edits(name, known), known))
        .filter(|(edits, _)| *edits <= MAX_EDITS)
        .min()
        .map(|(_, known)| known)
}

/// How many edits lead from one name to the other. What they have in common at both ends is taken off first: names such
/// as `shop-1` and `shop-2` then cost no more than a comparison.
fn edits(a: &str, b: &str) -> usize {
    let start: usize = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let (a, b) = (&a[start..], &b[start..]);
    let ends = a.chars().rev().zip(b.chars().rev());
    let end: usize = ends.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    strsim::osa_distance(&a[..a.len() - end], &b[..b.len() - end])
}

#[cfg(test)]
mod tests {
    use super::super::MAX_APP_NAME;
    use super::*;

    const KNOWN: [&str; 8] =
        ["id", "name", "path", "workers", "deadline_ms", "idle_timeout_ms", "env", "body_limit"];

    #[test]
    fn mistyped_names_are_recognised() {
        for (given, meant) in [
            ("wokers", "workers"),
            ("worker", "workers"),
            ("nmae", "name"),
            ("Path", "path"),
            ("deadline", "deadline_ms"),
            ("deadlineMs", "deadline_ms"),
            ("idle-timeout", "idle_timeout_ms"),
            ("environment", "env"),
            ("max_body_limit", "body_limit"),
        ] {
            assert_eq!(nearest_field(given, &KNOWN), Some(meant), "{given}");
        }
    }

    #[test]
    fn anything_else_is_not_guessed_at() {
        for given in ["", "x", "disabled", "port", "tls", "enabled", "timeout_ms", &"deadline_ms".repeat(6)] {
            assert_eq!(nearest_field(given, &KNOWN), None, "{given}");
        }
    }

    #[test]
    fn the_nearest_app_is_found() {
        let known = ["hello", "help", "shop-1", "shop-2", "a", "x".repeat(MAX_APP_NAME).leak()];
        for (name, meant) in [
            ("helo", Some("hello")),
            ("hlelo", Some("hello")),
            ("hel", Some("help")),
            ("shop-3", Some("shop-1")),
            ("shop2", Some("shop-2")),
            ("hello", Some("hello")),
            ("żółw", None),
            ("helló", Some("hello")),
            ("goodbye", None),
            (&"x".repeat(MAX_APP_NAME - 2), Some(known[5])),
            (&"x".repeat(MAX_APP_NAME - 3), None),
        ] {
            assert_eq!(nearest_app(name, known.into_iter()), meant, "{name}");
        }
    }

    #[test]
    fn many_long_names_are_compared_in_a_moment() {
        let known: Vec<String> = (0..1_000).map(|n| format!("{n:04}{}", "ab".repeat(30))).collect();
        let begun = std::time::Instant::now();
        let found = nearest_app(&format!("x{}x", "ba".repeat(31)), known.iter().map(String::as_str));
        // A hundredth of that in an optimised build.
        assert!(
            found.is_none() && begun.elapsed() < std::time::Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    }
}
