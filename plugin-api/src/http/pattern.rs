//! The patterns of routes: what they are made of, and which of two is the more specific one.

/// A pattern of a route, such as `/users/{id}/files/{*path}`.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// As it was given.
    pub(crate) text: String,
    /// The same without the parameters' names: patterns of the same shape match the same paths.
    pub(crate) shape: String,
    /// The kinds of its segments. Of the patterns that match a path, the one whose kinds come first in order
    /// is the most specific one.
    pub(crate) segments: Vec<Segment>,
    /// What it ends with, if that is a catch-all.
    pub(crate) rest: Option<Rest>,
}

/// What a segment of a pattern is, the most specific kind first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Segment {
    Text,
    /// A parameter with text before or behind it.
    Affixed,
    Parameter,
    CatchAll,
}

/// A catch-all at the end of a pattern.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) name: String,
    /// The pattern in front of it, which matches where there is nothing to catch.
    pub(crate) parent: String,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Why it is not one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        use matchit::InsertError;

        if !text.starts_with('/') {
            return Err("it failed to start with `/`".to_owned());
        }
        // A router of its own has nothing to conflict with: what it refuses is malformed.
        matchit::Router::new().insert(text, ()).map_err(|error| match error {
            InsertError::InvalidParamSegment => "a segment can have only one parameter".to_owned(),
            InsertError::InvalidParam => {
                "write a parameter as `{name}` and a literal brace as `{{` or `}}`".to_owned()
            }
            InsertError::InvalidCatchAll => "`{*name}` must be at the end".to_owned(),
            other => other.to_string(),
        })?;

        let segments: Vec<_> = text.split('/').map(SegmentText::read).collect();
        let rest = match segments.last() {
            Some(SegmentText { kind: Segment::CatchAll, name: Some(name), .. }) => {
                let parent = text.strip_suffix(&format!("{{*{name}}}")).unwrap_or(text);
                Some(Rest { name: (*name).to_owned(), parent: parent.to_owned() })
            }
            _ => None,
        };
        Ok(Self {
            text: text.to_owned(),
            shape: segments.iter().map(|segment| &*segment.shape).collect::<Vec<_>>().join("/"),
            segments: segments.iter().map(|segment| segment.kind).collect(),
            rest,
        })
    }
}

/// One segment of a well-formed pattern.
struct SegmentText<'a> {
    kind: Segment,
    shape: String,
    name: Option<&'a str>,
}

impl<'a> SegmentText<'a> {
    fn read(text: &'a str) -> Self {
        let Some(start) = parameter_start(text) else {
            return Self { kind: Segment::Text, shape: text.to_owned(), name: None };
        };
        let (before, parameter) = text.split_at(start);
        let (inner, behind) = parameter[1..].split_once('}').unwrap_or((&parameter[1..], ""));
        let (kind, name, sign) = match inner.strip_prefix('*') {
            Some(name) => (Segment::CatchAll, name, "{*}"),
            None if before.is_empty() && behind.is_empty() => (Segment::Parameter, inner, "{}"),
            None => (Segment::Affixed, inner, "{}"),
        };
        Self { kind, shape: format!("{before}{sign}{behind}"), name: Some(name) }
    }
}

/// Where a segment has a brace that is not one of two.
fn parameter_start(segment: &str) -> Option<usize> {
    let mut position = 0;
    while let Some(found) = segment[position..].find('{') {
        position += found;
        if !segment[position + 1..].starts_with('{') {
            return Some(position);
        }
        position += 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_with_other_names_have_the_same_shape() {
        let shape = |text| Pattern::parse(text).unwrap().shape;
        assert_eq!(shape("/a/{b}/{c}.png/{*d}"), "/a/{}/{}.png/{*}");
        assert_eq!(shape("/{{a}}/{b}"), "/{{a}}/{}");
        assert_eq!(shape("/"), "/");
    }

    #[test]
    fn the_first_segment_that_differs_decides() {
        let segments = |text| Pattern::parse(text).unwrap().segments;
        let order = ["/a/b", "/a/b-{x}", "/a/{x}", "/a/{*x}", "/{x}/b", "/{x}/{y}", "/{x}/{*y}", "/{*x}"];
        assert!(order.map(segments).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_catch_all_has_a_name_and_a_parent() {
        let rest = |text| Pattern::parse(text).unwrap().rest.map(|rest| (rest.parent, rest.name));
        assert_eq!(rest("/{*path}"), Some(("/".into(), "path".into())));
        assert_eq!(rest("/{{x}}/{y}/{*path}"), Some(("/{{x}}/{y}/".into(), "path".into())));
        assert_eq!(rest("/{path}"), None);
        assert_eq!(rest("/{{*path}}"), None);
    }

    #[test]
    fn what_is_malformed_is_explained() {
        let reason = |text| Pattern::parse(text).unwrap_err();
        assert!(reason("").contains("start with `/`"));
        assert!(reason("x").contains("start with `/`"));
        assert!(reason("/{").contains("`{name}`"));
        assert!(reason("/{}").contains("`{name}`"));
        assert!(reason("/x}").contains("`{name}`"));
        assert!(reason("/{a}-{b}").contains("only one parameter"));
        assert!(reason("/{*a}/b").contains("at the end"));
    }
}
