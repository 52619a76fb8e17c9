//! From when to when a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) begin: SystemTime,
    pub(super) end: SystemTime,
}

impl Validity {
    /// That of a server's own certificate. `None`: it is damaged.
    pub(super) fn of(key: &CertifiedKey) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(key.cert.first()?).ok()?;
        let validity = certificate.validity();
        Some(Self { begin: time(validity.not_before), end: time(validity.not_after) })
    }

    /// How long it is valid in all.
    pub(super) fn length(&self) -> Duration {
        self.end.duration_since(self.begin).unwrap_or_default()
    }
}

/// A time before 1970 counts as 1970.
fn time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.timestamp().max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn a_certificate_is_valid_from_its_first_second_to_its_last() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 1, 11));
        let certificate = params.self_signed(&key).unwrap();
        let chain = vec![certificate.der().clone()];
        let key = CertifiedKey::from_der(chain, key.into(), &ring::default_provider()).unwrap();
        let validity = Validity::of(&key).unwrap();
        assert_eq!(validity.begin, UNIX_EPOCH + Duration::from_secs(1_767_225_600));
        assert_eq!(validity.length(), Duration::from_secs(10 * 24 * 3600));
    }
}
