//! What the document of the admin API says of its answers.

use jsonschema::Validator;
use serde_json::Value;

/// The path that only a host of a fleet answers.
pub(crate) const FLEET: &str = "/api/v1/fleet";

/// The answers to `GET` with a path as it stands in the document; `None`: it describes none in JSON.
pub(crate) struct Answers(Validator);

impl Answers {
    pub(crate) fn of(document: &Value, path: &str) -> Option<Self> {
        let answers = &document["paths"][path]["get"]["responses"];
        let mut schema = answers["200"]["content"]["application/json"].get("schema")?.clone();
        schema["components"] = document["components"].clone();
        Some(Self(jsonschema::draft202012::new(&schema).unwrap()))
    }

    #[track_caller]
    pub(crate) fn check(&self, answer: &Value) {
        let errors: Vec<_> = self.0.iter_errors(answer).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {answer}");
    }
}
