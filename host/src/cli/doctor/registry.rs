//! The registry file, and the libraries of its apps.

use std::path::Path;

use atoll_host::config::{AppConfig, Config};
use atoll_host::internal::check::{Opener, check as check_library};
use atoll_host::internal::environment::check_files;
use atoll_host::internal::{Source, Staging};

use super::super::units;
use super::finding::Finding;

pub(super) fn check(file: &Path) -> Vec<Finding> {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => return vec![Finding::problem_with_remedy("registry", error.to_string())],
    };
    let found = format!("{}, {}", file.display(), units::count(config.apps.len(), "app"));
    let mut findings = vec![Finding::ok("registry", found)];
    findings.extend(config.apps.iter().flat_map(environment));
    // Where there is no folder for them, that has been found already.
    if let Ok(staging) = Staging::new() {
        findings.extend(config.apps.iter().map(|app| library(&staging, app)));
    }
    findings
}

/// The files of its environment; nothing if it has none.
fn environment(app: &AppConfig) -> Vec<Finding> {
    let check = format!("environment of {}", app.name);
    let files = check_files(&app.settings);
    let errors =
        files.errors.iter().map(|error| Finding::problem_with_remedy(check.clone(), error.to_string()));
    let public = files.public_secrets.iter().map(|path| {
        let path = path.display();
        let found = format!("every user of this machine can read the secret {path}");
        Finding::warning(check.clone(), found, format!("run `chmod o-r {path}`"))
    });
    let mut findings: Vec<_> = errors.chain(public).collect();
    if findings.is_empty() && files.count > 0 {
        findings.push(Finding::ok(check, units::count(files.count, "file")));
    }
    findings
}

fn library(staging: &Staging, app: &AppConfig) -> Finding {
    let check = format!("library of {}", app.name);
    let source = Source::locate(app, &app.name);
    match check_library(
        staging,
        &source,
        &app.name,
        app.settings.library_limit,
        Some(&Opener::this_program()),
    ) {
        Ok(checked) => {
            let found =
                format!("{} {}, {}", checked.stamp.name, checked.stamp.version, checked.path.display());
            match checked.stays {
                None => Finding::ok(check, found),
                Some(reason) => Finding::warning(
                    check,
                    format!("{found}: it stays in memory after a reload: {reason}"),
                    "each reload uses more memory until the host is restarted",
                ),
            }
        }
        Err(error) => Finding::problem_with_remedy(check, format!("{}: {error}", app.path.display())),
    }
}
