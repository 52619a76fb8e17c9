//! Variables of the host within a text: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$$` for `$`.

/// The schema's rule for a text that [`pieces`] accepts, which has no NUL either.
pub(super) const PATTERN: &str = concat!(
    r"^(?:[^$\u0000]|\$[^{\u0000]|\$\{[A-Za-z_][A-Za-z0-9_]*",
    r"(?::[-?](?:[^$}\u0000]|\$+[^${}\u0000])*\$*)?\})*\$?$"
);

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    /// It stands for itself.
    Text(&'t str),
    /// The value of a variable of the host.
    Variable(&'t str, Without<'t>),
}

/// What is done without the variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Without<'t> {
    /// It is an error if the variable is not set.
    Fail,
    /// This is used if the variable is not set, or empty.
    Use(&'t str),
    /// It is an error with this message if the variable is not set, or empty.
    FailWith(&'t str),
}

/// The pieces of a text; `None` if a `${` is not what [the module](self) describes.
pub(crate) fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        // A `$` before anything else stands for itself.
        let (text, after) = match from.as_bytes().get(1) {
            Some(b'$') => (&rest[..=dollar], &from[2..]),
            Some(b'{') => (before, &from[2..]),
            _ => (&rest[..=dollar], &from[1..]),
        };
        pieces.push(Piece::Text(text));
        rest = after;
        if from.starts_with("${") {
            let (inner, after) = after.split_once('}')?;
            pieces.push(variable(inner)?);
            rest = after;
        }
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Some(pieces)
}

/// What is between the braces.
fn variable(inner: &str) -> Option<Piece<'_>> {
    if inner.contains("${") {
        return None;
    }
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let without = match (rest.strip_prefix(":-"), rest.strip_prefix(":?")) {
        (Some(default), _) => Without::Use(default),
        (None, Some(message)) => Without::FailWith(message),
        (None, None) if rest.is_empty() => Without::Fail,
        (None, None) => return None,
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_name.then_some(Piece::Variable(name, without))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Piece::{Text, Variable};
    use Without::{Fail, FailWith, Use};

    #[test]
    fn pieces_of_texts() {
        for (text, expected) in [
            ("", vec![]),
            ("plain", vec![Text("plain")]),
            ("${A}", vec![Variable("A", Fail)]),
            ("a${_B1}c${D}", vec![Text("a"), Variable("_B1", Fail), Text("c"), Variable("D", Fail)]),
            ("${A:-}", vec![Variable("A", Use(""))]),
            ("${A:-b:-c $ {}", vec![Variable("A", Use("b:-c $ {"))]),
            ("${A:?set it}", vec![Variable("A", FailWith("set it"))]),
            ("$$", vec![Text("$")]),
            ("$${A}", vec![Text("$"), Text("{A}")]),
            ("$$${A}", vec![Text("$"), Variable("A", Fail)]),
            ("a$b $", vec![Text("a$"), Text("b $")]),
            ("}{", vec![Text("}{")]),
        ] {
            assert_eq!(pieces(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for text in ["${", "${A", "${}", "${1A}", "${A-b}", "${A:+b}", "${A:}", "${ A}", "${é}", "${A:-${B}}"]
        {
            assert_eq!(pieces(text), None, "{text}");
        }
    }
}
