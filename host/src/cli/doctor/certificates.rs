//! The certificates of the running host's server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use atoll_host::internal::{CertificateEntry, CertificateSource};

use super::super::units;
use super::finding::Finding;

/// Certificates from files are warned about when they expire this soon. Those by ACME have been renewed before.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is to be said of these certificates.
pub(super) fn check(certificates: &[CertificateEntry]) -> Vec<Finding> {
    certificates.iter().map(|certificate| finding(certificate, SystemTime::now())).collect()
}

fn finding(certificate: &CertificateEntry, now: SystemTime) -> Finding {
    let check = format!("certificate {}", certificate.name);
    let failed = certificate.error.as_deref();
    let remedy = match certificate.source {
        CertificateSource::File => "install a new certificate: the host loads it when the file changes",
        CertificateSource::Acme => {
            "the host tries again: see its log; the domain must lead to it on port 443, or on port 80 with --redirect-http"
        }
    };
    let Some(expires_ms) = certificate.expires_ms else {
        return match (certificate.source, failed) {
            (CertificateSource::File, _) => Finding::ok(check, "in use"),
            (_, Some(error)) => Finding::problem(check, format!("no certificate yet: {error}"), remedy),
            (_, None) => Finding::warning(check, "no certificate yet", "it is ordered: see the host's log"),
        };
    };
    let left = (UNIX_EPOCH + Duration::from_millis(expires_ms)).duration_since(now).ok();
    let until = units::time(expires_ms);
    match (left, failed) {
        (None, _) => Finding::problem(check, format!("it has expired: it was valid until {until}"), remedy),
        (Some(_), Some(error)) => {
            Finding::warning(check, format!("valid until {until}, and cannot be renewed: {error}"), remedy)
        }
        (Some(left), None) if left < SOON && certificate.source == CertificateSource::File => {
            Finding::warning(check, format!("valid until {until}"), remedy)
        }
        (Some(_), None) => Finding::ok(check, format!("valid until {until}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn each_state_has_its_level() {
        use CertificateSource::{Acme, File};
        const DAY: u64 = 24 * 3600 * 1000;
        let now = UNIX_EPOCH + Duration::from_millis(100 * DAY);
        for (source, expires, error, level, found) in [
            (File, None, None, Level::Ok, "in use"),
            (File, Some(108), None, Level::Ok, "valid until 1970-04-19T"),
            (File, Some(106), None, Level::Warning, "valid until 1970-04-17T"),
            (File, Some(99), None, Level::Problem, "it has expired"),
            (Acme, None, None, Level::Warning, "no certificate yet"),
            (Acme, None, Some("no"), Level::Problem, "no certificate yet: no"),
            (Acme, Some(106), None, Level::Ok, "valid until"),
            (Acme, Some(130), Some("no"), Level::Warning, "and cannot be renewed: no"),
            (Acme, Some(99), Some("no"), Level::Problem, "it has expired"),
        ] {
            let entry = CertificateEntry {
                source,
                name: "a".to_owned(),
                expires_ms: expires.map(|days| days * DAY),
                error: error.map(str::to_owned),
                ordered: 0,
                failed: 0,
            };
            let finding = finding(&entry, now);
            assert_eq!((finding.level, &*finding.check), (level, "certificate a"), "{finding:?}");
            assert!(finding.found.contains(found), "{finding:?}");
            assert_eq!(finding.remedy.is_none(), level == Level::Ok, "{finding:?}");
        }
    }
}
