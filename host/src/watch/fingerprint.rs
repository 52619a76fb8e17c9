//! What tells one state of a file from another without reading it.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long after a change another one may bear the same time: kernels stamp files with a clock that moves on every 1 to
/// 10 ms.
pub(crate) const SETTLE: Duration = Duration::from_millis(20);

/// A moment as the file system keeps it: seconds since 1970 and nanoseconds.
type Moment = (i64, i64);

/// What tells one state of a file from another without reading it: which file it is, its size and its times.
///
/// ```
/// use atoll_host::internal::Fingerprint;
///
/// let file = tempfile::NamedTempFile::new()?;
/// let before = Fingerprint::read(file.path())?;
/// std::fs::write(file.path(), "something")?;
/// let after = Fingerprint::read(file.path())?;
/// assert!(after.differs_from(&before));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: Moment,
    changed: Moment,
    links: u64,
}

impl Fingerprint {
    /// The fingerprint of the file that `path` leads to.
    ///
    /// # Errors
    /// There is no such file, or it is out of reach.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Fingerprint> {
        fs::metadata(path).map(|metadata| Fingerprint::from(&metadata))
    }

    /// The fingerprint of an open file.
    ///
    /// # Errors
    /// The file system failed.
    pub fn of_file(file: &File) -> io::Result<Fingerprint> {
        file.metadata().map(|metadata| Fingerprint::from(&metadata))
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When the file was last written, as its file system says.
    pub fn modified(&self) -> SystemTime {
        time(self.modified)
    }

    /// Whether whatever is written from `now` on makes another fingerprint. Just after a change it might not, if it
    /// leaves the size as it is.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        now.duration_since(time(self.changed)).is_ok_and(|age| age >= SETTLE)
    }

    /// Whether the file may have become what it is after this moment: written, or put in its place.
    pub(crate) fn may_have_changed_since(&self, moment: SystemTime) -> bool {
        time(self.changed) + SETTLE >= moment
    }

    /// Whether this is another file, or the same one with other contents, than `earlier`.
    ///
    /// Not quite `!=`: a hard link that came or went does not count. Cargo hands a library out as a hard
    /// link, and takes the other link away when the *next* build starts. That touches the time of change of
    /// the library that is in use, and must not cause a reload.
    pub fn differs_from(&self, earlier: &Fingerprint) -> bool {
        let relinked = self.links != earlier.links;
        self.device != earlier.device
            || self.inode != earlier.inode
            || self.size != earlier.size
            || self.modified != earlier.modified
            || (self.changed != earlier.changed && !relinked)
    }
}

fn time((seconds, nanoseconds): Moment) -> SystemTime {
    let past_second = Duration::from_nanos(nanoseconds.unsigned_abs());
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 { SystemTime::UNIX_EPOCH - whole } else { SystemTime::UNIX_EPOCH + whole };
    second + past_second
}

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Self {
        Fingerprint {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            links: metadata.nlink(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hard_link_does_not_make_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so");
        fs::write(&path, "one").unwrap();
        let before = Fingerprint::read(&path).unwrap();
        fs::hard_link(&path, folder.path().join("other.so")).unwrap();
        let linked = Fingerprint::read(&path).unwrap();
        assert_ne!(linked, before);
        assert!(!linked.differs_from(&before));
        fs::write(&path, "three").unwrap();
        assert!(Fingerprint::read(&path).unwrap().differs_from(&linked));
    }

    #[test]
    fn a_write_that_sets_the_time_back_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lib.so");
        fs::write(&path, "one").unwrap();
        let before = Fingerprint::read(&path).unwrap();
        let mut now = before;
        // Kernels stamp files with a coarse clock, so the same stamp may come several times.
        while now == before {
            fs::write(&path, "two").unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(before.modified()).unwrap();
            now = Fingerprint::read(&path).unwrap();
        }
        assert_eq!(now.modified(), before.modified());
        assert!(now.differs_from(&before));
    }

    #[test]
    fn what_was_just_changed_is_not_settled() {
        let file = tempfile::tempfile().unwrap();
        let fingerprint = Fingerprint::of_file(&file).unwrap();
        let changed = time(fingerprint.changed);
        assert!(!fingerprint.is_settled(changed));
        assert!(fingerprint.is_settled(changed + SETTLE));
        assert!(!fingerprint.is_settled(changed - SETTLE), "nor if the clock was set back");
    }

    #[test]
    fn times_before_1970_are_kept() {
        let file = tempfile::tempfile().unwrap();
        let long_ago = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        file.set_modified(long_ago).unwrap();
        assert_eq!(Fingerprint::of_file(&file).unwrap().modified(), long_ago);
    }
}
