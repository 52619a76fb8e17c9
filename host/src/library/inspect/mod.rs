//! The check before loading: what a staged file says of itself, read without running any of it.

mod dynamic;
mod image;
mod relocations;
mod symbols;
mod unwinding;

use std::fs::File;
use std::io;
use std::ops::Range;

use atoll_plugin::abi::API_VERSION;
use atoll_plugin::stamp::{self, Stamp};
use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use object::read::{ReadCache, ReadRef};
use serde::Deserialize;

pub use self::image::Damage;
use self::image::{Image, Section, Segment};
use crate::library::checksum::{self, Checksum};
use crate::library::stage::{ContentHash, Staged};

/// How numbers are written in the files that pass.
const ENDIAN: LittleEndian = LittleEndian;

/// Why a library is not loaded. Each says what was found, what is needed, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The staged copy could not be read.
    #[error("cannot read the staged copy: {0}")]
    Read(io::Error),
    /// The file is no ELF file.
    #[error("not a library: found a file that begins with {found:02x?}, needed an ELF shared object")]
    NotElf {
        /// The first bytes of the file.
        found: Vec<u8>,
    },
    /// The file ends before its contents do.
    #[error(
        "the library is incomplete: found {found} bytes, needed at least {needed}; \
         it is tried again when it changes"
    )]
    Incomplete {
        /// The file's size.
        found: u64,
        /// Where what is known of the contents ends.
        needed: u64,
    },
    /// The file is made for another kind of machine.
    #[error(
        "the library is for another machine: found {found}, needed {needed}; build it for {}",
        stamp::TARGET
    )]
    Machine {
        /// What the file is for.
        found: String,
        /// What the host is.
        needed: String,
    },
    /// The file is an ELF file, but no library.
    #[error(
        "not a library: found {found}, needed a shared object; \
         load the file that `crate-type = [\"cdylib\"]` builds"
    )]
    NotALibrary {
        /// What the file is.
        found: &'static str,
    },
    /// The file's headers and tables contradict themselves, or lead out of the file.
    #[error("the library is damaged: {0}; build it again, or copy it again")]
    Damaged(Damage),
    /// The library has no stamp.
    #[error(
        "not an Atoll app: found no section {}; add `atoll_plugin::export_app!(app);` to its lib.rs",
        stamp::SECTION
    )]
    NoStamp,
    /// The stamp is not what it should be.
    #[error(
        "cannot read the library's stamp, {text:?}: {reason}; \
         build it with the version of atoll-plugin that this host is built with"
    )]
    Stamp {
        /// The contents of the section.
        text: String,
        /// What is wrong with them.
        reason: serde_json::Error,
    },
    /// The library is not what `atoll build` wrote.
    #[error(
        "the library is not what `atoll build` wrote: its contents have the checksum {}, needed {}; it was damaged on \
         the way, or another tool has changed it: copy it again, or run `atoll build` again",
        found.short(),
        needed.short()
    )]
    Checksum {
        /// That of what is there.
        found: ContentHash,
        /// That of what was written.
        needed: ContentHash,
    },
    /// The library is built for another version of the interface.
    #[error(
        "the library is for another version of Atoll: found API version {found}, needed {needed}; \
         {}", if found < needed { "update its atoll-plugin" } else { "update the host" }
    )]
    ApiVersion {
        /// The library's version.
        found: u32,
        /// The host's version.
        needed: u32,
    },
    /// The library is built for another target.
    #[error(
        "the library is for another target: found {found}, needed {needed}; build it with `--target {needed}`"
    )]
    Target {
        /// The library's target.
        found: String,
        /// The host's target.
        needed: &'static str,
    },
    /// The library is of another package than the one asked for.
    #[error(
        "the library is of another package: found {found}, needed {needed}; if both build a library of the same file \
         name into the same folder, give one of them another `name` under `[lib]`, else correct the app's path"
    )]
    Package {
        /// The library's package.
        found: String,
        /// The package that was asked for.
        needed: String,
    },
    /// The library ends the process when it panics.
    #[error(
        "a panic in the library would end the host: found panic = {found:?}, needed \"unwind\"; \
         set `panic = \"unwind\"` in the profile that it is built with (in the workspace's Cargo.toml)"
    )]
    Panic {
        /// The library's panic strategy.
        found: String,
    },
}

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

    /// What it says of itself. Its compiler may be another one than the host's: the layout of everything
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
    /// Reads what the copy says of itself, and refuses what this host cannot run. `package`: the name of the
    /// package that it has to be of, if that matters.
    ///
    /// Its code is not read, only the tables that say where it is: this takes about a millisecond.
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
        let file = File::open(self.path()).map_err(InspectError::Read)?;
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

type Header = elf::FileHeader64<LittleEndian>;

/// The machine that the host is built for, where it is one of those that Atoll is built for; elsewhere the
/// target in the stamp decides.
const MACHINE: Option<elf::Machine> = if cfg!(target_arch = "x86_64") {
    Some(elf::EM_X86_64)
} else if cfg!(target_arch = "aarch64") {
    Some(elf::EM_AARCH64)
} else if cfg!(target_arch = "riscv64") {
    Some(elf::EM_RISCV)
} else {
    None
};

