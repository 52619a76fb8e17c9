//! The cargo to call, and the environment to call it in: those of a shell, however this program was started.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::config_env;

/// The cargo in `PATH`, which with rustup is the one that picks the toolchain of the folder it is called in. Where `PATH`
/// has none, the cargo that runs this program.
pub(super) fn program() -> PathBuf {
    let in_path = env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join("cargo").is_file()));
    match env::var_os("CARGO") {
        Some(running) if !in_path => running.into(),
        _ => "cargo".into(),
    }
}

/// A call of cargo, as from a shell.
///
/// When cargo and rustup have started this program (`cargo run`, `cargo test`), they have set variables that choose the
/// toolchain, and that describe the package that runs. Another crate is built without them: it has its own toolchain, and
/// build scripts that look at such variables would run again.
pub fn cargo() -> Command {
    let mut command = Command::new(program());
    let variables: Vec<_> = env::vars_os().collect();
    let this = env::current_exe().ok();
    for (name, value) in environment(&variables, this.as_deref()).into_iter().chain(configured()) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

/// What the configuration of the cargo that runs this program has set. It would win over that of the crate to be built.
fn configured() -> Vec<(OsString, Option<OsString>)> {
    let (Some(_), Ok(here)) = (env::var_os("CARGO"), env::current_dir()) else { return Vec::new() };
    config_env::variables(&here, env::var_os("CARGO_HOME").map(PathBuf::from))
        .into_iter()
        .filter(|(name, value)| env::var_os(name).as_ref() == Some(value))
        .map(|(name, _)| (name.into(), None))
        .collect()
}

/// How cargo's environment is to differ from this one; `None` removes a variable.
fn environment(variables: &[(OsString, OsString)], this: Option<&Path>) -> Vec<(OsString, Option<OsString>)> {
    let get = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    let mut changes: Vec<(OsString, Option<OsString>)> = Vec::new();
    let cargo = get("CARGO");
    let is_chosen_by_user = get("RUSTUP_TOOLCHAIN_SOURCE").is_some_and(|source| source == "env");
    for (name, value) in variables {
        let text = name.to_str().unwrap_or_default();
        let is_cargos = OF_A_PACKAGE.iter().any(|prefix| text.starts_with(prefix))
            || SET_BY_CARGO.contains(&text)
            || (SET_BY_RUSTUP.contains(&text) && !is_chosen_by_user);
        if cargo.is_some() && is_cargos {
            changes.push((name.clone(), None));
        }
        // A relative folder is meant from where this program was started, and cargo is called elsewhere.
        if ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"].contains(&text)
            && let Ok(folder) = std::path::absolute(value)
        {
            changes.push((name.clone(), Some(folder.into())));
        }
    }
    if let (Some(cargo), Some(path)) = (cargo, get("LD_LIBRARY_PATH")) {
        changes.push(("LD_LIBRARY_PATH".into(), without_cargos(path, Path::new(cargo), this)));
    }
    changes
}

/// The variables by which cargo describes a package, a target and a build script, by how they begin.
const OF_A_PACKAGE: [&str; 5] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CFG_", "CARGO_FEATURE_"];

/// The others that cargo sets for what it starts.
const SET_BY_CARGO: [&str; 7] = [
    "CARGO",
    "CARGO_CRATE_NAME",
    "CARGO_MAKEFLAGS",
    "CARGO_PRIMARY_PACKAGE",
    "CARGO_RUSTC_CURRENT_DIR",
    "CARGO_TARGET_TMPDIR",
    "OUT_DIR",
];

/// What rustup sets for the toolchain that it has chosen, unless the user has by `RUSTUP_TOOLCHAIN`.
const SET_BY_RUSTUP: [&str; 3] = ["RUSTUP_TOOLCHAIN", "RUSTUP_TOOLCHAIN_SOURCE", "RUST_RECURSION_COUNT"];

/// `LD_LIBRARY_PATH` without the folders of the toolchain and of the build, which cargo puts there.
fn without_cargos(path: &OsStr, cargo: &Path, this: Option<&Path>) -> Option<OsString> {
    let toolchain = cargo.parent().and_then(Path::parent);
    let profile = this
        .and_then(Path::parent)
        .map(|folder| if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder });
    let is_cargos = |folder: &PathBuf| {
        [toolchain, profile].into_iter().flatten().any(|of_cargo| folder.starts_with(of_cargo))
    };
    let others: Vec<PathBuf> = env::split_paths(path).filter(|folder| !is_cargos(folder)).collect();
    env::join_paths(&others).ok().filter(|joined| !joined.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(variables: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let this = Path::new("/project/target/debug/deps/test-1");
        let mut changes: Vec<_> = environment(&variables, Some(this))
            .into_iter()
            .map(|(name, value)| match value {
                Some(value) => format!("{}={}", name.display(), value.display()),
                None => format!("-{}", name.display()),
            })
            .collect();
        changes.sort();
        changes
    }

    #[test]
    fn what_cargo_and_rustup_set_is_not_passed_on() {
        let found = changes(&[
            ("CARGO", "/rustup/toolchains/nightly/bin/cargo"),
            ("CARGO_MANIFEST_DIR", "/project"),
            ("CARGO_PKG_NAME", "outer"),
            ("CARGO_HOME", "/home/ada/.cargo"),
            ("CARGO_NET_OFFLINE", "true"),
            ("RUSTFLAGS", "-Cdebuginfo=0"),
            ("RUSTUP_HOME", "/rustup"),
            ("RUSTUP_TOOLCHAIN", "nightly"),
            (
                "LD_LIBRARY_PATH",
                "/project/target/debug/build/x/out:/project/target/debug:/rustup/toolchains/nightly/lib:/opt/lib",
            ),
        ]);
        let expected = [
            "-CARGO",
            "-CARGO_MANIFEST_DIR",
            "-CARGO_PKG_NAME",
            "-RUSTUP_TOOLCHAIN",
            "LD_LIBRARY_PATH=/opt/lib",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_shell_sets_is_passed_on() {
        let found = changes(&[
            ("RUSTUP_TOOLCHAIN", "beta"),
            ("LD_LIBRARY_PATH", "/rustup/toolchains/nightly/lib"),
            ("RUSTC_WRAPPER", "sccache"),
            ("CARGO_TARGET_DIR", "/built"),
        ]);
        assert_eq!(found, ["CARGO_TARGET_DIR=/built"]);
        // Also where cargo has run this program.
        let found = changes(&[
            ("CARGO", "/rustup/toolchains/beta/bin/cargo"),
            ("RUSTUP_TOOLCHAIN", "beta"),
            ("RUSTUP_TOOLCHAIN_SOURCE", "env"),
        ]);
        assert_eq!(found, ["-CARGO"]);
    }

    #[test]
    fn this_test_is_run_by_cargo() {
        assert!(env::var_os("CARGO_PKG_NAME").is_some());
        let command = cargo();
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        assert!(removed.iter().any(|(name, _)| *name == "CARGO_PKG_NAME"), "{removed:?}");
        assert!(removed.iter().all(|(name, _)| *name != "CARGO_HOME"), "{removed:?}");
    }
}
