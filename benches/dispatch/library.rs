//! The libraries of apps, built for the benches.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use atoll_host::internal::build::cargo;
use serde_json::Value;

/// Builds the library of a package, or finds it built, and says where it is.
fn build(package: &str) -> PathBuf {
    let mut command = cargo();
    // As optimised as what loads it; where that is not, with what the tests have built.
    if cfg!(debug_assertions) {
        command.args(["build", "--target-dir", "target/fixtures"]);
        command.envs([("CARGO_PROFILE_DEV_DEBUG", "false"), ("CARGO_PROFILE_DEV_STRIP", "debuginfo")]);
    } else {
        command.args(["build", "--release"]);
    }
    let build = command
        .args(["-p", package, "--lib", "--no-default-features"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be run");
    assert!(build.status.success(), "{package} cannot be built");
    artifact(&build.stdout, &package.replace('-', "_")).expect("cargo names the library that it has built")
}

/// The `.so` of this name among the files that cargo says it has made.
fn artifact(messages: &[u8], name: &str) -> Option<PathBuf> {
    messages
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == name)
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "so"))
}

/// A copy of a library in a folder of its own, which nobody else's build touches.
pub(crate) struct Copied {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
    /// Where the last digit of the version is that the library's stamp says.
    digit: usize,
}

impl Copied {
    /// A copy of the library that cargo makes of a package.
    pub(crate) fn of(package: &str) -> Self {
        Self::from_file(&build(package))
    }

    /// A copy of a library that was built.
    pub(crate) fn from_file(library: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder for libraries can be made");
        let bytes = fs::read(library).expect("the library can be read");
        let version = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"").as_bytes();
        let place = bytes.windows(version.len()).position(|window| window == version);
        let digit = place.expect("the library has a stamp with the workspace's version") + version.len() - 2;
        let copied = Self { folder, bytes, digit };
        copied.replacement(0).put();
        copied
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("libapp.so")
    }

    /// Writes the library with another version in its stamp, and so with other contents, to a file beside it.
    pub(crate) fn replacement(&self, number: usize) -> Replacement {
        let mut bytes = self.bytes.clone();
        bytes[self.digit] = b"0123456789"[number % 10];
        let aside = self.folder.path().join("next");
        fs::create_dir_all(&aside).expect("a folder can be made");
        let from = aside.join("libapp.so");
        fs::write(&from, bytes).expect("the library can be written");
        Replacement { from, to: self.path() }
    }
}

/// A library that is ready to take the other's place.
pub(crate) struct Replacement {
    from: PathBuf,
    to: PathBuf,
}

impl Replacement {
    /// Puts it in the other's place at once, as a linker or an installer does.
    pub(crate) fn put(self) {
        fs::rename(self.from, self.to).expect("the library can be replaced");
    }
}