fn machine_name(machine: elf::Machine) -> String {
    match machine {
        elf::EM_X86_64 => "x86-64".to_owned(),
        elf::EM_386 => "x86".to_owned(),
        elf::EM_AARCH64 => "AArch64".to_owned(),
        elf::EM_ARM => "ARM".to_owned(),
        elf::EM_RISCV => "RISC-V".to_owned(),
        elf::Machine(number) => format!("machine number {number}"),
    }
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
        let header = header(data, size)?;
        complete(header, data, size)?;
        let segments = header.program_headers(ENDIAN, data).map_err(damaged)?;
        // What a program has and a library has not: the path of the dynamic loader.
        if segments.iter().any(|segment| segment.p_type(ENDIAN) == elf::PT_INTERP) {
            return Err(InspectError::NotALibrary { found: "a program" });
        }
        let sections = header.sections(ENDIAN, data).map_err(damaged)?;
        let (_, stamp) =
            sections.section_by_name(ENDIAN, stamp::SECTION.as_bytes()).ok_or(InspectError::NoStamp)?;
        Ok(Self { data, header, segments, sections, stamp })
    }

    fn stamp(&self) -> Result<&'data [u8], InspectError> {
        self.stamp.data(ENDIAN, self.data).map_err(damaged)
    }

    /// Follows all that the dynamic loader follows; whether the library asks to stay mapped for ever.
    fn check(&self) -> Result<bool, Damage> {
        let image = Image::new(self.header, self.segments, self.data)?;
        image.check_sections(&self.sections)?;
        let flags = dynamic::check(&image, &self.sections)?;
        unwinding::check(&image, &self.sections)?;
        Ok(flags.0 & elf::DF_1_NODELETE.0 != 0)
    }
}

fn damaged(error: object::read::Error) -> InspectError {
    InspectError::Damaged(error.into())
}

/// Reads the header, and refuses what is no library for this machine.
fn header<'data, R: ReadRef<'data>>(data: R, size: u64) -> Result<&'data Header, InspectError> {
    let start = data.read_bytes_at(0, size.min(elf::ELFMAG.len() as u64)).unwrap_or_default();
    if !elf::ELFMAG.starts_with(start) {
        return Err(InspectError::NotElf { found: start.to_vec() });
    }
    let needed = size_of::<Header>() as u64;
    if size < needed {
        return Err(InspectError::Incomplete { found: size, needed });
    }
    let wrong_machine = |found: String| {
        let needed = MACHINE.map_or_else(|| std::env::consts::ARCH.to_owned(), machine_name);
        InspectError::Machine { found, needed: format!("64-bit little-endian {needed}") }
    };
    // Its first bytes have the same meaning in all kinds of ELF files.
    let header = data.read_at::<Header>(0).map_err(|()| InspectError::Incomplete { found: size, needed })?;
    if !header.is_class_64() {
        return Err(wrong_machine("a file that is not 64-bit".to_owned()));
    }
    if !header.is_little_endian() {
        return Err(wrong_machine("a file that is not little-endian".to_owned()));
    }
    let machine = header.e_machine(ENDIAN);
    if MACHINE.is_some_and(|needed| machine != needed) {
        return Err(wrong_machine(machine_name(machine)));
    }
    match header.e_type(ENDIAN) {
        elf::ET_DYN => Ok(header),
        elf::ET_REL => Err(InspectError::NotALibrary { found: "an object file" }),
        elf::ET_EXEC => Err(InspectError::NotALibrary { found: "a program" }),
        elf::ET_CORE => Err(InspectError::NotALibrary { found: "a core dump" }),
        _ => Err(InspectError::NotALibrary { found: "an unknown kind of ELF file" }),
    }
}

/// Whether everything that the headers speak of is in the file.
fn complete<'data, R: ReadRef<'data>>(header: &Header, data: R, size: u64) -> Result<(), InspectError> {
    let reaches = |needed: u64| {
        if needed <= size { Ok(()) } else { Err(InspectError::Incomplete { found: size, needed }) }
    };
    // The tables first, as they say where the rest is. An overflow is as far from being in the file as can be.
    let table = |offset: u64, entries: u64, entry: u16| offset.saturating_add(entries * u64::from(entry));
    let (shoff, phoff) = (header.e_shoff(ENDIAN), header.e_phoff(ENDIAN));
    if shoff != 0 {
        // The first entry says how many there are, if they are too many for the header.
        reaches(table(shoff, 1, header.e_shentsize(ENDIAN)))?;
        let count = header.shnum(ENDIAN, data).map_err(damaged)?;
        reaches(table(shoff, count.into(), header.e_shentsize(ENDIAN)))?;
    }
    let count = header.phnum(ENDIAN, data).map_err(damaged)?;
    reaches(table(phoff, count.into(), header.e_phentsize(ENDIAN)))?;

    let segments = header.program_headers(ENDIAN, data).map_err(damaged)?;
    let segments = segments.iter().map(|segment| segment.file_range(ENDIAN));
    let sections = header.section_headers(ENDIAN, data).map_err(damaged)?;
    // The first section stands for none: in a file with very many, its size is their number.
    let sections = sections
        .iter()
        .filter(|section| section.sh_type(ENDIAN) != elf::SHT_NULL)
        .filter_map(|section| section.file_range(ENDIAN));
    reaches(segments.chain(sections).map(|(offset, size)| offset.saturating_add(size)).max().unwrap_or(0))
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
