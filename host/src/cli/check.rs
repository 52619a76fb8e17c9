//! `atoll check`.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use atoll_host::config::{AppConfig, Config, ConfigError, Settings};
use atoll_host::internal::check::{CheckError, Checked, NeededFile, Opener, check};
use atoll_host::internal::{Source, SourcePath, Staging, escape};
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;
use serde_json::{Value, json};

use super::arguments::{Form, Format};
use super::out;

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll check                              all apps in ./apps.json
  atoll check apps/hello                   the newest library of a crate
  atoll check a/liba.so b/libb.so          libraries
  atoll check --format json | jq -e .ok    for scripts, with all details

Exit codes:
  0  all libraries are good
  1  a library was refused, or apps.json is invalid; the output has the reason
  2  the arguments are wrong

Each library is opened (which runs its constructors) and closed in a separate process, within 30 seconds; the app is \
not started.";

#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    /// Libraries, folders that contain one, or crate folders.
    #[arg(value_name = "LIBRARY")]
    libraries: Vec<PathBuf>,
    /// The apps.json file whose apps to check.
    #[arg(long, value_name = "FILE", default_value = "apps.json", conflicts_with = "libraries")]
    config: PathBuf,
    #[command(flatten)]
    form: Form,
}

/// Checks libraries, or a registry with all of its apps.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    let staging = Staging::new()?;
    let apps: Vec<(String, SourcePath, usize)> = if args.libraries.is_empty() {
        match Config::load(&args.config) {
            Ok(config) => config.apps.into_iter().map(of_registry).collect(),
            Err(error) if args.form.format == Format::Json => {
                out::print_json(&report(Some(&error), &[]))?;
                return Ok(ExitCode::FAILURE);
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        let absolute = |path: &PathBuf| {
            let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
            Ok((name_of(&path), path.into(), Settings::default().library_limit))
        };
        args.libraries.iter().map(absolute).collect::<anyhow::Result<_>>()?
    };
    let opener = Opener::this_program();
    let checked = apps.iter().map(|(name, path, limit)| {
        let result = check(&staging, &Source::locate(path.clone(), name), name, *limit, Some(&opener));
        (name.as_str(), path.path.as_path(), result)
    });
    let refused = match args.form.format {
        Format::Json => print_json(checked)?,
        Format::Table => print_text(checked)?,
    };
    if apps.is_empty() && args.form.format == Format::Table {
        out::print(format!("{}: no apps registered yet\n", args.config.display()))?;
    }
    if refused > 0 {
        match apps.len() {
            1 => eprintln!("atoll: the library was refused"),
            count => eprintln!("atoll: {refused} of {count} apps were refused"),
        }
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The name, path and `library_limit` of an app.
fn of_registry(app: AppConfig) -> (String, SourcePath, usize) {
    let path = SourcePath::from(&app);
    (app.name, path, app.settings.library_limit)
}

/// An app's name and path, and what was found there.
type Found<'a> = (&'a str, &'a Path, Result<Checked, CheckError>);

/// Prints each as soon as it is checked; how many were refused.
fn print_text<'a>(checked: impl Iterator<Item = Found<'a>>) -> anyhow::Result<usize> {
    let mut refused = 0;
    for (name, path, result) in checked {
        match result {
            Ok(checked) => out::print(&*escape::lines(&describe(name, &checked)))?,
            Err(error) => {
                refused += 1;
                out::print(&*escape::lines(&refusal(name, path, &error)))?;
            }
        }
    }
    Ok(refused)
}

/// Prints all as one value; how many were refused.
fn print_json<'a>(checked: impl Iterator<Item = Found<'a>>) -> anyhow::Result<usize> {
    let list: Vec<Value> = checked.map(|(name, path, result)| to_json(name, path, result)).collect();
    out::print_json(&report(None, &list))?;
    Ok(list.iter().filter(|app| app["ok"] == false).count())
}

/// The whole of what is printed as JSON.
fn report(error: Option<&ConfigError>, apps: &[Value]) -> Value {
    json!({
        "ok": error.is_none() && apps.iter().all(|app| app["ok"] == true),
        "error": error.map(ConfigError::to_string),
        "diagnostics": error.map(ConfigError::diagnostics).unwrap_or_default(),
        "apps": apps,
    })
}

fn to_json(name: &str, path: &Path, result: Result<Checked, CheckError>) -> Value {
    match result {
        Ok(checked) => described(name, &checked),
        Err(error) => json!({ "name": name, "ok": false, "path": path, "reason": error.to_string() }),
    }
}

/// What is printed of an app whose library is good.
pub(super) fn described(name: &str, checked: &Checked) -> Value {
    let Checked { path, stamp, size, hash, needed, stays, .. } = checked;
    let libraries = needed.iter().map(|NeededFile { name, path, size, hash }| {
        json!({ "name": name, "path": path, "size": size, "hash": hash.to_string() })
    });
    json!({
        "name": name,
        "ok": true,
        "path": path,
        "package": stamp.name,
        "version": stamp.version,
        "rustc": stamp.rustc,
        "target": stamp.target,
        "api": stamp.api.to_string(),
        "size": size,
        "hash": hash.to_string(),
        "libraries": libraries.collect::<Vec<_>>(),
        "stays": stays.as_ref().map(ToString::to_string),
    })
}

/// The name of a library before its stamp is read: `hello` for `…/libhello.so` and for `…/hello/`.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let is_library = path.extension().is_some_and(|extension| extension == "so");
    let name = if is_library { stem.strip_prefix("lib").unwrap_or(&stem) } else { &stem };
    if name.is_empty() { "library".to_owned() } else { name.to_owned() }
}

fn describe(name: &str, checked: &Checked) -> String {
    let Checked { path, stamp, size, hash, needed, stays, .. } = checked;
    let mut text = format!("{name}: ok\n");
    let mut line = |what: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {what:9}{value}");
    };
    line("package", &format!("{} {}", stamp.name, stamp.version));
    line("library", &path.display().to_string());
    for needed in needed {
        line("needs", &format!("{} from {}", needed.name, needed.path.display()));
    }
    line("size", &size_text(*size));
    line("hash", &hash.to_string());
    line("rustc", &stamp.rustc);
    line("target", &stamp.target);
    line("API", &stamp.api.to_string());
    if let Some(reason) = stays {
        line("warning", &format!("it stays in memory after a reload: {reason}"));
    }
    text
}

fn refusal(name: &str, path: &Path, error: &CheckError) -> String {
    // Each further line of a long reason belongs to it.
    let reason = error.to_string().replace('\n', "\n    ");
    format!("{name}: refused\n  path     {}\n  reason   {reason}\n", path.display())
}

fn size_text(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..1_000_000 => format!("{:.1} kB ({bytes} bytes)", bytes as f64 / 1e3),
        _ => format!("{:.1} MB ({bytes} bytes)", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_a_name_without_being_read() {
        for (path, name) in [
            ("/x/libhello.so", "hello"),
            ("/x/hello", "hello"),
            ("/x/lib.so", "library"),
            ("/x/libs", "libs"),
            ("/", "library"),
        ] {
            assert_eq!(name_of(Path::new(path)), name, "{path}");
        }
    }

    #[test]
    fn sizes_are_for_people_and_exact() {
        assert_eq!(size_text(9_999), "9999 bytes");
        assert_eq!(size_text(590_123), "590.1 kB (590123 bytes)");
        assert_eq!(size_text(18_498_672), "18.5 MB (18498672 bytes)");
    }
}
