//! What is said in a room.

use atoll_plugin::prelude::*;

const NAME: usize = 40;
const TEXT: usize = 2000;

/// What somebody does in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "atoll_plugin::serde", rename_all = "lowercase", tag = "kind")]
pub(crate) enum Act {
    Said { name: String, text: String },
    Joined { name: String },
    Left { name: String },
}

/// It as it is kept and sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "atoll_plugin::serde")]
pub(crate) struct Message {
    /// Larger than that of all messages before.
    pub(crate) id: u64,
    /// When, in milliseconds since 1970.
    pub(crate) at: u64,
    #[serde(flatten)]
    pub(crate) act: Act,
}

/// What a client without a WebSocket sends.
#[derive(Deserialize)]
#[serde(crate = "atoll_plugin::serde", deny_unknown_fields)]
pub(crate) struct Said {
    name: String,
    text: String,
}

impl Said {
    pub(crate) fn new(name: &str, text: String) -> Self {
        Self { name: name.to_owned(), text }
    }

    pub(crate) fn checked(self) -> Result<Act, Error> {
        let name = checked_name("name", &self.name)?;
        let text = checked("text", &self.text, TEXT)?;
        Ok(Act::Said { name, text })
    }
}

/// The name of a guest or a room.
pub(crate) fn checked_name(what: &str, name: &str) -> Result<String, Error> {
    checked(what, name, NAME)
}

fn checked(what: &str, text: &str, most: usize) -> Result<String, Error> {
    let text = text.trim();
    if (1..=most).contains(&text.chars().count()) {
        return Ok(text.to_owned());
    }
    Err(Error::new(422, format!("{what}: 1 to {most} characters that are not only blanks")))
}
