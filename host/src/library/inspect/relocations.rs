//! The relocations of a library: what the loader writes into it, and where.

use object::LittleEndian;
use object::U64;
use object::elf::{self, Rela64, RelocationType};
use object::read::ReadRef;

use super::damage::{Damage, ensure};
use super::dynamic::Dynamic;
use super::header::ENDIAN;
use super::image::Extent;

type Relocation = Rela64<LittleEndian>;

/// The size of what a relocation writes.
const WORD: u64 = 8;

/// What some kinds of relocations are called on the machine that the host runs on.
struct Kinds {
    /// An address in the library itself.
    relative: RelocationType,
    /// A function of the library itself is called, and what it returns is written.
    indirect: RelocationType,
    /// The address of a symbol, in a slot of the global offset table.
    slots: &'static [RelocationType],
    /// The address of a symbol.
    absolute: RelocationType,
    /// A thread-local.
    locals: &'static [RelocationType],
}

const KINDS: Kinds = if cfg!(target_arch = "aarch64") {
    Kinds {
        relative: elf::R_AARCH64_RELATIVE,
        indirect: elf::R_AARCH64_IRELATIVE,
        slots: &[elf::R_AARCH64_GLOB_DAT, elf::R_AARCH64_JUMP_SLOT],
        absolute: elf::R_AARCH64_ABS64,
        locals: &[elf::R_AARCH64_TLSDESC, elf::R_AARCH64_TLS_TPREL, elf::R_AARCH64_TLS_DTPMOD],
    }
} else if cfg!(target_arch = "riscv64") {
    Kinds {
        relative: elf::R_RISCV_RELATIVE,
        indirect: elf::R_RISCV_IRELATIVE,
        slots: &[elf::R_RISCV_JUMP_SLOT],
        absolute: elf::R_RISCV_64,
        locals: &[elf::R_RISCV_TLS_TPREL64, elf::R_RISCV_TLS_DTPMOD64],
    }
} else {
    Kinds {
        relative: elf::R_X86_64_RELATIVE,
        indirect: elf::R_X86_64_IRELATIVE,
        slots: &[elf::R_X86_64_GLOB_DAT, elf::R_X86_64_JUMP_SLOT],
        absolute: elf::R_X86_64_64,
        locals: &[elf::R_X86_64_TLSDESC, elf::R_X86_64_TPOFF64, elf::R_X86_64_DTPMOD64],
    }
};

/// Checks what the loader writes, and that it writes all that it calls.
pub(super) fn check<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> Result<(), Damage> {
    let size = dynamic.value(elf::DT_RELAENT).unwrap_or(size_of::<Relocation>() as u64);
    ensure!(size == size_of::<Relocation>() as u64, "its relocations have a wrong size");
    let kind = dynamic.value(elf::DT_PLTREL).unwrap_or(elf::DT_RELA.0 as u64);
    ensure!(kind == elf::DT_RELA.0 as u64, "its relocations are of a wrong kind");

    let general = dynamic.extent(elf::DT_RELA, elf::DT_RELASZ)?;
    let functions = dynamic.extent(elf::DT_JMPREL, elf::DT_PLTRELSZ)?;
    // Some linkers count those of functions among the others.
    let functions =
        functions.filter(|functions| !general.is_some_and(|general| general.contains(*functions)));
    let mut written = Vec::new();
    let mut called = Called::read(dynamic)?;
    for extent in [general, functions].into_iter().flatten() {
        ensure!(extent.size() % size == 0, "its relocations at {extent} are not whole");
        let relocations =
            dynamic.image.slice::<Relocation>("relocations", extent.start, extent.size() / size)?;
        for relocation in relocations {
            check_one(dynamic, relocation)?;
            called.count(dynamic, relocation);
            written.push(relocation.r_offset.get(ENDIAN));
        }
    }
    let packed = check_packed(dynamic)?;
    // Nothing is written twice.
    written.sort_unstable();
    let overlap = written.windows(2).find(|pair| pair[1] - pair[0] < WORD);
    ensure!(
        overlap.is_none(),
        "two of its relocations are of one place, {:#x}",
        overlap.map_or(0, |pair| pair[1])
    );
    ensure!(packed || called.is_complete(), "a function that is called at the start or the end is no code");
    Ok(())
}

