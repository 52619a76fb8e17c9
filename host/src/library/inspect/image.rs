//! What the dynamic loader maps of a library: its segments, and where the addresses in them lead.
//!
//! The loader follows the addresses of a library without asking whether they lead anywhere. So they are followed here
//! first, and the program headers are compared with the sections, which say the same in another way.

use std::fmt;

use object::LittleEndian;
use object::elf::{self, ProgramHeader64, SectionHeader64};
use object::pod::Pod;
use object::read::ReadRef;
use object::read::elf::{ProgramHeader, SectionHeader, SectionTable};

use super::damage::{Damage, ensure};
use super::header::{ENDIAN, Header};

/// The smallest page of the machines that Atoll runs on.
const PAGE: u64 = 4096;

pub(super) type Segment = ProgramHeader64<LittleEndian>;
pub(super) type Section = SectionHeader64<LittleEndian>;

/// A range of addresses or of places in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Extent {
    pub(super) fn new(start: u64, size: u64) -> Result<Self, Damage> {
        let end = start.checked_add(size);
        let end = end.ok_or_else(|| Damage::new(format!("{size:#x} bytes at {start:#x} end nowhere")))?;
        Ok(Self { start, end })
    }

    pub(super) fn size(self) -> u64 {
        self.end - self.start
    }

    pub(super) fn contains(self, other: Extent) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start, self.end)
    }
}

/// A segment that is mapped.
#[derive(Clone, Copy, Debug)]
struct Load {
    memory: Extent,
    /// Where in memory the part ends that comes from the file.
    file_end: u64,
    offset: u64,
    flags: elf::ProgramFlags,
}

/// The segments of a library.
#[derive(Debug)]
pub(super) struct Image<'data, R> {
    data: R,
    loads: Vec<Load>,
    segments: &'data [Segment],
}

