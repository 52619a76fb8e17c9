//! One standalone app, in development: `cargo run` in its crate serves it, and rebuilt libraries are reloaded.
//!
//! An app's crate gets this by a `main.rs` with the line
//!
//! ```no_run
//! atoll_host::standalone!();
//! ```
//!
//! and, so that a library that is built for a host needs nothing of it, by a feature in its `Cargo.toml`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [[bin]]
//! name = "hello"
//! required-features = ["standalone"]
//!
//! [features]
//! default = ["standalone"]
//! standalone = ["dep:atoll-host"]
//!
//! [dependencies]
//! atoll-host = { version = "0.1", features = ["standalone"], optional = true }
//! atoll-plugin = "0.1"
//! ```
//!
//! `cargo run` builds the library as well as the program, and puts them into the same folder, where the program looks
//! for it. From then on `cargo build --lib` is what reloads the app: by hand, or `cargo watch -x 'build --lib'`.
//!
//! The app's path is `/`, as there are no others; all else is as in a host: the same port, workers, start, hand-over of
//! state, restart after a crash. The settings are the built-in ones; with `--config apps.json` they are those that the app
//! has there. What differs is how the library comes into the process: by the `LibReloader` of the
//! crate `hot-lib-reloader`. It has one library loaded at a time. So:
//!
//! - Between two generations nothing serves. Requests that come in this time wait, and none fails. Those that are in
//!   flight have ten seconds to finish.
//! - Where the new library passes the checks and then does not start, the old one is gone already. Requests are answered
//!   with 503 until the next build. (A library that does not pass the checks changes nothing, as in a host.)

mod hot_reload;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{CommandFactory, FromArgMatches, Parser};

use self::hot_reload::HotReload;
use crate::config::{AppConfig, Config, Origins, Settings};
use crate::observe::logging::{self, Format};
use crate::registry::Registrar;
use crate::server::http_server::Server;
use crate::server::open_files;
use crate::server::signals::stop_signals;

/// Without what the server and `LibReloader` say of themselves.
const LOG_FILTER: &str = "info,actix_server=warn,hot_lib_reloader=warn";

/// Serves this app alone, at the root path, and reloads its library when it is rebuilt.
#[derive(Debug, Parser)]
#[command(after_help = "RUST_LOG sets the log level, as in RUST_LOG=debug.")]
struct Options {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3001")]
    listen: SocketAddr,
    /// A registry that has this app: its settings there are taken, rather than the built-in ones.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Makes the program of an app's crate a server of that app alone: the only line that its `main.rs` needs.
///
/// ```no_run
/// atoll_host::standalone!();
/// ```
///
/// A library that is not called like its package, because the `Cargo.toml` gives it a `name` under `[lib]`, is named:
///
/// ```no_run
/// atoll_host::standalone!("my_library");
/// ```
#[macro_export]
macro_rules! standalone {
    () => {
        $crate::standalone!(env!("CARGO_PKG_NAME"));
    };
    ($library:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::standalone::main(env!("CARGO_PKG_NAME"), $library)
        }
    };
}

/// What [`standalone!`](crate::standalone!) calls: serves the app until SIGINT or SIGTERM. Its library is the one that
/// cargo makes of a crate called `library`, beside the program that runs.
pub fn main(app: &'static str, library: &str) -> ExitCode {
    let matches = Options::command().name(app).get_matches();
    let result = Options::from_arg_matches(&matches)
        .map_err(anyhow::Error::from)
        .and_then(|options| serve(app, &library.replace('-', "_"), &options));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{app}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(app: &str, library: &str, options: &Options) -> anyhow::Result<()> {
    logging::init_with(LOG_FILTER, Format::Text);
    open_files::allow_many_files();
    let folder = program_folder()?;
    let config = AppConfig {
        id: None,
        name: app.to_owned(),
        path: folder.join(format!("lib{library}.so")),
        routes: Vec::new(),
        settings: settings(app, options.config.as_deref())?,
        origins: Origins::default(),
    };
    actix_web::rt::System::new().block_on(async {
        let library = library.to_owned();
        let loader = move |staged| HotReload::new(staged, library);
        let registrar = Registrar::builder().with_details(true).with_loader(loader).build()?;
        registrar.apply(&Config { apps: vec![config], ..Config::default() });
        let alone = registrar.registry().get(app).context("the app was not registered")?;
        let server = Server::bind(alone, options.listen).map_err(|error| {
            anyhow!("cannot listen on {}: {error}; choose another address with --listen", options.listen)
        })?;
        let stops = stop_signals()?;
        let url = server.base_url();
        println!("Serving {app} at {url}/ (in a host, at /apps/{app}/)");
        println!("run `cargo build --package {app} --lib` to reload it");
        server.run(stops).await?;
        registrar.close().await;
        Ok(())
    })
}

/// The app's settings in a registry, or else the built-in ones; but it starts at once, so that what is wrong is said at
/// once; a handler that hangs does not hold up the next build for long; and there is nobody who could roll back.
fn settings(app: &str, registry: Option<&Path>) -> anyhow::Result<Settings> {
    let settings = match registry {
        Some(file) => {
            let found = Config::load(file)?.apps.into_iter().find(|found| found.name == app);
            found.with_context(|| format!("unknown app `{app}` in {}", file.display()))?.settings
        }
        // As for any program that is started here.
        None => Settings { inherit: vec!["*".to_owned()], ..Settings::default() },
    };
    let dir = settings.dir.clone().or_else(|| std::env::current_dir().ok());
    Ok(Settings { dir, preload: true, drain_timeout_ms: 10_000, stop_timeout_ms: 1_000, keep: 0, ..settings })
}

fn program_folder() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("cannot determine the path of this program")?;
    program.parent().map(PathBuf::from).context("this program is in no folder")
}
