use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use object::Endianness;
use object::build::elf::{Builder, SectionData};

use super::*;
use crate::stage::Staging;

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
        let mut builder = Builder::new(Endianness::Little, self.is_64);
        builder.header.e_type = self.kind;
        builder.header.e_machine = self.machine;
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = elf::SHT_STRTAB;
        names.data = SectionData::SectionString;
        if let Some(text) = &self.stamp {
            let section = builder.sections.add();
            section.name = stamp::SECTION.into();
            section.sh_type = elf::SHT_PROGBITS;
            section.sh_addralign = 1;
            section.data = SectionData::Data(text.as_bytes().to_vec().into());
        }
        if let Some(flags) = self.flags {
            let entry = [elf::DT_FLAGS_1.0.to_le_bytes(), flags.to_le_bytes()].concat();
            let section = builder.sections.add();
            section.name = ".dynamic".into();
            section.sh_type = elf::SHT_PROGBITS;
            section.sh_addralign = 8;
            section.data = SectionData::Data(entry.into());
        }
        builder.set_section_sizes();
        let mut bytes = Vec::new();
        builder.write(&mut bytes).unwrap();
        if self.flags.is_some() {
            // The builder makes dynamic sections only of what has segments; to be read, the type will do.
            let table = table(&bytes);
            let last = bytes[table..].chunks_mut(64).find(|section| section[32..40] == 16u64.to_le_bytes());
            last.unwrap()[4..8].copy_from_slice(&elf::SHT_DYNAMIC.0.to_le_bytes());
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
    }
}

fn inspect(bytes: &[u8]) -> Result<Inspected, InspectError> {
    inspect_for(bytes, None)
}

fn inspect_for(bytes: &[u8], package: Option<&str>) -> Result<Inspected, InspectError> {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libhello.so");
    fs::write(&library, bytes).unwrap();
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
    assert!(error.to_string().contains("found machine number 22, needed 64-bit"), "{error}");
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
    assert!(error.to_string().contains("found wasm32-wasip1, needed"), "{error}");

    let panic = Stamp { panic: "abort".into(), ..stamp() };
    let error = inspect(&Library::stamped(&panic).bytes()).unwrap_err();
    assert!(error.to_string().contains("set `panic = \"unwind\"`"), "{error}");

    let error = inspect_for(&Library::good().bytes(), Some("other")).unwrap_err();
    assert!(error.to_string().contains("found hello, needed other"), "{error}");

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
