//! A copy of a library with other names: its own, and those of the libraries that it needs.
//!
//! The new strings, and a dynamic table that refers to them, are put behind the last segment, which moves to the end of
//! the file for that and grows. So no string has to fit where another one was, and none that shares its bytes changes. All
//! else stays where it is in memory, and in the file, where debuggers find it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use object::elf::{self, DynamicTag, Verneed};
use object::read::{ReadCache, ReadRef};
use object::{I64, LittleEndian, U32, U64, pod};

use super::elf::{Elf, Entry, Segment};
use crate::library::inspect::damage::Damage;
use crate::library::inspect::header::{ENDIAN, Header};

/// The alignment of the dynamic table.
const ALIGN: u64 = 16;

/// The smallest page of the machines that Atoll runs on.
const PAGE: u64 = 4096;

/// How many libraries with versions one may need: there are no more numbers for versions.
const MOST_VERSIONS: u64 = 0x7fff;

/// Other names for a library.
#[derive(Debug, Default)]
pub(crate) struct Renames<'a> {
    /// Its own (`DT_SONAME`); `None`: as it is.
    pub(crate) own: Option<&'a str>,
    /// Those of the libraries that it needs: the names that it has for them, and the new ones.
    pub(crate) needed: HashMap<&'a str, &'a str>,
}

/// Why names cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenameError {
    /// The system's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The library is made in a way that leaves no place for them.
    #[error("{0}")]
    Layout(String),
}

impl From<Damage> for RenameError {
    fn from(damage: Damage) -> Self {
        Self::Layout(damage.to_string())
    }
}

/// Copies the library in `from` to the empty file `to`, with other names.
pub(crate) fn write_renamed(
    mut from: &File,
    mut to: &File,
    renames: &Renames<'_>,
) -> Result<(), RenameError> {
    from.seek(SeekFrom::Start(0))?;
    let size = io::copy(&mut from, &mut to)?;
    let data = &ReadCache::new(from);
    let elf = Elf::read(data, size).map_err(|error| RenameError::Layout(error.to_string()))?;
    let Changes { edits, segment, tail } = changes(&elf, size, renames)?;
    for (place, bytes) in &edits {
        to.write_all_at(bytes, *place)?;
    }
    let mut buffer = vec![0; 128 * 1024];
    let mut copied = 0;
    while copied < segment.in_file {
        let count = (segment.in_file - copied).min(buffer.len() as u64) as usize;
        to.read_exact_at(&mut buffer[..count], segment.before + copied)?;
        to.write_all_at(&buffer[..count], segment.after + copied)?;
        copied += count as u64;
    }
    // What was only in memory is zero in between.
    Ok(to.write_all_at(&tail, segment.after + segment.in_memory)?)
}

/// What is other in the copy.
struct Changes {
    /// Bytes, by their places in the file.
    edits: Vec<(u64, Vec<u8>)>,
    segment: Moved,
    /// What is behind the segment.
    tail: Vec<u8>,
}

/// The last segment, which moves in the file.
struct Moved {
    /// Where it is in the file.
    before: u64,
    /// Where it will be.
    after: u64,
    /// How many bytes of it are in the file.
    in_file: u64,
    /// How many it has in memory, with what fills it up.
    in_memory: u64,
}

fn changes<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    size: u64,
    renames: &Renames<'_>,
) -> Result<Changes, RenameError> {
    let no_room = || RenameError::Layout("there is no room behind its last segment".to_owned());
    let loads = elf.segments.iter().enumerate().filter(|(_, it)| it.p_type.get(ENDIAN) == elf::PT_LOAD);
    let (place, last) = loads.max_by_key(|(_, it)| it.p_vaddr.get(ENDIAN)).ok_or_else(no_room)?;
    let flags = last.p_flags.get(ENDIAN).0;
    if flags & elf::PF_X.0 != 0 && flags & elf::PF_W.0 == 0 {
        return Err(RenameError::Layout("its last segment is code".to_owned()));
    }
    let (address, align) = (last.p_vaddr.get(ENDIAN), last.p_align.get(ENDIAN).max(PAGE));
    let in_memory = last.p_memsz.get(ENDIAN).checked_next_multiple_of(ALIGN).ok_or_else(no_room)?;
    let after = size.checked_next_multiple_of(align).and_then(|at| at.checked_add(address % align));
    let segment = Moved {
        before: last.p_offset.get(ENDIAN),
        after: after.ok_or_else(no_room)?,
        in_file: last.p_filesz.get(ENDIAN),
        in_memory,
    };

    let tail_at = address.checked_add(in_memory).ok_or_else(no_room)?;
    let mut strings = Strings { base: elf.strings, at: tail_at, bytes: Vec::new() };
    let mut edits = needed_versions(elf, renames, &mut strings)?;
    let entries = entries(elf, renames, &mut strings)?;
    let mut tail = strings.bytes;
    tail.resize(tail.len().next_multiple_of(ALIGN as usize), 0);
    let table_at = tail.len() as u64;
    tail.extend(pod::bytes_of_slice(&entries));

    let whole = in_memory + tail.len() as u64;
    let grown = Segment {
        p_flags: U32::new(ENDIAN, elf::ProgramFlags(flags | elf::PF_W.0)),
        p_offset: word(segment.after),
        p_filesz: word(whole),
        p_memsz: word(whole),
        ..*last
    };
    edits.push(header(elf.header, place, &grown));
    for (place, dynamic) in elf.segments.iter().enumerate() {
        if dynamic.p_type.get(ENDIAN) == elf::PT_DYNAMIC {
            let size = word(size_of_val(&*entries) as u64);
            let table = Segment {
                p_offset: word(segment.after + in_memory + table_at),
                p_vaddr: word(tail_at + table_at),
                p_paddr: word(tail_at + table_at),
                p_filesz: size,
                p_memsz: size,
                ..*dynamic
            };
            edits.push(header(elf.header, place, &table));
        }
    }
    Ok(Changes { edits, segment, tail })
}

