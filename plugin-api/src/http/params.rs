//! The parts of a path that a route's pattern has names for.

use std::fmt;
use std::rc::Rc;

use compact_str::CompactString;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use atoll_protocol::Error;

/// The parts of a path that the route's pattern has names for: with `/greet/{name}`, the path `/greet/tobe` has
/// `name = tobe`.
///
/// The values are percent-decoded, in the order of the pattern. As JSON they are an object of strings.
/// A clone shares them.
///
/// ```
/// use atoll_plugin::prelude::*;
///
/// #[derive(Deserialize)]
/// #[serde(crate = "atoll_plugin::serde")]
/// struct Page { book: String, number: u32 }
///
/// let app = Application::new().get("/{book}/{number}", |req: Request| {
///     let page: Page = req.params().parse()?;
///     Ok::<_, Error>(format!("page {} of {}", page.number, page.book))
/// });
/// assert_eq!(app.oneshot(Request::get("/moby%20dick/7")).body_bytes(), b"page 7 of moby dick");
/// assert_eq!(app.oneshot(Request::get("/moby/dick")).status_code(), 400);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Params {
    // Most routes have no parameters, and then there is nothing to allocate.
    pairs: Option<Rc<Vec<(CompactString, CompactString)>>>,
}

impl Params {
    /// Decodes raw values.
    ///
    /// # Errors
    /// Status 400 when one is not UTF-8 after its percent-decoding.
    pub(crate) fn decode<'a>(raw: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let decode = |(name, value): (&str, &str)| match percent_decode_str(value).decode_utf8() {
            Ok(text) => Ok((name.into(), text.into())),
            Err(_) => Err(Error::bad_request(format!("the path parameter `{name}` is not UTF-8"))),
        };
        let pairs = raw.map(decode).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { pairs: (!pairs.is_empty()).then(|| Rc::new(pairs)) })
    }

    /// The value of a parameter; `None` when the pattern has no such name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All names and values, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().flat_map(|pairs| pairs.iter()).map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.pairs.as_ref().map_or(0, |pairs| pairs.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_none()
    }

    /// Reads all of them into a struct with fields of these names.
    ///
    /// # Errors
    /// Status 400 when one is missing or is not what its field takes.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // Numbers and the like are read out of text here; `serde_urlencoded` has that, for this form of it.
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(self.iter()).finish();
        serde_urlencoded::from_str(&text)
            .map_err(|error| Error::bad_request(format!("cannot deserialize the path parameters: {error}")))
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_keep_their_order() {
        let raw = [("b", "a%2Fb"), ("a", "caf%C3%A9"), ("c", "1+1")];
        let params = Params::decode(raw.into_iter()).unwrap();
        assert_eq!(serde_json::to_string(&params).unwrap(), r#"{"b":"a/b","a":"café","c":"1+1"}"#);
        assert_eq!((params.len(), params.get("a"), params.get("x")), (3, Some("café"), None));
        assert_eq!(serde_json::to_string(&Params::default()).unwrap(), "{}");
    }

    #[test]
    fn a_value_that_is_not_text_is_the_clients_fault() {
        let error = Params::decode([("name", "%ff")].into_iter()).unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(error.message().contains("`name`"), "{error}");
    }

    #[test]
    fn values_are_read_as_their_fields_types() {
        #[derive(serde::Deserialize, PartialEq, Debug)]
        struct Fields {
            n: i64,
            text: String,
            missing: Option<String>,
        }
        let raw = [("n", "-5"), ("text", "%26+%3D")];
        let fields: Fields = Params::decode(raw.into_iter()).unwrap().parse().unwrap();
        assert_eq!(fields, Fields { n: -5, text: "&+=".into(), missing: None });
        let error = Params::decode([("n", "x")].into_iter()).unwrap().parse::<Fields>().unwrap_err();
        assert_eq!(error.status(), 400);
        assert!(
            error.message().starts_with("cannot deserialize the path parameters: invalid digit"),
            "{error}"
        );
    }
}
