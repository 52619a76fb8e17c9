//! The beginning of a library: what kind of file it is, for which machine, and whether all of it is there.

use object::LittleEndian;
use object::elf;
use object::read::ReadRef;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};

use super::error::InspectError;

/// How numbers are written in the files that pass.
pub(in crate::library) const ENDIAN: LittleEndian = LittleEndian;

/// The header of the files that pass.
pub(in crate::library) type Header = elf::FileHeader64<LittleEndian>;

/// The machine that the host is built for, where it is one of those that Atoll is built for; elsewhere the
/// target in the stamp decides.
pub(super) const MACHINE: Option<elf::Machine> = if cfg!(target_arch = "x86_64") {
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

/// Reads the header, and refuses what is no library for this machine.
pub(in crate::library) fn read<'data, R: ReadRef<'data>>(
    data: R,
    size: u64,
) -> Result<&'data Header, InspectError> {
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
pub(super) fn check_complete<'data, R: ReadRef<'data>>(
    header: &Header,
    data: R,
    size: u64,
) -> Result<(), InspectError> {
    let reaches = |needed: u64| {
        if needed <= size { Ok(()) } else { Err(InspectError::Incomplete { found: size, needed }) }
    };
    // The tables first, as they say where the rest is. An overflow is as far from being in the file as can be.
    let table = |offset: u64, entries: u64, entry: u16| offset.saturating_add(entries * u64::from(entry));
    let (shoff, phoff) = (header.e_shoff(ENDIAN), header.e_phoff(ENDIAN));
    if shoff != 0 {
        // The first entry says how many there are, if they are too many for the header.
        reaches(table(shoff, 1, header.e_shentsize(ENDIAN)))?;
        let count = header.shnum(ENDIAN, data)?;
        reaches(table(shoff, count.into(), header.e_shentsize(ENDIAN)))?;
    }
    let count = header.phnum(ENDIAN, data)?;
    reaches(table(phoff, count.into(), header.e_phentsize(ENDIAN)))?;

    let segments = header.program_headers(ENDIAN, data)?;
    let segments = segments.iter().map(|segment| segment.file_range(ENDIAN));
    let sections = header.section_headers(ENDIAN, data)?;
    // The first section stands for none: in a file with very many, its size is their number.
    let sections = sections
        .iter()
        .filter(|section| section.sh_type(ENDIAN) != elf::SHT_NULL)
        .filter_map(|section| section.file_range(ENDIAN));
    reaches(segments.chain(sections).map(|(offset, size)| offset.saturating_add(size)).max().unwrap_or(0))
}
