//! The value of a variable in the setting `env`.

use super::{
    node::Node,
    place::Place,
    settings::{ENV_NAME, FILE_NAME, PATH},
    template,
};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const SECRET_EXPECTED: &str = r#"where a secret is, such as { "file": "secrets/db" }"#;
const TEMPLATE_EXPECTED: &str =
    "a value with variables as ${NAME}, ${NAME:-default} or ${NAME:?message} (write $${ for ${)";

/// The value of a variable in [`env`](super::Settings::env): a text, or where a secret is.
///
/// Two are equal if they are written alike, wherever in the file that is.
///
/// ```
/// use atoll_host::config::EnvValue;
///
/// let value = EnvValue::from("postgres://${DB_HOST:-localhost}/shop");
/// assert_eq!(serde_json::to_value(&value)?, "postgres://${DB_HOST:-localhost}/shop");
/// # serde_json::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvValue {
    pub(crate) source: EnvSource,
    pub(crate) place: Place,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EnvSource {
    /// A secret: the content of a file. The path is absolute.
    File(PathBuf),
    /// A secret: a credential of systemd, by its name.
    Credential(String),
    /// A secret: a variable of the host.
    Env(String),
    /// A text, with variables of the host.
    #[serde(untagged)]
    Text(String),
}

impl EnvValue {
    pub(super) fn read(node: &Node<'_>) -> Option<Self> {
        let source = if node.is_object() {
            secret(node)?
        } else {
            let text = node.text("the variable's value as a string", |_| true)?;
            if text.contains('\0') {
                return node.expected("a variable's value without NUL");
            }
            if template::pieces(&text).is_none() {
                return node.expected(TEMPLATE_EXPECTED);
            }
            EnvSource::Text(text)
        };
        // Nothing can be wrong later with a text that has no variables.
        let is_plain = matches!(&source, EnvSource::Text(text) if !text.contains("${"));
        let place = if is_plain { Place::default() } else { node.place() };
        Some(Self { source, place })
    }

    /// Makes its path absolute.
    pub(super) fn resolve(&mut self, absolute: impl Fn(&Path) -> PathBuf) {
        if let EnvSource::File(path) = &mut self.source {
            *path = absolute(path);
        }
    }

    /// Without a text, which may contain a secret.
    #[must_use]
    pub(crate) fn hidden(self) -> Self {
        match self.source {
            EnvSource::Text(_) => Self::from("***"),
            _ => self,
        }
    }
}

impl From<&str> for EnvValue {
    fn from(text: &str) -> Self {
        Self { source: EnvSource::Text(text.to_owned()), place: Place::default() }
    }
}

impl Serialize for EnvValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

fn secret(node: &Node<'_>) -> Option<EnvSource> {
    let mut fields = node.object(SECRET_EXPECTED)?;
    let count = fields.len();
    let file = fields.optional("file", |node| {
        node.text("the path of a file", |path| !path.is_empty() && !path.contains('\0'))
    });
    let credential = fields.optional("credential", |node| {
        let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
        node.text("the name of a credential, which is a file name", is_name)
    });
    let variable = fields.optional("env", |node| {
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        node.text("the name of a variable of the host", is_name)
    });
    fields.finish();
    if count != 1 {
        return node.expected("one of `file`, `credential` and `env`");
    }
    let file = file.map(|path| EnvSource::File(path.into()));
    file.or(credential.map(EnvSource::Credential)).or(variable.map(EnvSource::Env))
}

/// The schema of a value.
pub(super) fn schema() -> Value {
    json!({
        "type": ["string", "object"],
        "pattern": template::PATTERN,
        "properties": {
            "file": {
                "description": "A secret: the content of this file without the last line ending. Relative to the folder of apps.json.",
                "type": "string",
                "pattern": PATH,
            },
            "credential": {
                "description": "A secret: the credential of this name in systemd's `$CREDENTIALS_DIRECTORY`.",
                "type": "string",
                "pattern": FILE_NAME,
            },
            "env": {
                "description": "A secret: the variable of this name in the environment of the host.",
                "type": "string",
                "pattern": ENV_NAME,
            },
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}
