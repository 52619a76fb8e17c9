//! The check before loading: the stamp and tables of a staged file, read without running its code.

pub(super) mod damage;
mod dynamic;
pub(super) mod error;
pub(super) mod header;
mod image;
mod relocations;
mod symbols;
mod unwinding;

use std::fs::File;
use std::ops::Range;

use atoll_plugin::abi::API_VERSION;
use atoll_plugin::stamp::{self, Stamp};
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::read::{ReadCache, ReadRef};
use serde::Deserialize;

pub use self::damage::Damage;
use self::dynamic::Dynamic;
pub use self::error::InspectError;
use self::header::{ENDIAN, Header};
use self::image::{Image, Section, Segment};
use crate::library::checksum::{self, Checksum};
use crate::library::stage::Staged;

/// A staged copy that has passed the check.
#[derive(Debug)]
pub struct Inspected {
    staged: Staged,
    stamp: Stamp,
    stays_mapped: bool,
}

impl Inspected {
    /// The copy.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }

    /// Its stamp. Its compiler may be another one than the host's: the layout of everything
    /// that crosses is checked when it is loaded.
    pub fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Whether it asks to stay mapped for ever (`DF_1_NODELETE`), so that its generations can only be pinned.
    pub fn stays_mapped(&self) -> bool {
        self.stays_mapped
    }

    /// Gives the copy and the stamp back.
    pub fn into_parts(self) -> (Staged, Stamp) {
        (self.staged, self.stamp)
    }
}

impl Staged {
    /// Reads the copy's stamp and tables, and refuses libraries that this host cannot run. `package`: the name of the
    /// package that it has to be of, if that matters.
    ///
    /// Its code is not read, only the tables that refer to it: this takes about a millisecond.
    ///
    /// ```
    /// use atoll_host::internal::{InspectError, Staging};
    ///
    /// let folder = tempfile::tempdir()?;
    /// let library = folder.path().join("libhello.so");
    /// std::fs::write(&library, b"\x7fELF and then nothing")?;
    /// let staged = Staging::within(folder.path())?.stage("hello", &library)?;
    /// let refused = staged.inspect(Some("hello"));
    /// assert!(matches!(refused, Err(InspectError::Incomplete { found: 21, needed: 64 })));
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The copy is not a complete library for this machine, or no Atoll app, or one for another host.
    pub fn inspect(self, package: Option<&str>) -> Result<Inspected, InspectError> {
        let file = File::open(self.original_path()).map_err(InspectError::Read)?;
        let size = file.metadata().map_err(InspectError::Read)?.len();
        // Reads the parts that are asked for: a library with its debug information may be hundreds of megabytes.
        let data = &ReadCache::new(file);
        let contents = Contents::read(data, size)?;
        let stamp = check(contents.stamp()?, package)?;
        if stamp.sealed {
            match self.checksum() {
                Some(checksum) if checksum.is_right() => {}
                Some(Checksum { written: needed, found }) => {
                    return Err(InspectError::Checksum { found, needed });
                }
                None => return Err(InspectError::Incomplete { found: size, needed: checksum::SIZE }),
            }
        }
        let stays_mapped = contents.check().map_err(InspectError::Damaged)?;
        Ok(Inspected { staged: self, stamp, stays_mapped })
    }
}

/// Where the stamp is in a library's bytes.
pub(crate) fn stamp_of(library: &[u8]) -> Option<Range<usize>> {
    let (offset, size) = Contents::read(library, library.len() as u64).ok()?.stamp.file_range(ENDIAN)?;
    let (start, size) = (usize::try_from(offset).ok()?, usize::try_from(size).ok()?);
    Some(start..start.checked_add(size)?)
}

/// A complete library for this machine with a stamp.
struct Contents<'data, R: ReadRef<'data>> {
    data: R,
    header: &'data Header,
    segments: &'data [Segment],
    sections: SectionTable<'data, Header, R>,
    stamp: &'data Section,
}

impl<'data, R: ReadRef<'data>> Contents<'data, R> {
    fn read(data: R, size: u64) -> Result<Self, InspectError> {
        let header = header::read(data, size)?;
        header::check_complete(header, data, size)?;
        let segments = header.program_headers(ENDIAN, data)?;
        // What a program has and a library has not: the path of the dynamic loader.
        if segments.iter().any(|segment| segment.p_type(ENDIAN) == elf::PT_INTERP) {
            return Err(InspectError::NotALibrary { found: "a program" });
        }
        let sections = header.sections(ENDIAN, data)?;
        let (_, stamp) =
            sections.section_by_name(ENDIAN, stamp::SECTION.as_bytes()).ok_or(InspectError::NoStamp)?;
        Ok(Self { data, header, segments, sections, stamp })
    }

    fn stamp(&self) -> Result<&'data [u8], InspectError> {
        Ok(self.stamp.data(ENDIAN, self.data)?)
    }

    /// Follows all that the dynamic loader follows; whether the library asks to stay mapped for ever.
    fn check(&self) -> Result<bool, Damage> {
        let image = Image::new(self.header, self.segments, self.data)?;
        image.check_sections(&self.sections)?;
        let dynamic = Dynamic::read(&image, &self.sections)?;
        dynamic.check(&self.sections)?;
        symbols::check(&dynamic)?;
        relocations::check(&dynamic)?;
        unwinding::check(&image, &self.sections)?;
        Ok(dynamic.stays_mapped())
    }
}

/// Reads the stamp, and refuses what was built for another host.
fn check(stamp: &[u8], package: Option<&str>) -> Result<Stamp, InspectError> {
    /// The part that is the same in all versions.
    #[derive(Deserialize)]
    struct Version {
        api: u32,
    }
    // A linker may fill sections up.
    let text = stamp.trim_ascii_end().split(|byte| *byte == 0).next().unwrap_or_default();
    let unreadable =
        |reason| InspectError::Stamp { text: String::from_utf8_lossy(text).into_owned(), reason };
    let Version { api } = serde_json::from_slice(text).map_err(unreadable)?;
    if api != API_VERSION {
        return Err(InspectError::ApiVersion { found: api, needed: API_VERSION });
    }
    let stamp: Stamp = serde_json::from_slice(text).map_err(unreadable)?;
    if stamp.target != stamp::TARGET {
        return Err(InspectError::Target { found: stamp.target, needed: stamp::TARGET });
    }
    if stamp.panic != "unwind" {
        return Err(InspectError::Panic { found: stamp.panic });
    }
    match package {
        Some(needed) if stamp.name != needed => {
            Err(InspectError::Package { found: stamp.name, needed: needed.to_owned() })
        }
        _ => Ok(stamp),
    }
}

#[cfg(test)]
pub(crate) mod tests;
