//! Libraries for the tests, built by cargo once for each run of the tests.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use atoll_host::internal::build::cargo;

/// One value for each name, made when it is first asked for.
struct Once<T>(OnceLock<Mutex<Cells<T>>>);

type Cells<T> = HashMap<String, Arc<OnceLock<T>>>;

impl<T: Clone> Once<T> {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    fn get(&self, name: &str, make: impl FnOnce() -> T) -> T {
        let cell = {
            let cells = self.0.get_or_init(Mutex::default);
            let mut cells = cells.lock().unwrap_or_else(PoisonError::into_inner);
            cells.entry(name.to_owned()).or_default().clone()
        };
        cell.get_or_init(make).clone()
    }
}

/// The library of a crate in `host/tests/fixtures` or `apps`, by the crate's name; built when it is first asked for.
///
/// # Panics
/// When it cannot be built; cargo's words are in the message.
pub fn library(name: &str) -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    BUILT.get(name, || build(name))
}

/// The example apps.
pub const EXAMPLES: [&str; 5] = ["hello", "counter", "notes", "thumbs", "chat"];

/// The folder of the example apps' libraries, built together as `atoll dev` builds them.
pub fn examples() -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    BUILT.get("", || {
        let arguments: Vec<_> = EXAMPLES.iter().flat_map(|name| ["--package", name]).collect();
        let arguments = [&["--lib", "--no-default-features"], &*arguments].concat();
        cargo_build(&workspace(), &arguments, &fixtures_target(), true);
        fixtures_target().join("debug")
    })
}

/// The folder with the programs that serve an example app alone.
pub fn programs() -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    BUILT.get("", || {
        let programs: Vec<_> = EXAMPLES.iter().flat_map(|name| ["--bin", name]).collect();
        cargo_build(&workspace(), &[&AS_TESTS, &*programs].concat(), &target(), false);
        target().join("debug")
    })
}

/// The folder with what `cargo run --package NAME` builds: the program that serves the app alone, and the library. They
/// have fewer features of what the apps share than the [`programs`] have.
pub fn program(name: &str) -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    BUILT.get(name, || {
        cargo_build(&workspace(), &["--package", name], &target(), false);
        target().join("debug")
    })
}

/// The program of a crate in `host/tests/fixtures`.
pub fn fixture_program(name: &str) -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    BUILT.get(name, || {
        let target = fixtures_target();
        let arguments = [&["--bin", name], &*packages(name)].concat();
        cargo_build(&workspace().join("host/tests/fixtures"), &arguments, &target, true);
        target.join("debug").join(name)
    })
}

/// The fixtures that depend on a server and a runtime. They are built together: cargo unites the features of what they
/// share, so that it is built once.
const SERVERS: [&str; 7] = ["actix-app", "axum-app", "events", "grpc", "lifecycle", "ordinary", "process"];

/// The arguments that select a crate, with those that are built with it.
fn packages(name: &str) -> Vec<&str> {
    let names = if SERVERS.contains(&name) { SERVERS.to_vec() } else { vec![name] };
    names.into_iter().flat_map(|name| ["--package", name]).collect()
}

/// A program among the host's examples.
pub fn example(name: &str) -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    BUILT.get(name, || {
        cargo_build(&workspace(), &[&AS_TESTS[..], &["--example", name]].concat(), &target(), false);
        target().join("debug/examples").join(name)
    })
}

/// What cargo shares with `cargo test --workspace`, down to the host's library: it unites the features over all that it
/// builds, and those of dev-dependencies only if there is a test, or an example.
const AS_TESTS: [&str; 3] = ["--workspace", "--example", "embedding"];

/// Small files, as the tests copy them by the hundred. The same for both workspaces, so that they share what they depend
/// on.
pub const SMALL: [(&str, &str); 2] =
    [("CARGO_PROFILE_DEV_DEBUG", "false"), ("CARGO_PROFILE_DEV_STRIP", "debuginfo")];

/// The target folder of all libraries for the tests.
pub fn fixtures_target() -> PathBuf {
    target().join("fixtures")
}

/// The folder of this workspace: the one with the lock file. This file is part of tests in `host` and of a command in
/// `benches`.
pub fn workspace() -> PathBuf {
    let mut folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    folders.find(|folder| folder.join("Cargo.lock").is_file()).expect("this is a workspace").to_owned()
}

