//! Real shared libraries: found, renamed, and opened by the dynamic loader.

use std::fs;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::elf::Linking;
use super::*;
use crate::library::content_hash::ContentHash;
use crate::library::stage::Staging;
use crate::watch::write_and_release;

/// Compiles a shared library of this C text with these options.
fn compile(library: &Path, text: &str, options: &[&str]) {
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let source = library.with_extension("c");
    fs::write(&source, text).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-o"]).arg(library).arg(&source).args(options);
    assert!(command.status().unwrap().success(), "{command:?}");
    fs::remove_file(source).unwrap();
}

/// A library with a function of its name that returns a number, after those that it needs.
fn answer(folder: &Path, name: &str, number: i32, needed: &[&str], options: &[&str]) -> PathBuf {
    let library = folder.join(format!("lib{name}.so"));
    let declared: String = needed.iter().map(|name| format!("int {name}(void);\n")).collect();
    let sum: String = needed.iter().map(|name| format!(" + {name}()")).collect();
    let text = format!("{declared}int {name}(void) {{ return {number}{sum}; }}\n");
    let folder = format!("-L{}", folder.display());
    let names: Vec<String> = needed.iter().map(|name| format!("-l{name}")).collect();
    let names = names.iter().map(String::as_str);
    let options: Vec<&str> =
        [folder.as_str()].into_iter().chain(names).chain(options.iter().copied()).collect();
    compile(&library, &text, &options);
    library
}

fn found(library: &Path) -> Result<Found, NeededError> {
    find(library, &File::open(library).unwrap())
}

fn names(found: &Found) -> Vec<&str> {
    found.libraries.iter().map(|library| library.name.as_str()).collect()
}

fn linking(library: &Path) -> Linking {
    Linking::read(&File::open(library).unwrap()).unwrap()
}

/// Makes a renamed copy.
fn renamed(library: &Path, to: &Path, own: Option<&str>, needed: &[(&str, &str)]) {
    let file = File::options().read(true).write(true).create_new(true).open(to).unwrap();
    let renames = Renames { own, needed: needed.iter().copied().collect() };
    write_renamed(&File::open(library).unwrap(), &file, &renames).unwrap();
}

fn open(library: &Path) -> Library {
    // SAFETY: its code does nothing when it is opened.
    unsafe { Library::open(Some(library), RTLD_NOW | RTLD_LOCAL) }.unwrap()
}

fn call(library: &Library, name: &str) -> i32 {
    // SAFETY: each function of these libraries has this type.
    unsafe { library.get::<extern "C" fn() -> i32>(name.as_bytes()).unwrap()() }
}

#[test]
fn libraries_beside_one_are_found_each_behind_those_that_it_needs() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    answer(folder, "inner", 1, &[], &[]);
    answer(folder, "outer", 2, &["inner"], &[]);
    let app = answer(folder, "app", 4, &["outer", "inner"], &["-lm"]);
    let beside = found(&app).unwrap();
    assert_eq!(names(&beside), ["libinner.so", "libouter.so"]);
    assert_eq!(beside.needs, [("libouter.so".to_owned(), 1), ("libinner.so".to_owned(), 0)]);
    assert_eq!(beside.libraries[1].needs, [("libinner.so".to_owned(), 0)]);
    assert_eq!(beside.searched, [folder.display().to_string()]);
}

#[test]
fn the_run_path_comes_first_and_an_absolute_one_is_left_to_the_loader() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    answer(folder, "one", 1, &[], &[]);
    fs::create_dir(folder.join("lib")).unwrap();
    let app = answer(folder, "app", 0, &["one"], &["-Wl,-rpath,$ORIGIN/lib"]);
    assert_eq!(found(&app).unwrap().libraries[0].path, folder.join("libone.so"));
    fs::rename(folder.join("libone.so"), folder.join("lib/libone.so")).unwrap();
    assert_eq!(found(&app).unwrap().libraries[0].path, folder.join("lib/libone.so"));
    let mark = bundle_mark(ContentHash::compute(b"all of them"));
    let content = [fs::read(&app).unwrap(), mark, vec![0; 32]].concat();
    write_and_release(&app, content);
    let bundle = bundle_folder(&app, &fs::read(&app).unwrap());
    assert!(bundle.starts_with(folder.join("libapp.libs")) && bundle != folder.join("libapp.libs"));
    assert_eq!(places_to_watch(&app), [folder.join("lib/libone.so")]);
    fs::create_dir_all(&bundle).unwrap();
    fs::copy(folder.join("lib/libone.so"), bundle.join("libone.so")).unwrap();
    assert_eq!(found(&app).unwrap().libraries[0].path, bundle.join("libone.so"));

    let lib = folder.join("lib");
    fs::copy(lib.join("libone.so"), folder.join("libone.so")).unwrap();
    let app = answer(folder, "app", 0, &["one"], &[&format!("-Wl,-rpath,{}:$ORIGIN", lib.display())]);
    assert_eq!(names(&found(&app).unwrap()), [""; 0]);
}

