//! Why a configuration was not accepted.

use super::diagnostic::Diagnostic;
use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// How many errors are printed; the rest is counted. Nobody reads further, and a log line must end.
const PRINTED: usize = 20;

/// Why a configuration was not accepted. Its text is complete: print it as it is.
///
/// ```
/// use atoll_host::config::{Config, ConfigError};
///
/// let error = Config::load("/nowhere/apps.json").unwrap_err();
/// assert!(matches!(error, ConfigError::Missing { .. }));
/// assert!(error.to_string().contains(r#"[{ "name": "hello", "path": "apps/hello" }]"#));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no file.
    #[error(
        "{}: no such file. It lists the apps to run; create it with the name and crate folder of each app:\n  \
         [{{ \"name\": \"hello\", \"path\": \"apps/hello\" }}]",
        file.display()
    )]
    Missing {
        /// The path that was given.
        file: PathBuf,
    },

    /// The operating system refused to read the file.
    // The reason is in the text and is therefore not a `source`, or printing the chain would say it twice.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The path that was given.
        file: PathBuf,
        /// What the operating system said.
        reason: io::Error,
    },

    /// What the file says is wrong.
    #[error("{}", Printed(diagnostics))]
    Invalid {
        /// All that is wrong, in the order of the file; at least one.
        diagnostics: Vec<Diagnostic>,
    },
}

impl ConfigError {
    pub(super) fn from_read(path: &Path, reason: io::Error) -> Self {
        let file = path.to_path_buf();
        match reason.kind() {
            io::ErrorKind::NotFound => ConfigError::Missing { file },
            _ => ConfigError::Unreadable { file, reason },
        }
    }

    /// What is wrong in the file, piece by piece; empty when it could not be read at all.
    ///
    /// ```
    /// use atoll_host::config::Config;
    /// use std::path::Path;
    ///
    /// let error = Config::parse("[{}, {}]", Path::new("/srv"), "apps.json").unwrap_err();
    /// let fields: Vec<_> = error.diagnostics().iter().map(|found| found.field.as_str()).collect();
    /// assert_eq!(fields, ["apps[0].name", "apps[0].path", "apps[1].name", "apps[1].path"]);
    /// ```
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            ConfigError::Invalid { diagnostics } => diagnostics,
            ConfigError::Missing { .. } | ConfigError::Unreadable { .. } => &[],
        }
    }
}

struct Printed<'a>(&'a [Diagnostic]);

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.0.iter().take(PRINTED).enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        match self.0.len().saturating_sub(PRINTED) {
            0 => Ok(()),
            1 => write!(f, "\nand 1 more error"),
            more => write!(f, "\nand {more} more errors"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Config, FILE_LIMIT};
    use super::*;

    #[test]
    fn a_missing_file_says_how_to_make_one_that_works() {
        let text = Config::load("/nowhere/apps.json").unwrap_err().to_string();
        let (message, example) = text.split_once('\n').unwrap();
        assert!(message.starts_with("/nowhere/apps.json: no such file."), "{message}");
        assert!(Config::parse(example, Path::new("/srv"), "apps.json").is_ok());
    }

    #[test]
    fn a_folder_is_unreadable() {
        let error = Config::load("/").unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }));
        assert!(error.to_string().starts_with("cannot read /: "), "{error}");
    }

    #[test]
    fn a_file_at_the_limit_is_read_and_one_above_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apps.json");
        let mut text = "[]".to_owned() + &" ".repeat(FILE_LIMIT as usize - 2);
        std::fs::write(&file, &text).unwrap();
        assert!(Config::load(&file).unwrap().apps.is_empty());
        text.push(' ');
        std::fs::write(&file, &text).unwrap();
        let error = Config::load(&file).unwrap_err().to_string();
        assert!(error.ends_with("found 16777217 bytes, the limit is 16777216"), "{error}");
    }

    #[test]
    fn a_flood_of_errors_is_cut() {
        let one = format!("[{}]", vec!["1"; PRINTED + 1].join(","));
        let printed = Config::parse(&one, Path::new("/srv"), "apps.json").unwrap_err().to_string();
        assert!(printed.ends_with("\nand 1 more error"), "{printed}");
        let text = format!("[{}]", vec!["1"; PRINTED + 2].join(","));
        let error = Config::parse(&text, Path::new("/srv"), "apps.json").unwrap_err();
        assert_eq!(error.diagnostics().len(), PRINTED + 2);
        let printed = error.to_string();
        assert!(printed.ends_with("\nand 2 more errors"), "{printed}");
        assert_eq!(printed.matches("expected").count(), PRINTED);
    }
}
