//! What is installed by npm, into a folder of its own.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use super::first_line;
use crate::tied::tied;

/// A package that brings a program, which is in another package for each platform.
pub(crate) struct Package {
    pub(crate) name: &'static str,
    version: &'static str,
    /// Whose packages the platforms' are.
    scope: &'static str,
    /// Where the program is in those.
    program: &'static str,
}

/// The versions are fixed, so that two runs compare the same.
pub(crate) const PACKAGES: [Package; 3] = [
    Package { name: "deno", version: "2.9.6", scope: "@deno", program: "deno" },
    Package { name: "bun", version: "1.4.5", scope: "@oven", program: "bin/bun" },
    Package { name: "workerd", version: "1.20261117.1", scope: "@cloudflare", program: "bin/workerd" },
];

/// How long npm may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Installs these packages; the program of each, or why it is not there.
pub(super) fn install(
    folder: &Path,
    packages: &[&Package],
    offline: bool,
) -> HashMap<&'static str, Result<PathBuf, String>> {
    let missing: Vec<_> = packages.iter().filter(|package| !package.is_installed(folder)).collect();
    let installed = match () {
        () if missing.is_empty() => Ok(()),
        () if offline => Err("it is not installed, and --offline was given".to_owned()),
        () => fetch(folder, &missing).map_err(|error| format!("{error:#}")),
    };
    let program = |package: &Package| {
        if !package.is_installed(folder) {
            installed.clone()?;
        }
        package.find(folder).map_err(|error| format!("{error:#}"))
    };
    packages.iter().map(|package| (package.name, program(package))).collect()
}

/// Has npm install packages. Their scripts are not run: the programs are ready in the platforms' packages.
fn fetch(folder: &Path, packages: &[&&Package]) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    let manifest = folder.join("package.json");
    if !manifest.exists() {
        fs::write(manifest, r#"{ "private": true }"#)?;
    }
    let names = packages.iter().map(|package| format!("{}@{}", package.name, package.version));
    let mut command = Command::new("npm");
    command.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--prefix"]);
    command.arg(folder).args(names).stdin(Stdio::null());
    // What npm says is for whoever waits for it, and not a part of the table.
    command.stdout(std::io::stderr());
    let mut npm = tied(&mut command).spawn().context("npm is needed in PATH, and cannot be run")?;
    let status = wait(&mut npm)?;
    ensure!(status.success(), "npm install: {status}; it says why above");
    Ok(())
}

fn wait(npm: &mut Child) -> anyhow::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = npm.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > PATIENCE {
            npm.kill()?;
            npm.wait()?;
            bail!("npm install took longer than {} s", PATIENCE.as_secs());
        }
        sleep(Duration::from_millis(50));
    }
}

impl Package {
    /// Whether it is there in the right version.
    fn is_installed(&self, folder: &Path) -> bool {
        let manifest = folder.join("node_modules").join(self.name).join("package.json");
        let manifest = fs::read(manifest).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        manifest.is_some_and(|manifest| manifest["version"] == self.version)
    }

    /// The program, in the first package that has one which runs here.
    fn find(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let scope = folder.join("node_modules").join(self.scope);
        let entries =
            fs::read_dir(scope).with_context(|| format!("{} has no program for this platform", self.name))?;
        let programs = entries.filter_map(|entry| Some(entry.ok()?.path().join(self.program)));
        let mut found = programs.filter(|program| first_line(program, "--version").is_ok());
        found.next().with_context(|| format!("{} has no program that runs here", self.name))
    }
}
