//! The files that keep what was counted.
//!
//! One has the hour that it is, and is written every few seconds; the other has the hours that are over, and is written once an
//! hour. Each is replaced in one step. The second is on the disk before the first one leaves an hour out.

use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ledger::{Current, Ledger};
use super::past::Past;
use super::report::UsageReport;
use crate::fs::state_folder::state_folder;
use crate::fs::{atomic_file, regular_file};

const PAST: &str = "past.json";
const CURRENT: &str = "current.json";

/// How many bytes each file may have: more than all that is kept takes.
pub(super) const FILE_LIMIT: u64 = 64 << 20;

/// Why what apps have used cannot be kept, or is not known.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The folder cannot be used.
    #[error("cannot use the folder {}: {reason}; choose another one with --state-dir", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// Another host keeps its counts there.
    #[error("another host keeps its counts in {}; choose another folder with --state-dir", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// A file is not what a host has written.
    #[error("{} is damaged: {reason}; a host that starts moves it aside", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: serde_json::Error,
    },
    /// No host has counted anything there.
    #[error("no host has kept counts in {}; pass the --state-dir and the --config of the host", path.display())]
    Nothing {
        /// The folder.
        path: PathBuf,
    },
}

/// The folder for what the apps of a registry file use, in the one for all that hosts keep.
pub fn folder_of(state: &Path, config: &Path) -> PathBuf {
    state_folder(state, "usage", config)
}

/// What was used as a host that has ended has left it in its folder; see [`UsageReport`] for the times, in milliseconds since
/// 1970.
///
/// # Errors
/// See [`UsageError`].
pub fn read(folder: &Path, since_ms: Option<u64>, until_ms: Option<u64>) -> Result<UsageReport, UsageError> {
    Ok(UsageReport::new(&Ledger::read(folder)?, since_ms, until_ms))
}

impl Ledger {
    /// What is in a folder that may be another host's.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub(super) fn read(folder: &Path) -> Result<Self, UsageError> {
        let past = parse::<Past>(&folder.join(PAST))?;
        let current = parse::<Current>(&folder.join(CURRENT))?;
        if past.is_none() && current.is_none() {
            return Err(UsageError::Nothing { path: folder.to_owned() });
        }
        Ok(Self::of(past.unwrap_or_default(), current.unwrap_or_default()))
    }
}

/// A folder that a host keeps its counts in.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    /// What is in the file.
    written: Current,
    /// Locked as long as the host lives.
    _lock: File,
}

impl Store {
    /// Reads what is in a folder, which is made if need be. A file that is damaged is moved aside.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub(super) fn open(folder: &Path) -> Result<(Self, Ledger), UsageError> {
        let failed = |reason| UsageError::Folder { path: folder.to_owned(), reason };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let lock = File::open(folder).map_err(failed)?;
        match lock.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(UsageError::Taken { path: folder.to_owned() });
            }
            locked => locked.map_err(|error| failed(error.into()))?,
        }
        let past = parse_or_move_aside::<Past>(&folder.join(PAST))?;
        let current = parse_or_move_aside::<Current>(&folder.join(CURRENT))?;
        let ledger = Ledger::of(past, current);
        // Empty, so that the first change is written.
        Ok((Self { folder: folder.to_owned(), written: Current::default(), _lock: lock }, ledger))
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// A file cannot be written. What was written before stays.
    pub(super) fn save(&mut self, ledger: &mut Ledger, at_ms: u64) -> io::Result<()> {
        if let Some(past) = ledger.new_past(at_ms) {
            atomic_file::write_to_disk(&self.folder.join(PAST), 0o600, |file| fill(file, &past))?;
            ledger.set_past(past, at_ms);
        }
        if ledger.current.hours == self.written.hours && ledger.current.after == self.written.after {
            return Ok(());
        }
        // Without waiting for the disk: after a power failure, the hour may be lost that it is.
        atomic_file::write(&self.folder.join(CURRENT), 0o600, |file| fill(file, &ledger.current))?;
        self.written = ledger.current.clone();
        Ok(())
    }
}

fn fill(file: &mut File, content: &impl Serialize) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, content)?;
    file.flush()
}

/// `None`: there is no such file.
fn parse<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, UsageError> {
    let text = match regular_file::read(path, FILE_LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|reason| UsageError::File { path: path.to_owned(), reason })?,
    };
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|reason| UsageError::Damaged { path: path.to_owned(), reason })
}

fn parse_or_move_aside<T: DeserializeOwned + Default>(path: &Path) -> Result<T, UsageError> {
    match parse(path) {
        Err(UsageError::Damaged { path, reason }) => {
            let aside = path.with_extension("json.damaged");
            std::fs::rename(&path, &aside)
                .map_err(|reason| UsageError::File { path: path.clone(), reason })?;
            log::error!(
                "what apps have used is lost in part: {} is damaged ({reason}) and is now {}",
                path.display(),
                aside.display()
            );
            Ok(T::default())
        }
        parsed => Ok(parsed?.unwrap_or_default()),
    }
}