#[test]
fn a_link_leads_to_the_folder_of_its_file() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("releases/1");
    answer(&folder, "one", 1, &[], &[]);
    let app = answer(&folder, "app", 0, &["one"], &[]);
    let current = place.path().join("current.so");
    std::os::unix::fs::symlink(&app, &current).unwrap();
    assert_eq!(found(&current).unwrap().libraries[0].path, folder.join("libone.so"));
}

#[test]
fn one_file_with_two_names_is_one_library() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let one = answer(folder, "one", 1, &[], &["-Wl,-soname,libone.so.1"]);
    fs::rename(&one, folder.join("libone.so.1")).unwrap();
    std::os::unix::fs::symlink("libone.so.1", &one).unwrap();
    let plain = answer(folder, "plain", 1, &["one"], &[]);
    let app = answer(folder, "app", 0, &["plain", "one"], &[]);
    assert_eq!(names(&found(&app).unwrap()), ["libone.so.1", "libplain.so"]);
    assert_eq!(linking(&plain).needed[0], "libone.so.1");
}

#[test]
fn libraries_that_need_each_other_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    answer(folder, "a", 1, &[], &[]);
    answer(folder, "b", 1, &["a"], &[]);
    answer(folder, "a", 1, &["b"], &[]);
    let app = answer(folder, "app", 0, &["b"], &["-Wl,--allow-shlib-undefined"]);
    let error = found(&app).unwrap_err().to_string();
    assert!(error.contains("need each other: libb.so -> liba.so -> libb.so; link them into one"), "{error}");
}

#[test]
fn a_library_may_have_the_name_of_one_that_it_needs() {
    let place = tempfile::tempdir().unwrap();
    let native = answer(&place.path().join("native"), "one", 1, &[], &[]);
    let one = place.path().join("libone.so");
    let text = "int one(void); int two(void) { return one(); }\n";
    compile(
        &one,
        text,
        &[&format!("-L{}", native.parent().unwrap().display()), "-lone", "-Wl,-rpath,$ORIGIN:$ORIGIN/native"],
    );
    assert_eq!(found(&one).unwrap().libraries[0].path, native);
}

#[test]
fn a_library_that_needs_the_app_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    answer(folder, "app", 0, &[], &[]);
    answer(folder, "one", 1, &["app"], &[]);
    let app = answer(folder, "app", 0, &["one"], &[]);
    let error = found(&app).unwrap_err().to_string();
    assert!(error.contains("need each other: libapp.so -> libone.so -> libapp.so;"), "{error}");
}

#[test]
fn too_many_libraries_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let one = answer(folder, "x", 1, &[], &[]);
    let all: Vec<String> = (0..=NEEDED_LIBRARIES).map(|number| format!("x{number}")).collect();
    for name in &all {
        renamed(&one, &folder.join(format!("lib{name}.so")), Some(&format!("lib{name}.so")), &[]);
    }
    let linked: Vec<String> = all.iter().map(|name| format!("-l{name}")).collect();
    let linked = linked.iter().map(String::as_str).chain(["-Wl,--no-as-needed"]);
    let with = |count| {
        let options: Vec<&str> =
            ["-Wl,--no-as-needed"].into_iter().chain(linked.clone().take(count)).collect();
        found(&answer(
            folder,
            "app",
            0,
            &[],
            &[&[format!("-L{}", folder.display()).as_str()], &options[..]].concat(),
        ))
    };
    assert_eq!(with(NEEDED_LIBRARIES).unwrap().libraries.len(), NEEDED_LIBRARIES);
    let error = with(NEEDED_LIBRARIES + 1).unwrap_err().to_string();
    assert!(error.starts_with("more than 64 shared libraries are found beside it"), "{error}");
}

