//! What a page's `Content-Security-Policy` is to allow beside what the app says: the script that is added, and what it
//! follows.

/// The policies of one header with the script of this nonce and connections to `address` allowed, and else as they were.
/// `None`: the page is in a sandbox where no script could do anything.
pub(super) fn with_script(header: &str, nonce: &str, address: &str) -> Option<String> {
    let policies: Option<Vec<_>> =
        header.split(',').map(|policy| with_script_in_one(policy, nonce, address)).collect();
    Some(policies?.join(", "))
}

/// A directive's name, in lower case, and what it allows.
type Directive<'a> = (String, Vec<&'a str>);

fn with_script_in_one(policy: &str, nonce: &str, address: &str) -> Option<String> {
    let mut directives: Vec<Directive<'_>> = policy
        .split(';')
        .filter_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            Some((words.next()?.to_ascii_lowercase(), words.collect()))
        })
        .collect();
    if let Some((_, allowed)) = directives.iter().find(|(name, _)| name == "sandbox") {
        let allows = |what: &str| allowed.iter().any(|word| word.eq_ignore_ascii_case(what));
        if !(allows("allow-scripts") && allows("allow-same-origin")) {
            return None;
        }
    }
    let nonce = format!("'nonce-{nonce}'");
    if let Some(allowed) = allowed(&directives, &["script-src-elem", "script-src", "default-src"])
        && !allows_inline(&allowed)
    {
        allow(&mut directives, "script-src-elem", allowed, &nonce);
    }
    if let Some(allowed) = allowed(&directives, &["connect-src", "default-src"])
        && !allowed.iter().any(|word| *word == "*" || word.eq_ignore_ascii_case("'self'"))
    {
        allow(&mut directives, "connect-src", allowed, address);
    }
    let directives: Vec<_> =
        directives.into_iter().map(|(name, words)| [&[name.as_str()], &*words].concat().join(" ")).collect();
    Some(directives.join("; "))
}

/// What the first of these directives allows that is there; `None`: everything.
fn allowed<'a>(directives: &[Directive<'a>], names: &[&str]) -> Option<Vec<&'a str>> {
    names.iter().find_map(|name| {
        directives.iter().find(|(found, _)| found == name).map(|(_, allowed)| allowed.clone())
    })
}

/// Whether any script in the page runs: then a nonce would stop all others.
fn allows_inline(allowed: &[&str]) -> bool {
    let has = |what: &str| allowed.iter().any(|word| word.to_ascii_lowercase().starts_with(what));
    has("'unsafe-inline'")
        && !["'nonce-", "'sha256-", "'sha384-", "'sha512-", "'strict-dynamic'"].into_iter().any(has)
}

/// Sets a directive to what was allowed before, by it or by a more general one, and `more`.
fn allow<'a>(directives: &mut Vec<Directive<'a>>, name: &str, mut allowed: Vec<&'a str>, more: &'a str) {
    allowed.retain(|word| !word.eq_ignore_ascii_case("'none'"));
    allowed.push(more);
    match directives.iter_mut().find(|(found, _)| found == name) {
        Some((_, words)) => *words = allowed,
        None => directives.push((name.to_owned(), allowed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(header: &str) -> String {
        with_script(header, "N", "localhost:3000/x").expect("scripts may run")
    }

    #[test]
    fn what_is_needed_is_added_and_nothing_else() {
        assert_eq!(
            adapted("default-src 'none'; script-src 'self'; Connect-Src api.example"),
            "default-src 'none'; script-src 'self'; connect-src api.example localhost:3000/x; \
             script-src-elem 'self' 'nonce-N'"
        );
        assert_eq!(
            adapted("default-src 'none'"),
            "default-src 'none'; script-src-elem 'nonce-N'; connect-src localhost:3000/x"
        );
        assert_eq!(
            adapted("script-src-elem 'nonce-own' 'unsafe-inline'; connect-src 'self'"),
            "script-src-elem 'nonce-own' 'unsafe-inline' 'nonce-N'; connect-src 'self'"
        );
    }

    #[test]
    fn what_allows_it_stays_as_it_is() {
        for policy in [
            "img-src 'self'",
            "script-src 'unsafe-inline'; connect-src *",
            "sandbox allow-scripts allow-same-origin",
        ] {
            assert_eq!(adapted(policy), policy);
        }
        assert_eq!(adapted("default-src 'self' 'unsafe-inline'"), "default-src 'self' 'unsafe-inline'");
    }

    #[test]
    fn each_policy_of_a_header_has_to_allow_it() {
        assert_eq!(
            adapted("connect-src 'none', script-src 'none'"),
            "connect-src localhost:3000/x, script-src 'none'; script-src-elem 'nonce-N'"
        );
    }

    #[test]
    fn in_a_sandbox_no_script_runs() {
        assert_eq!(with_script("sandbox allow-scripts", "N", "x"), None);
        assert_eq!(with_script("img-src *, sandbox", "N", "x"), None);
    }
}
