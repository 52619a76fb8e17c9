//! `atoll push`.

mod upload;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use atoll_host::config::Config;
use atoll_host::internal::admin::{AdminClient, AdminError, NewAppVersion, PushedVersion, VersionState};
use atoll_host::internal::build::Symbols;
use atoll_host::internal::escape;
use atoll_host::logging;
use clap::Args;
use log::LevelFilter;
use serde_json::json;

use self::upload::Upload;
use super::app_files::AppFiles;
use super::arguments::{Form, Format};
use super::{built, out, rollout, servers, units};

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll push --to prod                                          all apps in ./apps.json
  atoll push hello --to https://apps.example.com:3001 -m '#42'  one app, with a note
  atoll push hello --to prod --no-promote                       upload and check it, but do not serve it yet

Each app is built and checked as with `atoll build`. Only files that the host does not have are uploaded, and an upload that was \
interrupted continues where it was. The host checks the library again, puts it into the folder of its apps.json with the \
settings of the app in yours, and answers when it serves. If it does not start, the host keeps the version before.

The token is in the environment variable ATOLL_TOKEN, or in the `token-file` of the server in ~/.config/atoll/config.toml:

  [servers.prod]
  url = \"https://apps.example.com:3001\"
  token-file = \"prod.token\"

With the setting `rollout`, the host gives the version its clients step by step, and compares it with the current one. The command \
waits until it is the current one, or aborted.

Exit codes:
  0  the host serves all of the apps
  1  a build, a check, an upload or a start failed; the reason is on standard error
  2  the arguments are wrong
  4  a rollout was aborted";

#[derive(Args, Clone, Debug)]
pub(super) struct PushArgs {
    /// The apps to push [default: all].
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// The host: the URL of its admin API, or a name of [servers.NAME] in ~/.config/atoll/config.toml.
    #[arg(long, value_name = "SERVER")]
    to: String,
    /// A note for the list of versions.
    #[arg(short = 'm', long = "note", value_name = "NOTE")]
    note: Option<String>,
    /// Upload and check the versions, but do not serve them: `atoll promote` does.
    #[arg(long)]
    no_promote: bool,
    /// Promote a version although its rollout was aborted.
    #[arg(long, conflicts_with = "no_promote")]
    again: bool,
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
    /// The symbols to keep for panic backtraces.
    #[arg(long, value_name = "SYMBOLS", default_value = "names")]
    symbols: Symbols,
    #[command(flatten)]
    form: Form,
}

/// Builds apps, and has a host on another machine serve them.
pub(super) fn run(args: &PushArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    let (config, text) = built::load(&args.config, &args.apps)?;
    let wanted = built::wanted(&config, &args.apps);
    if wanted.is_empty() {
        bail!("{} has no apps to push", args.config.display());
    }
    let server = servers::find(&args.to)?;
    let mut host = AdminClient::connect_to(&server)?;
    // What is not allowed is found out before the apps are built.
    for app in &wanted {
        host.file(&app.name, NO_HASH)?;
    }
    drop(host);

    let unchanged = "the host is unchanged";
    let Some(ready) = built::ready(&wanted, args.symbols, unchanged)? else { return Ok(ExitCode::FAILURE) };
    let mut pushed = Vec::new();
    let mut code = ExitCode::SUCCESS;
    let mut upload = Upload::to(server)?;
    for (app, files) in &ready.apps {
        let new = NewAppVersion {
            library: files.library.hash.clone(),
            libraries: files.shared(),
            entry: Config::complete_entry(&text, app).unwrap_or_default(),
            note: args.note.clone(),
            promote: !args.no_promote,
            again: args.again,
        };
        match push(&mut upload, app, files, &new) {
            Ok(done) => pushed.push(done),
            Err(refused @ AdminError::Refused(_)) => {
                eprintln!("atoll: {app} was refused by {}: {}", args.to, escape::lines(&refused.to_string()));
                code = ExitCode::FAILURE;
            }
            Err(error) => return Err(error.into()),
        }
    }
    report(args, &pushed)?;
    for Pushed { app, done, .. } in pushed {
        if let Some(begun) = done.rollout {
            let ended = rollout::follow(upload.host(), &app, begun)?;
            code = if ended == ExitCode::SUCCESS { code } else { ended };
        }
    }
    Ok(code)
}

/// A hash that no file has.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An app that was pushed.
struct Pushed {
    app: String,
    done: PushedVersion,
    uploaded: u64,
}

fn push(upload: &mut Upload, app: &str, files: &AppFiles, new: &NewAppVersion) -> Result<Pushed, AdminError> {
    let uploaded = upload.files(app, files)?;
    let done = upload.version(app, new)?;
    Ok(Pushed { app: app.to_owned(), done, uploaded })
}

fn report(args: &PushArgs, pushed: &[Pushed]) -> anyhow::Result<()> {
    if args.form.format == Format::Json {
        let apps: Vec<_> = pushed
            .iter()
            .map(|pushed| {
                json!({
                    "name": pushed.app,
                    "version": pushed.done.version,
                    "generation": pushed.done.generation,
                    "rollout": pushed.done.rollout,
                    "uploaded_bytes": pushed.uploaded,
                })
            })
            .collect();
        return out::print_json(&json!({ "apps": apps }));
    }
    for Pushed { app, done, uploaded } in pushed {
        let uploaded = match uploaded {
            0 => "nothing to upload".to_owned(),
            bytes => format!("{} uploaded", units::bytes(*bytes)),
        };
        let version = &done.version;
        let state = match done.generation {
            Some(number) => format!("{app}#{number} is serving"),
            None if done.rollout.is_some() => "its rollout begins".to_owned(),
            None if version.state == VersionState::Current => format!("{app} stands by"),
            None => format!("not promoted; to serve it: atoll promote {app} {} --to {}", version.id, args.to),
        };
        out::print(format!("{app}: version {}, {uploaded}: {state}\n", version.id))?;
    }
    Ok(())
}
