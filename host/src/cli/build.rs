//! `atoll build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use atoll_host::internal::build::Symbols;
use atoll_host::internal::check::Checked;
use atoll_host::internal::deploy::{Deployment, Outcome};
use atoll_host::internal::{Source, Staging};
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;
use serde_json::{Value, json};

use super::arguments::{Form, Format};
use super::table::{Cell, Column, table};
use super::{built, out, style, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll build                              all apps in ./apps.json, into ./deploy
  atoll build hello --out /srv/apps        rebuild one app and keep the others
  atoll serve --config deploy/apps.json    serve the built apps, without cargo

Each app is built with the `release` profile, or the one that its `build` setting names, and checked as with \
`atoll check`. The folder is only written when all apps pass: first the libraries, then apps.json, each with an atomic \
rename, so a host that serves the folder reloads the changed apps without losing requests. Libraries of apps that are no \
longer registered are removed. If an app's path is a library, the library is copied. Shared libraries that an app needs, \
except those of the system, are copied to the folder APP.libs. Each app's library gets a checksum at its end, with which \
the host detects damaged files.

Exit codes:
  0  the folder matches apps.json
  1  a build or check failed; the folder is unchanged
  2  the arguments are wrong";

#[derive(Args, Clone, Debug)]
pub(super) struct BuildArgs {
    /// The apps to build [default: all].
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// The output folder.
    #[arg(long, value_name = "DIR", default_value = "deploy")]
    out: PathBuf,
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
    /// The symbols to keep for panic backtraces.
    #[arg(long, value_name = "SYMBOLS", default_value = "names")]
    symbols: Symbols,
    #[command(flatten)]
    form: Form,
}

/// Builds apps, and writes the folder that a host serves.
pub(super) fn run(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    let (config, text) = built::load(&args.config, &args.apps)?;
    let deployment = Deployment::open(&args.out)?;
    let wanted = built::wanted(&config, &args.apps);
    let unchanged = format!("{} is unchanged", args.out.display());
    let Some(mut libraries) = built::libraries(&wanted, args.symbols, &unchanged)? else {
        eprintln!("atoll: the build failed; {unchanged}");
        return Ok(ExitCode::FAILURE);
    };

    let staging = Staging::new()?;
    // Those that stay are shown as well.
    let all = config.apps.iter().filter_map(|app| match libraries.remove(app.name.as_str()) {
        Some(source) => Some((app, source)),
        None if deployment.has(&app.name) => {
            Some((app, Source::locate(deployment.library(&app.name), &app.name)))
        }
        None => None,
    });
    let Some(checked) = built::check_all(&staging, all) else {
        eprintln!("atoll: {unchanged}");
        return Ok(ExitCode::FAILURE);
    };

    let registry = deployment.registry();
    let writing = deployment.begin()?;
    let mut deployed = Vec::new();
    for (name, checked) in checked {
        let (outcome, checked) = writing.put(name, checked)?;
        deployed.push(Deployed { name, checked, outcome });
    }
    let names: Vec<&str> = deployed.iter().map(|app| app.name).collect();
    let removed = writing.finish(&args.config, &text, &names)?;
    report(args, &registry, &deployed, &removed)?;
    Ok(ExitCode::SUCCESS)
}

/// An app that is in the folder.
struct Deployed<'a> {
    name: &'a str,
    checked: Checked,
    outcome: Outcome,
}

fn report(
    args: &BuildArgs,
    registry: &Path,
    deployed: &[Deployed<'_>],
    removed: &[String],
) -> anyhow::Result<()> {
    if args.form.format == Format::Json {
        let apps: Vec<Value> = deployed.iter().map(to_json).collect();
        return out::print_json(&json!({ "config": registry, "apps": apps, "removed": removed }));
    }
    let columns = [
        Column::Left("APP"),
        Column::Left("PACKAGE"),
        Column::Left("RUSTC"),
        Column::Right("API"),
        Column::Right("SIZE"),
        Column::Left("HASH"),
        Column::Left("LIBRARY"),
    ];
    let rows: Vec<[Cell; 7]> = deployed.iter().map(row).collect();
    let mut text = table(columns, &rows);
    for name in removed {
        text += &format!("{name} is no longer registered: removed its library\n");
    }
    for app in deployed.iter().filter(|app| !app.checked.needed.is_empty()) {
        let names: Vec<&str> = app.checked.needed.iter().map(|needed| needed.name.as_str()).collect();
        text += &format!("{} needs {} in {}.libs\n", app.name, names.join(", "), app.name);
    }
    for app in deployed {
        if let Some(reason) = &app.checked.stays {
            text += &format!("{} stays in memory after a reload: {reason}\n", app.name);
        }
    }
    let serve = format!("atoll serve --config {}", args.out.join("apps.json").display());
    text += &format!("\n{} in {}; to serve: ", units::count(deployed.len(), "app"), args.out.display());
    out::print_text(&(text + &style::paint(style::TITLE, &serve) + "\n"))?;
    Ok(())
}

fn row(app: &Deployed<'_>) -> [Cell; 7] {
    let Deployed { name, checked, outcome } = app;
    let look = if *outcome == Outcome::Unchanged { style::FAINT } else { style::GOOD };
    [
        (*name).into(),
        format!("{} {}", checked.stamp.name, checked.stamp.version).into(),
        checked.stamp.rustc.trim_start_matches("rustc ").into(),
        checked.stamp.api.to_string().into(),
        units::bytes(checked.size).into(),
        checked.hash.short().into(),
        Cell::styled(outcome_text(*outcome), look),
    ]
}

fn to_json(app: &Deployed<'_>) -> Value {
    let Deployed { name, checked, outcome } = app;
    let mut value = super::check::described(name, checked);
    value["library"] = outcome_text(*outcome).into();
    value
}

fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::New => "new",
        Outcome::Changed => "changed",
        Outcome::Unchanged => "unchanged",
    }
}
