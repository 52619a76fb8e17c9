//! The record of a fault, from one process of a host to the next.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use crate::abi::fault::{report, sink};
use crate::admin::socket::key_of;
use crate::fs::regular_file;
use crate::library::stage::{CommonFolder, FAULTS, open_folder};
use crate::observe::faults::Faults;

/// The file that a fault is recorded in.
const RECORD: &str = "record";

/// The file of the faults that were reported.
const HISTORY: &str = "history.json";

/// How many bytes a record may have: more than the handler writes.
const RECORD_LIMIT: u64 = 8 << 20;

/// Has faults of this process recorded, until it is dropped: then the process has not been ended by one.
#[derive(Debug)]
pub(super) struct FaultRecorder {
    path: PathBuf,
    _sink: sink::Sink,
    /// Locked, so that programs that clear out `$TMPDIR` spare it.
    _folder: File,
}

impl FaultRecorder {
    /// Reports what the process of the same registry file before this one has recorded, and prepares for the next fault.
    ///
    /// # Errors
    /// The folder for the record cannot be used.
    pub(super) fn start(common: &CommonFolder, config: &Path, faults: &Faults) -> io::Result<Self> {
        let path = folder_of(common, config);
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let folder = open_folder(&path)?;
        folder.try_lock()?;
        read_history(common, config, faults);
        take_record(&path, faults);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&folder, RECORD, flags, Mode::RUSR | Mode::WUSR)?);
        let sink = sink::Sink::new(file, Some(folder.try_clone()?))?;
        Ok(Self { path, _sink: sink, _folder: folder })
    }
}

impl Drop for FaultRecorder {
    fn drop(&mut self) {
        remove_record(&self.path);
        // It stays where there is a history.
        let _ = fs::remove_dir(&self.path);
    }
}

fn folder_of(common: &CommonFolder, config: &Path) -> PathBuf {
    common.path().join(format!("{FAULTS}{}", key_of(config)))
}

/// Reads the faults of earlier processes, which decide where apps run.
pub(super) fn read_history(common: &CommonFolder, config: &Path, faults: &Faults) {
    let folder = folder_of(common, config);
    if let Err(error) = faults.open(&folder.join(HISTORY)) {
        log::warn!("cannot read the history of faults in {}: {error}", folder.display());
    }
}

/// Reports what is recorded in a folder, and moves it to the history.
fn take_record(folder: &Path, faults: &Faults) {
    let record = match regular_file::read(&folder.join(RECORD), RECORD_LIMIT) {
        Ok(record) => record,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                log::warn!("cannot read the record of a fault in {}: {error}", folder.display());
            }
            Vec::new()
        }
    };
    if let Some(fault) = report::read(&record, &folder.join(library_name())) {
        log::error!("{}", fault.report_with_backtrace());
        if let Err(error) = faults.add(fault) {
            log::warn!("cannot keep the fault in {}: {error}", folder.display());
        }
    }
    remove_record(folder);
}

fn library_name() -> &'static str {
    // It is ASCII.
    sink::LIBRARY.to_str().unwrap_or_default()
}

fn remove_record(folder: &Path) {
    for name in [RECORD, library_name()] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("cannot remove {}: {error}", folder.join(name).display());
            }
            _ => {}
        }
    }
}