fn cargo_build(workspace: &Path, arguments: &[&str], target: &Path, small: bool) {
    std::fs::create_dir_all(target).unwrap();
    // Several test binaries may run at once.
    let lock = File::create(target.join(".tests.lock")).unwrap();
    lock.lock().unwrap();
    let output = cargo()
        .args(["build", "--quiet", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .args(arguments)
        .envs(if small { &SMALL[..] } else { &[] }.iter().copied())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The bytes of a library that answers each request with `version`; see [`patched`].
pub fn versioned(version: impl ToString) -> Vec<u8> {
    patched("versioned", &version.to_string())
}

/// The bytes of a fixture's library, with this text as what `mark::mark()` returns in it: at most 16 characters,
/// with no zero in front.
pub fn patched(name: &str, text: &str) -> Vec<u8> {
    const MARK: &[u8] = b"ATOLL-MARK-0000000000000000";
    static ORIGINALS: Once<Arc<(Vec<u8>, usize)>> = Once::new();
    let original = ORIGINALS.get(name, || {
        let bytes = std::fs::read(library(name)).unwrap();
        let mut places = (0..bytes.len() - MARK.len()).filter(|&at| bytes[at..].starts_with(MARK));
        let place = places.next().expect("the library has its mark");
        assert_eq!(places.next(), None, "the mark is there once");
        Arc::new((bytes, place + MARK.len() - 16))
    });
    let padded = format!("{text:0>16}");
    assert_eq!(padded.len(), 16, "a mark has at most 16 characters");
    let (mut bytes, place) = (original.0.clone(), original.1);
    bytes[place..place + 16].copy_from_slice(padded.as_bytes());
    bytes
}

fn build(name: &str) -> PathBuf {
    let (fixtures, workspace) = (workspace().join("host/tests/fixtures"), workspace());
    let root = if fixtures.join(name).is_dir() { &fixtures } else { &workspace };
    let target = fixtures_target();
    // Without the features that serve an app by itself: what a host loads needs nothing of them.
    cargo_build(root, &[&["--lib", "--no-default-features"], &*packages(name)].concat(), &target, true);
    let library = target.join("debug").join(format!("lib{}.so", name.replace('-', "_")));
    assert!(library.is_file(), "cargo has not built {}", library.display());
    library
}

/// The `atoll` command: the one that cargo has built for these tests, or else an optimised one, which is built when it
/// is first asked for.
pub fn atoll() -> PathBuf {
    static BUILT: Once<PathBuf> = Once::new();
    match option_env!("CARGO_BIN_EXE_atoll") {
        Some(built) => built.into(),
        None => BUILT.get("atoll", build_atoll),
    }
}

/// Builds the command in the profile of this program, with the features that the program is built with: so they share the host's
/// library, which takes minutes.
fn build_atoll() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    // A benchmark is in a folder below.
    let folders = this.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    let folder = folders.expect("this program is in target/PROFILE");
    let (profile, like) = match folder.file_name().and_then(|name| name.to_str()) {
        // As CI builds it.
        Some("debug") => ("dev", &AS_TESTS[..]),
        // As `cargo soak` and `cargo bench` do.
        Some(profile) => (profile, &["--package", "atoll-host", "--package", "atoll-soak"][..]),
        None => panic!("the folder has a name"),
    };
    let status = cargo()
        .args(["build", "--profile", profile, "--bin", "atoll"])
        .args(like)
        .arg("--target-dir")
        .arg(folder.parent().expect("it is in the target folder"))
        .current_dir(workspace())
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the command cannot be built");
    folder.join("atoll")
}

/// The target folder that the command under test was built in.
fn target() -> PathBuf {
    atoll().ancestors().nth(2).expect("the command is in target/PROFILE").to_owned()
}

/// A library with damage: a bit, some bytes, or a part that is zero or noise, in the headers or anywhere else.
pub fn mutated(library: &[u8], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let bytes = library.to_vec();
    // The first pages have what the loader reads.
    let end = if random.bool() { bytes.len().min(16 << 10) } else { bytes.len() };
    let at = random.usize(..end);
    let length = [1, 8, 64, 256][random.usize(..4)].min(bytes.len() - at);
    damaged(bytes, at, length, &mut random)
}

/// Bytes with damage at a place: a bit, or so many bytes that are zero or noise.
pub fn damaged(mut bytes: Vec<u8>, at: usize, length: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let before = bytes[at..at + length].to_vec();
    match random.u8(..3) {
        0 => bytes[at] ^= 1 << random.u8(..8),
        1 => bytes[at..at + length].fill(0),
        _ => random.fill(&mut bytes[at..at + length]),
    }
    if bytes[at..at + length] == before {
        bytes[at] = !bytes[at];
    }
    bytes
}
