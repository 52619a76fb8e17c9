//! `atoll new`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use atoll_host::internal::scaffold::{Made, NewApp, Template};
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;

use super::{out, style};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll new greeter                        in apps/greeter if a folder apps exists, else in greeter
  atoll new shop --template axum --path ../shop

Inside a cargo workspace, the crate becomes a workspace member; elsewhere it becomes a new repository. Its \
atoll-plugin dependency is the one under [workspace.dependencies], else a path to the source that this command was \
built from, if it still exists, else the version of this command. If a step fails, all files are removed again.";

/// The default address of a host.
const BASE: &str = "http://127.0.0.1:3000";

#[derive(Args, Clone, Debug)]
pub(super) struct NewArgs {
    /// The name of the app and its crate.
    name: String,
    /// The template to start from.
    #[arg(long, value_name = "TEMPLATE", default_value = "hello")]
    template: Template,
    /// The folder to create the crate in; it must not exist yet.
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
    /// The apps.json file to add the app to; created if it does not exist.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
}

/// Creates an app and prints the next steps.
pub(super) fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    let NewArgs { name, template, path, config } = args.clone();
    let made = NewApp { name, template, folder: path, registry: config }.make()?;
    for warning in &made.warnings {
        eprintln!("cargo: {warning}");
    }
    out::print_text(&how_to_go_on(args, &made, &env::current_dir()?))?;
    Ok(ExitCode::SUCCESS)
}

fn how_to_go_on(args: &NewArgs, made: &Made, current: &Path) -> String {
    let NewArgs { name, template, config, .. } = args;
    let folder = made.folder.strip_prefix(current).unwrap_or(&made.folder);
    let program = env::args().next().unwrap_or_else(|| "atoll".to_owned());
    let registry = match config.as_os_str() == "apps.json" {
        true => String::new(),
        false => format!(" --config {}", config.display()),
    };
    // Cargo finds the workspace in the current folder and above.
    let test = match current.starts_with(&made.workspace) {
        true => format!("cargo test -p {name}"),
        false => format!("cargo test --manifest-path {}", folder.join("Cargo.toml").display()),
    };
    let commands = [
        ("serve it and rebuild on save:", format!("{program} dev{registry}")),
        ("test it:", test),
        ("send it a request:", format!("curl {}", template.request(BASE, name))),
    ];
    let mut text =
        format!("Created {name} in {} and registered it in {}.\n", folder.display(), config.display());
    for (what, command) in commands {
        text += &format!("\n{what}\n  {}\n", style::paint(style::TITLE, &command));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(config: &str, folder: &str, workspace: &str) -> String {
        let args =
            NewArgs { name: "shop".to_owned(), template: Template::Hello, path: None, config: config.into() };
        let made = Made { folder: folder.into(), workspace: workspace.into(), warnings: Vec::new() };
        let text = how_to_go_on(&args, &made, Path::new("/srv"));
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_commands_are_for_the_current_folder() {
        let text = message("apps.json", "/srv/apps/shop", "/srv");
        assert!(text.starts_with("Created shop in apps/shop and registered it in apps.json.\n"), "{text}");
        for line in
            [" dev\n", "  cargo test -p shop\n", "  curl http://127.0.0.1:3000/apps/shop/greet/reef\n"]
        {
            assert!(text.contains(line), "{line:?} in {text}");
        }
        let text = message("../my.json", "/home/shop", "/home/shop");
        for line in [" dev --config ../my.json\n", "  cargo test --manifest-path /home/shop/Cargo.toml\n"] {
            assert!(text.contains(line), "{line:?} in {text}");
        }
    }
}
