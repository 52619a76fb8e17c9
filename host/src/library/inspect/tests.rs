use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use super::header::MACHINE;
use super::*;
use crate::library::stage::Staging;
use crate::watch::write_and_release;

/// A library with nothing in it but the stamp, made by hand.
struct Library {
    kind: elf::FileType,
    machine: elf::Machine,
    is_64: bool,
    stamp: Option<String>,
    flags: Option<u64>,
}

impl Library {
    fn good() -> Library {
        Library {
            kind: elf::ET_DYN,
            machine: MACHINE.unwrap(),
            is_64: true,
            stamp: Some(serde_json::to_string(&stamp()).unwrap()),
            flags: None,
        }
    }

    fn stamped(stamp: &Stamp) -> Library {
        Library { stamp: Some(serde_json::to_string(stamp).unwrap()), ..Library::good() }
    }

    fn bytes(&self) -> Vec<u8> {
        const PARTS_AT: usize = 64 + 2 * 56;
        let mut bytes = vec![0; PARTS_AT];
        let mut sections = vec![[0; 64]];
        // Addresses are places in the file, as all of it is one segment.
        let mut add = |bytes: &mut Vec<u8>, name: usize, kind: elf::SectionType, content: &[u8]| {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            let at = bytes.len();
            let mut section = [0; 64];
            section[..4].copy_from_slice(&(name as u32).to_le_bytes());
            section[4..8].copy_from_slice(&kind.0.to_le_bytes());
            let is_mapped = name < NAMES.len() - ".shstrtab\0".len();
            let flags = if is_mapped { elf::SHF_ALLOC.0 } else { 0 };
            for (place, value) in [(8, flags), (16, at as u64), (24, at as u64), (32, content.len() as u64)] {
                section[place..place + 8].copy_from_slice(&value.to_le_bytes());
            }
            sections.push(section);
            bytes.extend(content);
            at as u64
        };
        const NAMES: &[u8] = b"\0.dynstr\0.dynsym\0.gnu.hash\0.dynamic\0.atoll.stamp\0.shstrtab\0";
        let name = |name: &str| NAMES.windows(name.len()).position(|part| part == name.as_bytes()).unwrap();
        let strings = add(&mut bytes, name(".dynstr"), elf::SHT_STRTAB, b"\0");
        let symbols = add(&mut bytes, name(".dynsym"), elf::SHT_DYNSYM, &[0; 24]);
        // One bucket, no symbol; a filter of one word.
        let hash: Vec<u8> = [1_u32, 1, 1, 6, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
        let hash = add(&mut bytes, name(".gnu.hash"), elf::SHT_GNU_HASH, &hash);
        let mut entries = vec![
            (elf::DT_STRTAB, strings),
            (elf::DT_STRSZ, 1),
            (elf::DT_SYMTAB, symbols),
            (elf::DT_SYMENT, 24),
            (elf::DT_GNU_HASH, hash),
        ];
        entries.extend(self.flags.map(|flags| (elf::DT_FLAGS_1, flags)));
        entries.push((elf::DT_NULL, 0));
        let dynamic: Vec<u8> = entries
            .iter()
            .flat_map(|(tag, value)| [tag.0 as u64, *value])
            .flat_map(u64::to_le_bytes)
            .collect();
        let dynamic_at = add(&mut bytes, name(".dynamic"), elf::SHT_DYNAMIC, &dynamic);
        if let Some(text) = &self.stamp {
            add(&mut bytes, name(".atoll.stamp"), elf::SHT_PROGBITS, text.as_bytes());
        }
        let mapped = bytes.len() as u64;
        add(&mut bytes, name(".shstrtab"), elf::SHT_STRTAB, NAMES);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        let table = bytes.len() as u64;
        let count = sections.len() as u16;
        bytes.extend(sections.into_iter().flatten());

        let class = if self.is_64 { elf::ELFCLASS64 } else { elf::ELFCLASS32 };
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class.0, elf::ELFDATA2LSB.0, elf::EV_CURRENT.0]);
        let mut put = |place: usize, value: &[u8]| bytes[place..place + value.len()].copy_from_slice(value);
        put(16, &self.kind.0.to_le_bytes());
        put(18, &self.machine.0.to_le_bytes());
        put(20, &1_u32.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(40, &table.to_le_bytes());
        for (place, value) in [(52, 64), (54, 56), (56, 2), (58, 64), (60, count), (62, count - 1)] {
            put(place, &u16::to_le_bytes(value));
        }
        let size = dynamic.len() as u64;
        for (place, kind, at, size, align) in
            [(64, elf::PT_LOAD, 0, mapped, 4096), (120, elf::PT_DYNAMIC, dynamic_at, size, 8)]
        {
            put(place, &kind.0.to_le_bytes());
            put(place + 4, &elf::PF_R.0.to_le_bytes());
            for (index, value) in [at, at, at, size, size, align].iter().enumerate() {
                put(place + 8 + 8 * index, &u64::to_le_bytes(*value));
            }
        }
        bytes
    }
}

