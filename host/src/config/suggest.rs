//! The known name that a mistyped one probably stands for.

/// A longer name than this, in bytes, is compared with none: the work grows with its length.
const LONGEST: usize = 64;

/// The nearest of the known names, if one is near enough to be worth saying.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    if given.len() > LONGEST {
        return None;
    }
    let given = plain(given);
    let distance = |name: &str| {
        let name = plain(name);
        // A forgotten unit (`deadline` for `deadline_ms`) or a word in full (`environment` for `env`).
        let cut =
            (name.starts_with(&given) && given.len() > 3) || (given.starts_with(&name) && name.len() >= 3);
        let typos = strsim::damerau_levenshtein(&given, &name);
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

#[cfg(test)]
mod tests {
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
            assert_eq!(nearest(given, &KNOWN), Some(meant), "{given}");
        }
    }

    #[test]
    fn anything_else_is_not_guessed_at() {
        for given in ["", "x", "disabled", "port", "tls", "enabled", "timeout_ms", &"deadline_ms".repeat(6)] {
            assert_eq!(nearest(given, &KNOWN), None, "{given}");
        }
    }
}
