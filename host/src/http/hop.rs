//! What is of one connection only, and goes neither to an app nor from it (RFC 9110, section 7.6.1).

use foldhash::HashSet;

/// Whether a header of this name, in lower case, is of the connection.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// The names in `Connection` headers, in lower case, that are not in [`is_hop_by_hop`] already: usually none, which costs
/// nothing. The sender chooses their number, so each other header is looked up instead of compared with all.
pub(super) fn named_by<'a>(connection: impl Iterator<Item = &'a str>) -> HashSet<String> {
    connection
        .flat_map(elements)
        .filter(|name| {
            !["close", "keep-alive", "upgrade", "te"].iter().any(|usual| name.eq_ignore_ascii_case(usual))
        })
        // Every request has one, and none can do without.
        .filter(|name| !name.eq_ignore_ascii_case("host"))
        .map(str::to_ascii_lowercase)
        .collect()
}

/// The elements of a header that is a list.
pub(super) fn elements(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|element| !element.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unusual_options_are_named() {
        let named = named_by(["Keep-Alive, X-One", "close,, TE , x-two", "Host"].into_iter());
        assert_eq!(named, HashSet::from_iter(["x-one".to_owned(), "x-two".to_owned()]));
    }
}
