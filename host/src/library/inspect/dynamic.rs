//! The dynamic table of a library: where the loader finds what it needs, all of which has to be in the library.

use std::collections::HashSet;

use object::LittleEndian;
use object::elf::{self, Dyn64, DynamicTag, SectionType, Sym64};
use object::read::ReadRef;
use object::read::elf::{ProgramHeader, SectionHeader, SectionTable};

use super::damage::{Damage, ensure};
use super::header::{ENDIAN, Header};
use super::image::{Extent, Image, Segment};

pub(super) type Symbol = Sym64<LittleEndian>;

/// What is found in a library's dynamic table.
pub(super) struct Dynamic<'data, 'image, R> {
    pub(super) image: &'image Image<'data, R>,
    entries: &'data [Dyn64<LittleEndian>],
    pub(super) names: &'data [u8],
    pub(super) symbols: &'data [Symbol],
}

impl<'data, 'image, R: ReadRef<'data>> Dynamic<'data, 'image, R> {
    pub(super) fn read(
        image: &'image Image<'data, R>,
        sections: &SectionTable<'data, Header, R>,
    ) -> Result<Self, Damage> {
        let segment = image.segment(elf::PT_DYNAMIC)?;
        let segment = segment.ok_or_else(|| Damage::new("it has no dynamic table"))?;
        let entries = table(image, segment)?;
        let mut dynamic = Self { image, entries, names: &[], symbols: &[] };

        let (names, size) = (dynamic.needed(elf::DT_STRTAB)?, dynamic.needed(elf::DT_STRSZ)?);
        dynamic.names = image.bytes("string table", Extent::new(names, size)?)?;
        ensure!(dynamic.names.last() == Some(&0), "its string table does not end");

        let address = dynamic.needed(elf::DT_SYMTAB)?;
        ensure!(
            dynamic.needed(elf::DT_SYMENT)? == size_of::<Symbol>() as u64,
            "its symbols have a wrong size"
        );
        // Only the sections say how many there are.
        let section = sections.iter().find(|section| section.sh_type(ENDIAN) == elf::SHT_DYNSYM);
        let section = section.filter(|section| section.sh_addr(ENDIAN) == address);
        let section = section.ok_or_else(|| Damage::new("its symbol table has no section"))?;
        let count = section.sh_size(ENDIAN) / size_of::<Symbol>() as u64;
        dynamic.symbols = image.slice("symbol table", address, count)?;
        Ok(dynamic)
    }

    /// Follows what the table itself leads to, except for symbols and relocations.
    pub(super) fn check(&self, sections: &SectionTable<'data, Header, R>) -> Result<(), Damage> {
        self.check_sections(sections)?;
        self.check_names()?;
        self.check_functions()
    }

    /// Whether the library asks to stay mapped for ever.
    pub(super) fn stays_mapped(&self) -> bool {
        self.value(elf::DT_FLAGS_1).is_some_and(|flags| flags & elf::DF_1_NODELETE.0 != 0)
    }

    pub(super) fn value(&self, tag: DynamicTag) -> Option<u64> {
        self.values(tag).next()
    }

    fn values(&self, tag: DynamicTag) -> impl Iterator<Item = u64> {
        let entries = self.entries.iter().filter(move |entry| entry.d_tag.get(ENDIAN) == tag);
        entries.map(|entry| entry.d_val.get(ENDIAN))
    }

    fn needed(&self, tag: DynamicTag) -> Result<u64, Damage> {
        self.value(tag).ok_or_else(|| Damage::new(format!("its dynamic table has no entry {:#x}", tag.0)))
    }

    /// A range of addresses that two entries say.
    pub(super) fn extent(&self, start: DynamicTag, size: DynamicTag) -> Result<Option<Extent>, Damage> {
        match (self.value(start), self.value(size)) {
            (Some(start), Some(size)) => Extent::new(start, size).map(Some),
            // A size of nothing at nowhere is how some linkers say that there is none.
            (None, None | Some(0)) | (Some(0), None) => Ok(None),
            _ => Err(Damage::new(format!("its dynamic table has one of {:#x} and {:#x}", start.0, size.0))),
        }
    }

    /// The string at this place of the string table.
    pub(super) fn name(&self, offset: u64) -> Result<&'data [u8], Damage> {
        let outside = || Damage::new(format!("its string {offset:#x} is outside of the string table"));
        let rest = usize::try_from(offset).ok().and_then(|offset| self.names.get(offset..));
        rest.and_then(|rest| rest.split(|byte| *byte == 0).next()).ok_or_else(outside)
    }

    /// The names of the libraries that it needs.
    pub(super) fn libraries(&self) -> Result<HashSet<&'data [u8]>, Damage> {
        self.values(elf::DT_NEEDED).map(|offset| self.name(offset)).collect()
    }

    fn check_names(&self) -> Result<(), Damage> {
        self.libraries()?;
        for tag in [elf::DT_SONAME, elf::DT_RPATH, elf::DT_RUNPATH] {
            for offset in self.values(tag) {
                self.name(offset)?;
            }
        }
        Ok(())
    }

    /// What the loader calls is code.
    fn check_functions(&self) -> Result<(), Damage> {
        for tag in [elf::DT_INIT, elf::DT_FINI] {
            for address in self.values(tag) {
                ensure!(self.image.is_code(address), "its function at {address:#x} is no code");
            }
        }
        if let Some(address) = self.value(elf::DT_PLTGOT) {
            let slots = Extent::new(address, 1)?;
            ensure!(self.image.has(slots, elf::PF_R), "its DT_PLTGOT at {slots} is not loaded");
        }
        Ok(())
    }

    /// Compares the dynamic table with the sections.
    fn check_sections(&self, sections: &SectionTable<'data, Header, R>) -> Result<(), Damage> {
        let by_type: [(SectionType, DynamicTag, Option<DynamicTag>); 9] = [
            (elf::SHT_INIT_ARRAY, elf::DT_INIT_ARRAY, Some(elf::DT_INIT_ARRAYSZ)),
            (elf::SHT_FINI_ARRAY, elf::DT_FINI_ARRAY, Some(elf::DT_FINI_ARRAYSZ)),
            (elf::SHT_RELR, elf::DT_RELR, Some(elf::DT_RELRSZ)),
            (elf::SHT_GNU_HASH, elf::DT_GNU_HASH, None),
            (elf::SHT_HASH, elf::DT_HASH, None),
            (elf::SHT_GNU_VERSYM, elf::DT_VERSYM, None),
            (elf::SHT_GNU_VERNEED, elf::DT_VERNEED, None),
            (elf::SHT_GNU_VERDEF, elf::DT_VERDEF, None),
            (elf::SHT_DYNAMIC, DynamicTag(0), None),
        ];
        let relocations =
            [self.extent(elf::DT_RELA, elf::DT_RELASZ)?, self.extent(elf::DT_JMPREL, elf::DT_PLTRELSZ)?];
        for section in sections.iter() {
            let (kind, size) = (section.sh_type(ENDIAN), section.sh_size(ENDIAN));
            if section.sh_flags(ENDIAN).0 & elf::SHF_ALLOC.0 == 0 || size == 0 {
                continue;
            }
            let memory = Extent::new(section.sh_addr(ENDIAN), size)?;
            if kind == elf::SHT_RELA {
                let is_found = relocations.iter().flatten().any(|extent| extent.contains(memory));
                ensure!(is_found, "its relocations at {memory} are not in its dynamic table");
            }
            let Some((_, start, length)) = by_type.iter().find(|(found, ..)| *found == kind) else {
                continue;
            };
            let found = match kind {
                elf::SHT_DYNAMIC => {
                    let segment = self.image.segment(elf::PT_DYNAMIC)?;
                    segment.map(|segment| Extent::new(segment.p_vaddr(ENDIAN), segment.p_memsz(ENDIAN)))
                }
                _ => self.value(*start).map(|start| {
                    Extent::new(start, length.map_or(Some(size), |tag| self.value(tag)).unwrap_or(0))
                }),
            };
            ensure!(
                found.transpose()? == Some(memory),
                "its section of type {:#x} at {memory} is not what its dynamic table says",
                kind.0
            );
        }
        Ok(())
    }
}

fn table<'data, R: ReadRef<'data>>(
    image: &Image<'data, R>,
    segment: &Segment,
) -> Result<&'data [Dyn64<LittleEndian>], Damage> {
    let count = segment.p_filesz(ENDIAN) / size_of::<Dyn64<LittleEndian>>() as u64;
    let entries = image.slice::<Dyn64<LittleEndian>>("dynamic table", segment.p_vaddr(ENDIAN), count)?;
    let end = entries.iter().position(|entry| entry.d_tag.get(ENDIAN) == elf::DT_NULL);
    end.map(|end| &entries[..end]).ok_or_else(|| Damage::new("its dynamic table does not end"))
}