/// New strings, and where they are in memory.
struct Strings {
    /// The address of the string table, from which the loader counts.
    base: u64,
    at: u64,
    bytes: Vec<u8>,
}

impl Strings {
    /// Adds a string; its place, as seen from the string table.
    fn add(&mut self, text: &str) -> Result<u64, RenameError> {
        let place = (self.at + self.bytes.len() as u64).checked_sub(self.base);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
        place.ok_or_else(|| RenameError::Layout("its string table is behind its segments".to_owned()))
    }
}

/// The new dynamic table.
fn entries<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    renames: &Renames<'_>,
    strings: &mut Strings,
) -> Result<Vec<Entry>, RenameError> {
    let entry = |tag: DynamicTag, value: u64| Entry { d_tag: I64::new(ENDIAN, tag), d_val: word(value) };
    let mut entries = Vec::with_capacity(elf.entries.len() + 2);
    for old in elf.entries {
        match old.d_tag.get(ENDIAN) {
            elf::DT_NEEDED => {
                let new = renamed(elf.string(old.d_val.get(ENDIAN))?, renames);
                let place = new.map(|name| strings.add(name)).transpose()?;
                entries.push(place.map_or(*old, |place| entry(elf::DT_NEEDED, place)));
            }
            elf::DT_SONAME if renames.own.is_some() => {}
            _ => entries.push(*old),
        }
    }
    if let Some(name) = renames.own {
        entries.push(entry(elf::DT_SONAME, strings.add(name)?));
    }
    // It reaches to the new strings.
    let end = (strings.at + strings.bytes.len() as u64).saturating_sub(strings.base);
    for old in &mut entries {
        if old.d_tag.get(ENDIAN) == elf::DT_STRSZ {
            *old = entry(elf::DT_STRSZ, end);
        }
    }
    entries.push(entry(elf::DT_NULL, 0));
    Ok(entries)
}

/// The names of libraries in the table of versions that are needed of them.
fn needed_versions<'data, R: ReadRef<'data>>(
    elf: &Elf<'data, R>,
    renames: &Renames<'_>,
    strings: &mut Strings,
) -> Result<Vec<(u64, Vec<u8>)>, RenameError> {
    let mut edits = Vec::new();
    let Some(mut at) = elf.value(elf::DT_VERNEED) else { return Ok(edits) };
    let wrong = || RenameError::Layout("its table of versions makes no sense".to_owned());
    for _ in 0..elf.value(elf::DT_VERNEEDNUM).unwrap_or_default().min(MOST_VERSIONS) {
        let needed = elf.slice::<Verneed<LittleEndian>>(at, 1)?.first().ok_or_else(wrong)?;
        if let Some(name) = renamed(elf.string(needed.vn_file.get(ENDIAN).into())?, renames) {
            let place = u32::try_from(strings.add(name)?).map_err(|_| wrong())?;
            let (in_file, _) = elf.in_file(at, size_of_val(needed) as u64).ok_or_else(wrong)?;
            let new = Verneed { vn_file: U32::new(ENDIAN, place), ..*needed };
            edits.push((in_file, pod::bytes_of(&new).to_vec()));
        }
        match needed.vn_next.get(ENDIAN) {
            0 => break,
            next => at = at.checked_add(next.into()).ok_or_else(wrong)?,
        }
    }
    Ok(edits)
}

fn renamed<'a>(name: &[u8], renames: &Renames<'a>) -> Option<&'a str> {
    renames.needed.get(str::from_utf8(name).ok()?).copied()
}

/// Another program header in a place of their table.
fn header(file: &Header, place: usize, segment: &Segment) -> (u64, Vec<u8>) {
    let offset = file.e_phoff.get(ENDIAN) + (place * size_of::<Segment>()) as u64;
    (offset, pod::bytes_of(segment).to_vec())
}

fn word(value: u64) -> U64<LittleEndian> {
    U64::new(ENDIAN, value)
}
