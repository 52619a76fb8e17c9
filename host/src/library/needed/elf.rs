//! The dynamic table of any library for this machine, as the dynamic loader reads it: without sections.

use std::fs::File;

use object::LittleEndian;
use object::elf::{self, Dyn64, DynamicTag, ProgramHeader64};
use object::pod::Pod;
use object::read::elf::FileHeader;
use object::read::{ReadCache, ReadRef};

use crate::library::inspect::damage::{Damage, ensure};
use crate::library::inspect::error::InspectError;
use crate::library::inspect::header::{self, ENDIAN, Header};

pub(super) type Segment = ProgramHeader64<LittleEndian>;
pub(super) type Entry = Dyn64<LittleEndian>;

/// A library's segments and dynamic table.
pub(super) struct Elf<'data, R> {
    data: R,
    pub(super) header: &'data Header,
    pub(super) segments: &'data [Segment],
    /// The entries in front of the one that ends the table.
    pub(super) entries: &'data [Entry],
    /// The address of the string table.
    pub(super) strings: u64,
}

/// The name of a library, and those that it has for what it needs. Names that are not UTF-8 are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Linking {
    /// In the order in which the loader looks for them.
    pub(super) needed: Vec<String>,
    pub(super) name: Option<String>,
    /// The folders to search for them, as the library has them.
    pub(super) run_path: Vec<u8>,
}

impl Linking {
    pub(super) fn read(file: &File) -> Result<Self, InspectError> {
        let size = file.metadata().map_err(InspectError::Read)?.len();
        Elf::read(&ReadCache::new(file), size)?.linking().map_err(InspectError::Damaged)
    }
}

impl<'data, R: ReadRef<'data>> Elf<'data, R> {
    pub(super) fn read(data: R, size: u64) -> Result<Self, InspectError> {
        let header = header::read(data, size)?;
        let segments = header.program_headers(ENDIAN, data)?;
        let mut elf = Self { data, header, segments, entries: &[], strings: 0 };
        let damaged = |what: &str| InspectError::Damaged(Damage::new(what));
        let dynamic = elf.segment(elf::PT_DYNAMIC).ok_or_else(|| damaged("it has no dynamic table"))?;
        let count = dynamic.p_filesz.get(ENDIAN) / size_of::<Entry>() as u64;
        let entries =
            elf.slice::<Entry>(dynamic.p_vaddr.get(ENDIAN), count).map_err(InspectError::Damaged)?;
        let end = entries.iter().position(|entry| entry.d_tag.get(ENDIAN) == elf::DT_NULL);
        elf.entries = &entries[..end.unwrap_or(entries.len())];
        elf.strings = elf.value(elf::DT_STRTAB).ok_or_else(|| damaged("it has no string table"))?;
        Ok(elf)
    }

    pub(super) fn segment(&self, kind: elf::ProgramType) -> Option<&'data Segment> {
        self.segments.iter().find(|segment| segment.p_type.get(ENDIAN) == kind)
    }

    pub(super) fn value(&self, tag: DynamicTag) -> Option<u64> {
        let entry = self.entries.iter().find(|entry| entry.d_tag.get(ENDIAN) == tag);
        entry.map(|entry| entry.d_val.get(ENDIAN))
    }

    /// The string at this place of the string table.
    pub(super) fn string(&self, offset: u64) -> Result<&'data [u8], Damage> {
        let address = self.strings.checked_add(offset);
        let range = address.and_then(|address| self.in_file(address, 1));
        let text = range.and_then(|(start, end)| self.data.read_bytes_at_until(start..end, 0).ok());
        text.ok_or_else(|| Damage::new(format!("its string {offset:#x} is outside of what is loaded")))
    }

    /// A table at an address.
    pub(super) fn slice<T: Pod>(&self, address: u64, count: u64) -> Result<&'data [T], Damage> {
        let found = || {
            let (start, _) = self.in_file(address, count.checked_mul(size_of::<T>() as u64)?)?;
            self.data.read_slice_at(start, usize::try_from(count).ok()?).ok()
        };
        found().ok_or_else(|| Damage::new(format!("its table at {address:#x} is outside of what is loaded")))
    }

    /// Where in the file so many bytes at an address are, and where their segment ends there.
    pub(super) fn in_file(&self, address: u64, size: u64) -> Option<(u64, u64)> {
        let loads = self.segments.iter().filter(|segment| segment.p_type.get(ENDIAN) == elf::PT_LOAD);
        let mut found = loads.filter_map(|load| {
            let within = address.checked_sub(load.p_vaddr.get(ENDIAN))?;
            let in_file = load.p_filesz.get(ENDIAN);
            let offset = load.p_offset.get(ENDIAN);
            (within.checked_add(size)? <= in_file)
                .then_some((offset.checked_add(within)?, offset.checked_add(in_file)?))
        });
        found.next()
    }

    fn linking(&self) -> Result<Linking, Damage> {
        let text = |offset| Ok::<_, Damage>(str::from_utf8(self.string(offset)?).ok().map(str::to_owned));
        let mut linking = Linking::default();
        for entry in self.entries.iter().filter(|entry| entry.d_tag.get(ENDIAN) == elf::DT_NEEDED) {
            linking.needed.extend(text(entry.d_val.get(ENDIAN))?);
        }
        linking.name = self.value(elf::DT_SONAME).map(text).transpose()?.flatten();
        // The older kind counts only without the newer one.
        let run_path = self.value(elf::DT_RUNPATH).or_else(|| self.value(elf::DT_RPATH));
        if let Some(offset) = run_path {
            linking.run_path = self.string(offset)?.to_vec();
        }
        ensure!(linking.needed.len() <= usize::from(u16::MAX), "it needs too many libraries");
        Ok(linking)
    }
}