/// The smallest library that passes.
pub(crate) fn good_library() -> Vec<u8> {
    Library::good().bytes()
}

/// Where the section table begins, which is the last thing in these files.
fn table(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes[40..48].try_into().unwrap()) as usize
}

fn stamp() -> Stamp {
    Stamp {
        api: API_VERSION,
        rustc: "rustc 1.0.0 (an older one)".into(),
        target: stamp::TARGET.into(),
        panic: "unwind".into(),
        name: "hello".into(),
        version: "0.1.0".into(),
        sealed: false,
    }
}

fn inspect(bytes: &[u8]) -> Result<Inspected, InspectError> {
    inspect_for(bytes, None)
}

fn inspect_for(bytes: &[u8], package: Option<&str>) -> Result<Inspected, InspectError> {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libhello.so");
    write_and_release(&library, bytes);
    Staging::within(folder.path()).unwrap().stage("hello", &library).unwrap().inspect(package)
}

/// A library of some megabytes that is no app: Rust's own `std`.
fn std_library() -> Vec<u8> {
    let sysroot = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--print", "target-libdir"])
        .output()
        .unwrap();
    let folder = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
    let library = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libstd-")))
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"));
    fs::read(library.expect("the toolchain comes with libstd-*.so")).unwrap()
}

#[test]
fn a_good_library_passes_with_its_stamp() {
    let inspected = inspect_for(&Library::good().bytes(), Some("hello")).unwrap();
    assert_eq!(inspected.stamp(), &stamp());
    assert!(!inspected.stays_mapped());
    let (staged, stamp) = inspected.into_parts();
    assert_eq!((staged.app(), stamp.version.as_str()), ("hello", "0.1.0"));
}

#[test]
fn a_library_that_stays_mapped_says_so() {
    let library = Library { flags: Some(elf::DF_1_NODELETE.0), ..Library::good() };
    assert!(inspect(&library.bytes()).unwrap().stays_mapped());
    let library = Library { flags: Some(elf::DF_1_NOW.0), ..Library::good() };
    assert!(!inspect(&library.bytes()).unwrap().stays_mapped());
}

#[test]
fn a_library_that_is_no_app_is_told_what_to_add() {
    let error = inspect(&std_library()).unwrap_err();
    assert!(matches!(error, InspectError::NoStamp), "{error}");
    assert!(error.to_string().contains("add `atoll_plugin::export_app!(app);`"));
    let library = Library { stamp: None, ..Library::good() };
    assert!(matches!(inspect(&library.bytes()), Err(InspectError::NoStamp)));
}

#[test]
fn every_beginning_of_a_library_is_incomplete() {
    let whole = std_library();
    let size = whole.len();
    for cut in [0, 1, 4, 63, 64, 4096, size / 2, size - 4096, size - 1] {
        match inspect(&whole[..cut]) {
            Err(InspectError::Incomplete { found, needed }) => {
                assert_eq!(found, cut as u64);
                assert!(needed > found && needed <= size as u64, "{cut} of {size}: {needed}");
            }
            other => panic!("{cut} of {size}: {other:?}"),
        }
    }
    let whole = Library::good().bytes();
    for cut in 0..whole.len() {
        let found = inspect(&whole[..cut]);
        assert!(matches!(found, Err(InspectError::Incomplete { .. })), "{cut}: {found:?}");
    }
}

#[test]
fn what_is_no_library_is_refused() {
    assert!(matches!(inspect(b"#!/bin/sh\n"), Err(InspectError::NotElf { found }) if found == b"#!/b"));
    assert!(matches!(inspect(&[0; 4096]), Err(InspectError::NotElf { .. })));
    let object = Library { kind: elf::ET_REL, ..Library::good() };
    assert!(matches!(inspect(&object.bytes()), Err(InspectError::NotALibrary { found: "an object file" })));
    let program = fs::read(env::current_exe().unwrap()).unwrap();
    assert!(matches!(inspect(&program), Err(InspectError::NotALibrary { found: "a program" })));
}

#[test]
fn libraries_for_other_machines_are_refused() {
    let other = Library { machine: elf::EM_S390, ..Library::good() };
    let error = inspect(&other.bytes()).unwrap_err();
    assert!(error.to_string().contains("found machine number 22, expected 64-bit"), "{error}");
    let other = Library { is_64: false, machine: elf::EM_386, ..Library::good() };
    assert!(matches!(inspect(&other.bytes()), Err(InspectError::Machine { .. })));
}