fn check_one<'data, R: ReadRef<'data>>(
    dynamic: &Dynamic<'data, '_, R>,
    relocation: &Relocation,
) -> Result<(), Damage> {
    let image = dynamic.image;
    let (place, kind) = (relocation.r_offset.get(ENDIAN), relocation.r_type(ENDIAN, false));
    let (symbol, addend) = (relocation.r_sym(ENDIAN, false), relocation.r_addend.get(ENDIAN));
    let wrong = || Damage::new(format!("its relocation of {place:#x} makes no sense"));
    if kind.0 == 0 {
        return Ok(());
    }
    let permission = if writes_code(dynamic) { elf::PF_R } else { elf::PF_W };
    let memory = Extent::new(place, WORD)?;
    let mut makes_sense = image.has(memory, permission) && (symbol as usize) < dynamic.symbols.len();
    let address = u64::try_from(addend).ok();
    if kind == KINDS.relative {
        let whole = Extent { start: 0, end: image.whole().end };
        let is_inside = |start| whole.contains(Extent { start, end: start });
        makes_sense &= symbol == 0 && address.is_some_and(is_inside);
    } else if kind == KINDS.indirect {
        makes_sense &= symbol == 0 && address.is_some_and(|address| image.is_code(address));
    } else if KINDS.slots.contains(&kind) {
        makes_sense &= symbol != 0 && addend == 0 && place % WORD == 0;
    } else if KINDS.locals.contains(&kind) {
        let tls = image.segment(elf::PT_TLS)?;
        let most = tls.map(|tls| tls.p_memsz.get(ENDIAN));
        let is_own = symbol == 0;
        makes_sense &= place % WORD == 0
            && (!is_own || most.is_some_and(|most| address.is_some_and(|address| address <= most)));
    }
    if makes_sense { Ok(()) } else { Err(wrong()) }
}

/// Whether the library says that its code is written, too.
fn writes_code<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> bool {
    let flags = dynamic.value(elf::DT_FLAGS).unwrap_or_default();
    dynamic.value(elf::DT_TEXTREL).is_some() || flags & elf::DF_TEXTREL.0 != 0
}

/// Checks the relocations that are packed as bits; whether there are any.
fn check_packed<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> Result<bool, Damage> {
    let Some(extent) = dynamic.extent(elf::DT_RELR, elf::DT_RELRSZ)? else { return Ok(false) };
    let entries =
        dynamic.image.slice::<U64<LittleEndian>>("relocations", extent.start, extent.size() / WORD)?;
    let mut next = None;
    for entry in entries.iter().map(|entry| entry.get(ENDIAN)) {
        // An even entry is an address; the bits of an odd one say which of the 63 words that follow are meant.
        let written = match (entry % 2, next) {
            (0, _) => {
                next = Some(Extent::new(entry, WORD)?.end);
                Extent::new(entry, WORD)?
            }
            (_, Some(start)) => {
                let last = u64::from(u64::BITS - 1 - entry.leading_zeros());
                next = Some(Extent::new(start, 63 * WORD)?.end);
                Extent::new(start, last * WORD)?
            }
            (_, None) => return Err(Damage::new("its packed relocations begin nowhere")),
        };
        ensure!(dynamic.image.has(written, elf::PF_W), "its packed relocations at {written} are elsewhere");
    }
    Ok(extent.size() > 0)
}

/// The tables of functions that are called when a library is opened and closed. Each entry has to be written by a
/// relocation: what is in the file is no address yet.
struct Called {
    tables: Vec<Extent>,
    written: u64,
}

impl Called {
    fn read<'data, R: ReadRef<'data>>(dynamic: &Dynamic<'data, '_, R>) -> Result<Self, Damage> {
        let tables = [(elf::DT_INIT_ARRAY, elf::DT_INIT_ARRAYSZ), (elf::DT_FINI_ARRAY, elf::DT_FINI_ARRAYSZ)];
        let mut found = Vec::new();
        for (start, size) in tables {
            let Some(table) = dynamic.extent(start, size)? else { continue };
            ensure!(
                table.size() % WORD == 0 && dynamic.image.in_file(table).is_some(),
                "its table of functions at {table} is not loaded"
            );
            found.push(table);
        }
        Ok(Self { tables: found, written: 0 })
    }

    fn count<'data, R: ReadRef<'data>>(&mut self, dynamic: &Dynamic<'data, '_, R>, relocation: &Relocation) {
        let place = relocation.r_offset.get(ENDIAN);
        let is_in = |table: &Extent| {
            (table.start..table.end).contains(&place) && (place - table.start).is_multiple_of(WORD)
        };
        let kind = relocation.r_type(ENDIAN, false);
        let is_code = match u64::try_from(relocation.r_addend.get(ENDIAN)) {
            Ok(address) if kind == KINDS.relative => dynamic.image.is_code(address),
            _ => kind == KINDS.absolute && relocation.r_sym(ENDIAN, false) != 0,
        };
        self.written += u64::from(is_code && self.tables.iter().any(is_in));
    }

    fn is_complete(&self) -> bool {
        self.written == self.tables.iter().map(|table| table.size() / WORD).sum::<u64>()
    }
}
