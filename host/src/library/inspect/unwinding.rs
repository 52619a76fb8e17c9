//! The table by which a panic finds its way through a library's code.

use object::elf;
use object::read::ReadRef;
use object::read::elf::{SectionHeader, SectionTable};

use super::damage::{Damage, ensure};
use super::header::{ENDIAN, Header};
use super::image::{Extent, Image};

/// The only kind that linkers write: relative pointers of four bytes, and a table that is sorted.
const USUAL: [u8; 4] = [1, 0x1b, 0x03, 0x3b];

/// Checks the table, which is searched without a look at where it leads.
pub(super) fn check<'data, R: ReadRef<'data>>(
    image: &Image<'data, R>,
    sections: &SectionTable<'data, Header, R>,
) -> Result<(), Damage> {
    let find = |name: &[u8]| sections.section_by_name(ENDIAN, name).map(|(_, section)| section);
    let segment = image.segment(elf::PT_GNU_EH_FRAME)?;
    let Some(section) = find(b".eh_frame_hdr") else { return Ok(()) };
    let found = segment.map(|segment| (segment.p_vaddr.get(ENDIAN), segment.p_filesz.get(ENDIAN)));
    let (start, size) = (section.sh_addr(ENDIAN), section.sh_size(ENDIAN));
    ensure!(found == Some((start, size)), "its table for unwinding is not where its section is");
    let table = image.bytes("table for unwinding", Extent::new(start, size)?)?;
    // Another kind is searched from its beginning to its end.
    if !table.starts_with(&USUAL) || table.len() < 12 {
        let is_known = table.first() == Some(&1) && table.len() >= 8;
        ensure!(is_known, "its table for unwinding is of an unknown kind");
        return Ok(());
    }
    let word = |place: usize| {
        let bytes = table.get(place..place + 4).and_then(|bytes| bytes.try_into().ok());
        i64::from(i32::from_le_bytes(bytes.unwrap_or_default()))
    };
    let frames = find(b".eh_frame").map_or(image.whole(), |section| {
        let start = section.sh_addr(ENDIAN);
        Extent { start, end: start.saturating_add(section.sh_size(ENDIAN)) }
    });
    let is_frame =
        |address: Option<u64>| address.is_some_and(|at| frames.contains(Extent { start: at, end: at }));
    ensure!(is_frame(start.checked_add_signed(4 + word(4))), "its table for unwinding leads nowhere");
    let count = word(8);
    ensure!(count >= 0 && 12 + 8 * count as u64 <= size, "its table for unwinding does not end");
    let mut before = None;
    for place in (0..count as usize).map(|entry| 12 + 8 * entry) {
        let function = start.checked_add_signed(word(place));
        ensure!(
            function.is_some_and(|function| image.is_code(function)) && before <= function,
            "its table for unwinding is not sorted"
        );
        ensure!(is_frame(start.checked_add_signed(word(place + 4))), "its table for unwinding leads nowhere");
        before = function;
    }
    Ok(())
}