#[test]
fn a_file_that_is_no_library_is_passed_over_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let one = answer(folder, "one", 1, &[], &[]);
    let app = answer(folder, "app", 0, &["one"], &[]);
    fs::write(&one, "INPUT(libother.so)").unwrap();
    let beside = found(&app).unwrap();
    assert!(beside.libraries.is_empty());
    assert!(
        beside.searched[1].starts_with(&format!("{} (not a library", one.display())),
        "{:?}",
        beside.searched
    );
    let writer = File::options().append(true).open(&one).unwrap();
    assert!(matches!(found(&app), Err(NeededError::BeingWritten(path)) if path == one));
    let mut places = places_to_watch(&app);
    assert_eq!(places, std::slice::from_ref(&one), "also when something is wrong with it");
    drop(writer);
    places = places_to_watch(&app);
    assert_eq!(places, [one.clone(), folder.join("libapp.libs/libone.so"), one]);
}

#[test]
fn a_renamed_copy_is_found_by_its_name_and_does_the_same() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    // With data, and with memory that is no part of the file.
    let text = "static int data[3000] = {1, 2}; static int zeros[100000]; __thread int local = 3; static int *at = data + 1;\n\
                int one(void) { zeros[99999] = data[0]; return zeros[99999] + *at + local; }\n";
    let one = folder.join("libone.so");
    compile(&one, text, &["-g"]);
    let app = answer(folder, "app", 10, &["one"], &[]);
    assert_eq!((linking(&one).name, linking(&app).needed[0].as_str()), (None, "libone.so"));
    let (own, to, linked) = ("libone.so-0123456789", folder.join("copy.so"), folder.join("linked.so"));
    renamed(&one, &to, Some(own), &[]);
    renamed(&app, &linked, None, &[("libone.so", own)]);
    assert_eq!(linking(&to).name.as_deref(), Some(own));
    assert_eq!(linking(&linked).needed[0], own);
    let needed = open(&to);
    let library = open(&linked);
    drop(needed);
    assert_eq!(call(&library, "app"), 16);
    library.close().unwrap();
    assert!(!fs::read_to_string("/proc/self/maps").unwrap().contains(to.to_str().unwrap()), "it is unloaded");
}

#[test]
fn two_libraries_of_one_name_are_open_at_once() {
    let place = tempfile::tempdir().unwrap();
    let opened: Vec<Library> = [1, 2]
        .iter()
        .map(|&number| {
            let folder = place.path().join(number.to_string());
            let one = answer(&folder, "one", number, &[], &["-Wl,-soname,libone.so"]);
            let app = answer(&folder, "app", 10, &["one"], &[]);
            let own = format!("libone.so-{number}");
            renamed(&one, &folder.join("copy.so"), Some(&own), &[]);
            renamed(&app, &folder.join("linked.so"), None, &[("libone.so", &own)]);
            let _needed = open(&folder.join("copy.so"));
            open(&folder.join("linked.so"))
        })
        .collect();
    let answers: Vec<i32> = opened.iter().map(|library| call(library, "app")).collect();
    assert_eq!(answers, [11, 12]);
}

#[test]
fn versions_of_a_renamed_library_are_still_checked() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let script = folder.join("versions");
    fs::write(&script, "ONE_1 { global: one; local: *; };").unwrap();
    let script = format!("-Wl,--version-script={}", script.display());
    let one = answer(folder, "one", 1, &[], &[&script, "-Wl,-soname,libone.so"]);
    let app = answer(folder, "app", 10, &["one"], &[]);
    let own = "libone.so-versions";
    renamed(&one, &folder.join("copy.so"), Some(own), &[]);
    renamed(&app, &folder.join("linked.so"), None, &[("libone.so", own)]);
    let _needed = open(&folder.join("copy.so"));
    assert_eq!(call(&open(&folder.join("linked.so")), "app"), 11);
}

#[test]
fn the_hash_is_of_all_of_them() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    answer(folder, "inner", 1, &[], &[]);
    answer(folder, "outer", 2, &["inner"], &[]);
    let app = answer(folder, "app", 4, &["outer"], &[]);
    let alone = ContentHash::of_file(&app).unwrap();
    let first = content_hash(&app).unwrap();
    assert_ne!(first, alone);
    let staged = Staging::within(folder).unwrap().stage("app", &app).unwrap();
    assert_eq!((staged.hash(), staged.file_hash()), (first, alone));
    let before = fs::read(folder.join("libinner.so")).unwrap();
    answer(folder, "inner", 9, &[], &[]);
    assert_ne!(content_hash(&app).unwrap(), first);
    write_and_release(&folder.join("libinner.so"), before);
    assert_eq!(content_hash(&app).unwrap(), first);
    for name in ["inner", "outer"] {
        fs::remove_file(folder.join(format!("lib{name}.so"))).unwrap();
    }
    assert_eq!(content_hash(&app).unwrap(), alone);
}
