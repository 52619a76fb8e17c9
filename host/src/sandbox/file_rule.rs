//! Which files a process may use.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a process may do with a file, or with all files in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// Read it; with `exec`, also execute it.
    Read,
    /// Read, write, create, rename and delete it, but not execute it.
    ReadWrite,
}

/// A file or a folder that a process may use: `r:/usr/share/zoneinfo`, `rw:/var/lib/shop`.
///
/// ```
/// # use atoll_host::config::FileRule;
/// let rule: FileRule = "rw:/var/lib/shop".parse()?;
/// assert_eq!(rule.to_string(), "rw:/var/lib/shop");
/// assert!("/var/lib/shop".parse::<FileRule>().is_err());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FileRule {
    path: PathBuf,
    access: FileAccess,
}

/// Why a text is not a [`FileRule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `r:` (read) or `rw:` (read and write) and an absolute path, such as \"rw:/var/lib/shop\"")]
pub struct FileRuleError;

/// The regular expression of a rule, for schemas.
pub(crate) const PATTERN: &str = r"^rw?:/[^\u0000]*$";

impl FileRule {
    /// A rule for an absolute path.
    ///
    /// # Errors
    /// The path is relative, or is not UTF-8, which a rule as text cannot be.
    pub fn new(access: FileAccess, path: &Path) -> Result<Self, FileRuleError> {
        let valid = path.is_absolute() && path.to_str().is_some_and(|text| !text.contains('\0'));
        if valid { Ok(Self { path: path.to_owned(), access }) } else { Err(FileRuleError) }
    }

    /// The file or the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is allowed.
    pub fn access(&self) -> FileAccess {
        self.access
    }
}

impl FromStr for FileRule {
    type Err = FileRuleError;

    fn from_str(text: &str) -> Result<Self, FileRuleError> {
        match text.split_once(':') {
            Some(("r", path)) => Self::new(FileAccess::Read, Path::new(path)),
            Some(("rw", path)) => Self::new(FileAccess::ReadWrite, Path::new(path)),
            _ => Err(FileRuleError),
        }
    }
}

impl TryFrom<String> for FileRule {
    type Error = FileRuleError;

    fn try_from(text: String) -> Result<Self, FileRuleError> {
        text.parse()
    }
}

impl From<FileRule> for String {
    fn from(rule: FileRule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for FileRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            FileAccess::Read => "r",
            FileAccess::ReadWrite => "rw",
        };
        write!(f, "{access}:{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_they_are_read() {
        for text in ["r:/", "rw:/var/lib/a b", "r:/a:b"] {
            let rule: FileRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<FileRule>(&json).unwrap(), rule);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "/srv", "r:", "r:srv", "w:/srv", "rwx:/srv", "R:/srv", "r:/a\0b"] {
            assert_eq!(text.parse::<FileRule>(), Err(FileRuleError), "{text:?}");
        }
    }
}
