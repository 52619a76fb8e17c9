//! The files that the fleet of the registry file names.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use atoll_host::config::{Config, FleetSettings};
use atoll_host::internal::fleet::Signers;
use atoll_host::internal::regular_file;

use super::super::units;
use super::finding::Finding;

pub(super) fn check(file: &Path) -> Vec<Finding> {
    // What is wrong with the file was found already.
    let Ok(Some(fleet)) = Config::load(file).map(|config| config.fleet) else { return Vec::new() };
    let check = format!("fleet {}", fleet.name);
    let mut findings: Vec<_> = files(&fleet).iter().filter_map(|file| finding(&check, file)).collect();
    match Signers::load(&fleet.signers) {
        Err(error) => findings.push(Finding::problem_with_remedy(check, error.to_string())),
        Ok(_) if !findings.is_empty() => {}
        Ok(None) => findings.push(Finding::ok(check, "versions need no signature")),
        Ok(Some(_)) => {
            let found = format!("versions signed by {}", units::count(fleet.signers.len(), "signer"));
            findings.push(Finding::ok(check, found));
        }
    }
    findings
}

/// The files that connections use, and whether each is secret.
fn files(fleet: &FleetSettings) -> Vec<(&PathBuf, bool)> {
    let tls = fleet.tls.iter().flat_map(|tls| {
        let pair = tls.certificate.iter().flat_map(|(certificate, key)| [(certificate, false), (key, true)]);
        tls.ca.iter().map(|ca| (ca, false)).chain(pair)
    });
    fleet.credentials.iter().chain(&fleet.nkey).map(|path| (path, true)).chain(tls).collect()
}

fn finding(check: &str, (path, is_secret): &(&PathBuf, bool)) -> Option<Finding> {
    let shown = path.display();
    let mode = match regular_file::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) => {
            return Some(Finding::problem_with_remedy(check, format!("cannot read {shown}: {error}")));
        }
    };
    let is_public = *is_secret && mode & 0o004 != 0;
    is_public.then(|| {
        let found = format!("every user of this machine can read the secret {shown}");
        Finding::warning(check, found, format!("run `chmod o-r {shown}`"))
    })
}
