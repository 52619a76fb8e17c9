//! The file of tokens.
//!
//! It is read for each request that needs it, so that a token that was revoked is refused at once, also by another process of
//! the host.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rustls::crypto::ring;
use serde::{Deserialize, Serialize};

use super::scope::Token;
use crate::fs::state_folder::state_folder;
use crate::fs::{atomic_file, regular_file};

/// How many tokens a host has at most.
pub(crate) const MAX_TOKENS: usize = 1000;

/// How many bytes the file may have: more than all tokens take.
const FILE_LIMIT: u64 = 16 << 20;

const FILE: &str = "tokens.json";

/// How a token begins, by which people and scanners for secrets recognize it.
const PREFIX: &str = "atoll_";

/// How many random bytes a token has.
const RANDOM_BYTES: usize = 32;

/// Why tokens cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub(in crate::admin) enum TokensError {
    /// The folder or its file cannot be used.
    #[error("cannot use the tokens in {}: {reason}", path.display())]
    File { path: PathBuf, reason: io::Error },
    /// The file is not what a host has written.
    #[error("{} is damaged: {reason}; remove it, and create the tokens again", path.display())]
    Damaged { path: PathBuf, reason: serde_json::Error },
    /// The host keeps nothing.
    #[error("this host keeps no tokens: start it with --state-dir")]
    NoFolder,
    /// There is one of this name.
    #[error("a token named {0} exists; revoke it first, or choose another name")]
    Exists(String),
    /// There is none of this name.
    #[error("unknown token {0}")]
    Unknown(String),
    /// There are too many.
    #[error("there are {MAX_TOKENS} tokens, the limit; revoke those that are no longer needed")]
    TooMany,
    /// The system has no random bytes.
    #[error("cannot get random bytes from the system")]
    Random,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    token: Token,
    /// The hash of its secret, in hexadecimal. The secret has 256 random bits, so that a fast hash is enough.
    hash: String,
}

/// The tokens of a host.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Tokens {
    /// `None`: the host keeps nothing.
    folder: Option<PathBuf>,
}

impl Tokens {
    /// Those of the host of a registry file, which keeps what it keeps in the folder `state`.
    pub(in crate::admin) fn new(state: Option<&Path>, config: &Path) -> Self {
        Self { folder: state.map(|state| state_folder(state, "tokens", config)) }
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub(in crate::admin) fn list(&self) -> Result<Vec<Token>, TokensError> {
        Ok(self.read()?.into_iter().map(|stored| stored.token).collect())
    }

    /// The token with this secret, also one that has expired.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub(in crate::admin) fn find(&self, secret: &str) -> Result<Option<Token>, TokensError> {
        if !secret.starts_with(PREFIX) {
            return Ok(None);
        }
        let given = blake3::hash(secret.as_bytes());
        // Hashes are compared in constant time.
        let is_it = |stored: &Stored| blake3::Hash::from_hex(&stored.hash).is_ok_and(|known| known == given);
        Ok(self.read()?.into_iter().find(is_it).map(|stored| stored.token))
    }

    /// Adds a token; returns its secret, which nothing keeps.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub(in crate::admin) fn create(&self, token: Token) -> Result<String, TokensError> {
        let mut random = [0; RANDOM_BYTES];
        ring::default_provider().secure_random.fill(&mut random).map_err(|_| TokensError::Random)?;
        let secret = format!("{PREFIX}{}", HEXLOWER.encode(&random));
        let hash = blake3::hash(secret.as_bytes()).to_hex().to_string();
        self.change(|all| {
            if all.iter().any(|stored| stored.token.name == token.name) {
                return Err(TokensError::Exists(token.name));
            }
            if all.len() >= MAX_TOKENS {
                return Err(TokensError::TooMany);
            }
            all.push(Stored { token, hash });
            all.sort_by(|one, other| one.token.name.cmp(&other.token.name));
            Ok(secret)
        })
    }

    /// Removes a token.
    ///
    /// # Errors
    /// See [`TokensError`].
    pub(in crate::admin) fn revoke(&self, name: &str) -> Result<(), TokensError> {
        self.change(|all| {
            let before = all.len();
            all.retain(|stored| stored.token.name != name);
            if all.len() == before { Err(TokensError::Unknown(name.to_owned())) } else { Ok(()) }
        })
    }

    fn read(&self) -> Result<Vec<Stored>, TokensError> {
        let Some(folder) = &self.folder else { return Ok(Vec::new()) };
        let path = folder.join(FILE);
        match regular_file::read(&path, FILE_LIMIT) {
            Ok(text) => serde_json::from_slice(&text).map_err(|reason| TokensError::Damaged { path, reason }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(reason) => Err(TokensError::File { path, reason }),
        }
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut Vec<Stored>) -> Result<T, TokensError>,
    ) -> Result<T, TokensError> {
        let folder = self.folder.as_ref().ok_or(TokensError::NoFolder)?;
        let failed = |reason| TokensError::File { path: folder.clone(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = File::open(folder).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut all = self.read()?;
        let changed = change(&mut all)?;
        let text = serde_json::to_vec(&all).map_err(|error| failed(error.into()))?;
        atomic_file::write_to_disk(&folder.join(FILE), 0o600, |file| file.write_all(&text))
            .map_err(failed)?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn token(name: &str) -> Token {
        Token {
            name: name.into(),
            apps: vec!["*".parse().unwrap()],
            permissions: BTreeSet::new(),
            created_ms: 1,
            expires_ms: None,
        }
    }

    fn tokens(folder: &tempfile::TempDir) -> Tokens {
        Tokens::new(Some(folder.path()), Path::new("/srv/apps.json"))
    }

    #[test]
    fn a_token_is_found_by_its_secret_until_it_is_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let all = tokens(&folder);
        assert_eq!(all.find("atoll_00").unwrap(), None);
        let (b, a) = (all.create(token("b")).unwrap(), all.create(token("a")).unwrap());
        assert_ne!(a, b);
        assert_eq!(tokens(&folder).find(&a).unwrap(), Some(token("a")));
        assert_eq!(all.list().unwrap(), [token("a"), token("b")]);
        assert!(matches!(all.create(token("a")), Err(TokensError::Exists(_))));
        all.revoke("a").unwrap();
        assert_eq!((all.find(&a).unwrap(), all.find(&b).unwrap()), (None, Some(token("b"))));
        assert!(matches!(all.revoke("a"), Err(TokensError::Unknown(_))));
    }

    #[test]
    fn no_secret_is_in_the_file_and_only_the_user_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let all = tokens(&folder);
        let secret = all.create(token("a")).unwrap();
        let path = all.folder.as_ref().unwrap().join(FILE);
        assert!(!std::fs::read_to_string(&path).unwrap().contains(&secret[PREFIX.len()..]));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(all.find(&secret), Err(TokensError::Damaged { .. })), "in doubt none is good");
    }

    #[test]
    fn there_is_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let all = tokens(&folder);
        let stored = |number: usize| Stored { token: token(&format!("t{number}")), hash: String::new() };
        all.change(|known| {
            known.extend((0..MAX_TOKENS).map(stored));
            Ok(())
        })
        .unwrap();
        assert!(matches!(all.create(token("one-more")), Err(TokensError::TooMany)));
        all.revoke("t0").unwrap();
        all.create(token("one-more")).unwrap();
    }

    #[test]
    fn a_host_that_keeps_nothing_has_none() {
        let none = Tokens::new(None, Path::new("apps.json"));
        assert_eq!(none.find("atoll_00").unwrap(), None);
        assert!(matches!(none.create(token("a")), Err(TokensError::NoFolder)));
    }
}
