//! Variables of the host in the values of `env`.

use std::env::{self, VarError};

use super::error::EnvironmentError;
use crate::config::{Piece, Place, Without, pieces};

/// The text with the values of the host's variables.
///
/// # Errors
/// A variable without a default is not set, or is not UTF-8.
pub(super) fn expand(text: &str, place: &Place) -> Result<String, EnvironmentError> {
    let Some(pieces) = pieces(text) else { return Err(EnvironmentError::Template { place: place.clone() }) };
    let mut expanded = String::with_capacity(text.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) => expanded += text,
            Piece::Variable(name, Without::Fail) => expanded += &required(name, place)?,
            Piece::Variable(name, without) => {
                let value = variable(name, place)?.filter(|value| !value.is_empty());
                match (value, without) {
                    (Some(value), _) => expanded += &value,
                    (None, Without::Use(default)) => expanded += default,
                    (None, Without::Fail | Without::FailWith(_)) => {
                        let message = match without {
                            Without::FailWith(message) if !message.is_empty() => format!(": {message}"),
                            _ => String::new(),
                        };
                        return Err(EnvironmentError::Empty {
                            place: place.clone(),
                            name: name.to_owned(),
                            message,
                        });
                    }
                }
            }
        }
    }
    Ok(expanded)
}

/// A variable of the host that has to be set.
///
/// # Errors
/// It is not, or it is not UTF-8.
pub(super) fn required(name: &str, place: &Place) -> Result<String, EnvironmentError> {
    let unset = || EnvironmentError::Unset { place: place.clone(), name: name.to_owned() };
    variable(name, place)?.ok_or_else(unset)
}

fn variable(name: &str, place: &Place) -> Result<Option<String>, EnvironmentError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        // Its text shows the value.
        Err(VarError::NotUnicode(_)) => {
            Err(EnvironmentError::NotUnicode { place: place.clone(), name: name.to_owned() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_dollars() {
        let here = env!("CARGO_MANIFEST_DIR");
        for (text, expected) in [
            ("plain", "plain".to_owned()),
            ("<${CARGO_MANIFEST_DIR}>", format!("<{here}>")),
            ("${CARGO_MANIFEST_DIR:-x}${CARGO_MANIFEST_DIR:?x}", format!("{here}{here}")),
            ("${ATOLL_NO_SUCH_VARIABLE:-a b}", "a b".to_owned()),
            ("${ATOLL_NO_SUCH_VARIABLE:-}", String::new()),
            (
                "$$ $${CARGO_MANIFEST_DIR} $CARGO_MANIFEST_DIR $",
                "$ ${CARGO_MANIFEST_DIR} $CARGO_MANIFEST_DIR $".to_owned(),
            ),
        ] {
            assert_eq!(expand(text, &Place::default()).unwrap(), expected, "{text}");
        }
        let error = |text| expand(text, &Place::default()).unwrap_err().to_string();
        assert_eq!(
            error("${ATOLL_NO_SUCH_VARIABLE}"),
            "the variable ATOLL_NO_SUCH_VARIABLE is not set in the environment of the host"
        );
        let empty = "the variable ATOLL_NO_SUCH_VARIABLE is not set or empty in the environment of the host";
        assert_eq!(error("${ATOLL_NO_SUCH_VARIABLE:?}"), empty);
        assert_eq!(error("${ATOLL_NO_SUCH_VARIABLE:?set it}"), format!("{empty}: set it"));
        assert!(error("${").contains("${NAME:-default}"));
    }
}