impl<'data, R: ReadRef<'data>> Image<'data, R> {
    /// Looks at the program headers, all of which are in the file with what they speak of.
    pub(super) fn new(header: &Header, segments: &'data [Segment], data: R) -> Result<Self, Damage> {
        ensure!(
            usize::from(header.e_phentsize.get(ENDIAN)) == size_of::<Segment>(),
            "its program headers have a wrong size"
        );
        let mut loads: Vec<Load> = Vec::new();
        for segment in segments.iter().filter(|segment| segment.p_type(ENDIAN) == elf::PT_LOAD) {
            let load = load(segment)?;
            let after = loads.last().map_or(0, |before| before.memory.end.next_multiple_of(PAGE));
            ensure!(
                after <= load.memory.start / PAGE * PAGE,
                "its segments overlap at {:#x}",
                load.memory.start
            );
            loads.push(load);
        }
        ensure!(!loads.is_empty(), "it has no segment that is loaded");
        let image = Self { data, loads, segments };
        image.check_others(header)?;
        Ok(image)
    }

    /// The only segment of this type.
    pub(super) fn segment(&self, kind: elf::ProgramType) -> Result<Option<&'data Segment>, Damage> {
        let mut found = self.segments.iter().filter(|segment| segment.p_type(ENDIAN) == kind);
        let first = found.next();
        ensure!(found.next().is_none(), "it has two segments of type {:#x}", kind.0);
        Ok(first)
    }

    /// The range of addresses from the first segment to the last.
    pub(super) fn whole(&self) -> Extent {
        let first = self.loads.first().map_or(0, |load| load.memory.start);
        let last = self.loads.last().map_or(0, |load| load.memory.end);
        Extent { start: first, end: last }
    }

    /// Whether all of it is in one segment that has these permissions.
    pub(super) fn has(&self, memory: Extent, flags: elf::ProgramFlags) -> bool {
        self.loads.iter().any(|load| load.memory.contains(memory) && load.flags.0 & flags.0 == flags.0)
    }

    /// Whether this address is code.
    pub(super) fn is_code(&self, address: u64) -> bool {
        address.checked_add(1).is_some_and(|end| self.has(Extent { start: address, end }, elf::PF_X))
    }

    /// Where in the file the bytes at these addresses are.
    pub(super) fn in_file(&self, memory: Extent) -> Option<u64> {
        let load = self
            .loads
            .iter()
            .find(|load| load.memory.start <= memory.start && memory.end <= load.file_end)?;
        load.offset.checked_add(memory.start - load.memory.start)
    }

    /// The bytes at these addresses, which come from the file.
    pub(super) fn bytes(&self, what: &str, memory: Extent) -> Result<&'data [u8], Damage> {
        self.slice(what, memory.start, memory.size())
    }

    /// A table at an address, which comes from the file.
    pub(super) fn slice<T: Pod>(&self, what: &str, address: u64, count: u64) -> Result<&'data [T], Damage> {
        let outside = || Damage::new(format!("its {what} at {address:#x} is outside of what is loaded"));
        let size = count.checked_mul(size_of::<T>() as u64).ok_or_else(outside)?;
        let offset = self.in_file(Extent::new(address, size)?).ok_or_else(outside)?;
        let count = usize::try_from(count).map_err(|_| outside())?;
        self.data.read_slice_at(offset, count).map_err(|()| outside())
    }

    /// The segments that are not loaded by themselves are parts of those that are.
    fn check_others(&self, header: &Header) -> Result<(), Damage> {
        for segment in self.segments {
            let kind = segment.p_type(ENDIAN);
            let is_part = [
                elf::PT_DYNAMIC,
                elf::PT_TLS,
                elf::PT_GNU_RELRO,
                elf::PT_GNU_EH_FRAME,
                elf::PT_GNU_PROPERTY,
                elf::PT_PHDR,
            ]
            .contains(&kind);
            if kind == elf::PT_PHDR {
                ensure!(
                    segment.p_offset(ENDIAN) == header.e_phoff.get(ENDIAN),
                    "its program headers are not where they should be"
                );
            }
            if !is_part {
                continue;
            }
            let (vaddr, align) = (segment.p_vaddr(ENDIAN), segment.p_align(ENDIAN));
            let (in_file, in_memory) = (segment.p_filesz(ENDIAN), segment.p_memsz(ENDIAN));
            ensure!(in_file <= in_memory, "its segment of type {:#x} is larger in the file", kind.0);
            ensure!(align == 0 || align.is_power_of_two(), "a segment is aligned to {align:#x}");
            let memory = Extent::new(vaddr, in_file)?;
            // What becomes read-only is only looked at in memory, and some tools write any size there.
            if in_file > 0 && kind != elf::PT_GNU_RELRO {
                ensure!(
                    self.in_file(memory) == Some(segment.p_offset(ENDIAN)),
                    "its segment of type {:#x} at {memory} is not in what is loaded",
                    kind.0
                );
            }
            // Of thread-local storage, what is not in the file is no part of the image.
            if kind != elf::PT_TLS {
                let memory = Extent::new(vaddr, in_memory)?;
                // A linker may fill up what becomes read-only to the end of a page.
                let is_loaded = self.has(memory, elf::PF_R)
                    || (kind == elf::PT_GNU_RELRO
                        && self.loads.iter().any(|load| {
                            load.memory.start <= memory.start
                                && memory.end <= load.memory.end.next_multiple_of(PAGE)
                        }));
                ensure!(is_loaded, "its segment of type {:#x} at {memory} is not in what is loaded", kind.0);
            }
        }
        Ok(())
    }

    /// Compares the segments with the sections.
    pub(super) fn check_sections(&self, sections: &SectionTable<'data, Header, R>) -> Result<(), Damage> {
        let tls = self.segment(elf::PT_TLS)?;
        let mut tls_extent: Option<Extent> = None;
        let mut tls_align = 1;
        let relro = self.segment(elf::PT_GNU_RELRO)?;
        let read_only_end = relro
            .map_or(0, |relro| relro.p_vaddr(ENDIAN).saturating_add(relro.p_memsz(ENDIAN)) / PAGE * PAGE);
        for section in sections.iter() {
            let flags = section.sh_flags(ENDIAN).0;
            let is = |flag: elf::SectionFlags| flags & flag.0 != 0;
            if section.sh_type(ENDIAN) == elf::SHT_NULL || !is(elf::SHF_ALLOC) {
                continue;
            }
            let name = || {
                let name = sections.section_name(ENDIAN, section).unwrap_or_default();
                String::from_utf8_lossy(name).into_owned()
            };
            let memory = Extent::new(section.sh_addr(ENDIAN), section.sh_size(ENDIAN))?;
            let has_bytes = section.sh_type(ENDIAN) != elf::SHT_NOBITS;
            if is(elf::SHF_TLS) {
                let whole = tls_extent.get_or_insert(memory);
                *whole = Extent { start: whole.start.min(memory.start), end: whole.end.max(memory.end) };
                tls_align = tls_align.max(section.sh_addralign(ENDIAN));
            }
            if memory.size() == 0 || (is(elf::SHF_TLS) && !has_bytes) {
                continue;
            }
            let mut needed = elf::PF_R.0;
            needed |= if is(elf::SHF_WRITE) { elf::PF_W.0 } else { 0 };
            needed |= if is(elf::SHF_EXECINSTR) { elf::PF_X.0 } else { 0 };
            ensure!(
                self.has(memory, elf::ProgramFlags(needed)),
                "its section {} at {memory} is not in a segment for it",
                name()
            );
            ensure!(
                !has_bytes || self.in_file(memory) == Some(section.sh_offset(ENDIAN)),
                "its section {} is not where its segment has it",
                name()
            );
            ensure!(
                memory.start >= read_only_end || ![".data", ".bss"].contains(&name().as_str()),
                "its section {} would be read-only",
                name()
            );
        }
        let Some(extent) = tls_extent else { return Ok(()) };
        let Some(tls) = tls else { return Err(Damage::new("it has no segment for its thread-locals")) };
        let align = tls.p_align(ENDIAN).max(1);
        // More than that, the loader would have to find for each thread.
        let most = extent.size().checked_next_multiple_of(align);
        ensure!(
            tls.p_vaddr(ENDIAN) == extent.start
                && align <= tls_align
                && most.is_some_and(|most| (extent.size()..=most).contains(&tls.p_memsz(ENDIAN))),
            "the segment of its thread-locals is not what their sections are"
        );
        Ok(())
    }
}

fn load(segment: &Segment) -> Result<Load, Damage> {
    let memory = Extent::new(segment.p_vaddr(ENDIAN), segment.p_memsz(ENDIAN))?;
    let (offset, align) = (segment.p_offset(ENDIAN), segment.p_align(ENDIAN));
    let flags = segment.p_flags(ENDIAN);
    ensure!(
        align.is_power_of_two() && align >= PAGE && memory.start % align == offset % align,
        "its segment at {memory} is aligned to {align:#x}"
    );
    ensure!(segment.p_filesz(ENDIAN) <= memory.size(), "its segment at {memory} is larger in the file");
    ensure!(flags.0 & elf::PF_R.0 != 0, "its segment at {memory} is not readable");
    ensure!(memory.end.checked_next_multiple_of(PAGE).is_some(), "its segment at {memory} ends nowhere");
    let file_end = memory.start + segment.p_filesz(ENDIAN);
    Ok(Load { memory, file_end, offset, flags })
}