#[test]
fn headers_that_make_no_sense_are_no_danger() {
    let good = Library::good().bytes();
    let mut cases = 0;
    // The header and the section table, byte by byte.
    for place in (4..64).chain(table(&good)..good.len()) {
        for value in [0x00, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[place] = value;
            cases += usize::from(inspect(&bad).is_err());
        }
    }
    assert!(cases > 100, "{cases}");
}

#[test]
fn stamps_that_do_not_fit_are_refused() {
    let newer = Library {
        stamp: Some(format!(r#"{{"api":{},"shape":"of the future"}}"#, API_VERSION + 1)),
        ..Library::good()
    };
    let error = inspect(&newer.bytes()).unwrap_err();
    assert!(matches!(error, InspectError::ApiVersion { .. }), "{error}");
    assert!(error.to_string().ends_with("update the host"), "{error}");

    let error = inspect(&Library::stamped(&Stamp { api: 0, ..stamp() }).bytes()).unwrap_err();
    assert!(error.to_string().ends_with("update its atoll-plugin"), "{error}");

    let target = Stamp { target: "wasm32-wasip1".into(), ..stamp() };
    let error = inspect(&Library::stamped(&target).bytes()).unwrap_err();
    assert!(error.to_string().contains("found wasm32-wasip1, expected"), "{error}");

    // A library for the other C library of this machine.
    let musl = Stamp { target: "x86_64-unknown-linux-musl".into(), ..stamp() };
    let error = inspect(&Library::stamped(&musl).bytes()).unwrap_err().to_string();
    let expected = format!(
        "found x86_64-unknown-linux-musl, expected {} (a host with glibc cannot load a library for musl: a process has one C \
         library); build it with `--target {0}`, or set `build.target` of the app to it",
        stamp::TARGET
    );
    assert!(error.ends_with(&expected), "{error}");

    let panic = Stamp { panic: "abort".into(), ..stamp() };
    let error = inspect(&Library::stamped(&panic).bytes()).unwrap_err();
    assert!(error.to_string().contains("set `panic = \"unwind\"`"), "{error}");

    let error = inspect_for(&Library::good().bytes(), Some("other")).unwrap_err();
    assert!(error.to_string().contains("found hello, expected other"), "{error}");

    let garbage = Library { stamp: Some("not JSON".into()), ..Library::good() };
    let error = inspect(&garbage.bytes()).unwrap_err();
    assert!(matches!(&error, InspectError::Stamp { text, .. } if text == "not JSON"), "{error}");
}

#[test]
fn sections_may_be_filled_up() {
    let text = serde_json::to_string(&stamp()).unwrap() + "\n\0\0\0";
    let library = Library { stamp: Some(text), ..Library::good() };
    assert_eq!(inspect(&library.bytes()).unwrap().stamp(), &stamp());
}

/// What the check of the tables says of these bytes.
fn check_tables(bytes: &[u8]) -> Result<bool, InspectError> {
    Contents::read(bytes, bytes.len() as u64)?.check().map_err(InspectError::Damaged)
}

#[test]
fn damage_anywhere_is_no_danger() {
    let good = Library::good().bytes();
    assert!(!check_tables(&good).unwrap());
    let mut refused = 0;
    for place in 4..good.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[place] = value;
            refused += usize::from(check_tables(&bad).is_err());
        }
    }
    assert!(refused > 1000, "{refused}");
    for start in 64..good.len() {
        let mut bad = good.clone();
        bad[start..good.len().min(start + 64)].fill(0);
        // All of the headers, and nothing of the stamp, is compared.
        let is_header = start < 64 + 2 * 56;
        assert!(check_tables(&bad).is_err() || !is_header, "{start}");
    }
}

#[test]
fn tables_that_lead_out_of_the_library_are_refused() {
    let good = Library::good().bytes();
    let dynamic = u64::from_le_bytes(good[128..136].try_into().unwrap()) as usize;
    let refused = |place: usize, value: u64| {
        let mut bad = good.clone();
        bad[place..place + 8].copy_from_slice(&value.to_le_bytes());
        check_tables(&bad).unwrap_err().to_string()
    };
    // The entries are those for strings, their size, symbols, their size, and the hash table.
    for (entry, value, words) in [
        (0, 1 << 40, "outside of what is loaded"),
        (1, 1 << 40, "outside of what is loaded"),
        (2, 64, "its symbol table has no section"),
        (3, 23, "its symbols have a wrong size"),
        (4, 64, "is not what its dynamic table says"),
    ] {
        let found = refused(dynamic + entry * 16 + 8, value);
        assert!(found.contains(words), "{entry}: {found}");
    }
    // The only segment that is loaded: its offset, address, size in the file and in memory, and alignment.
    for (field, value) in [(8, 4096), (16, 4096), (32, 64), (40, 64), (48, 3)] {
        refused(64 + field, value);
    }
}
