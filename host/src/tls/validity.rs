//! From when to when a certificate is valid.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::sign::CertifiedKey;
use yasna::tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME};
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, BERReaderSeq, Tag};

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) begin: SystemTime,
    pub(super) end: SystemTime,
}

impl Validity {
    /// That of a server's own certificate. `None`: it is damaged.
    pub(super) fn of(key: &CertifiedKey) -> Option<Self> {
        yasna::parse_der(key.cert.first()?, |certificate| {
            certificate.read_sequence(|parts| {
                let validity = parts.next().read_sequence(Self::in_signed_part)?;
                skip_rest(parts)?;
                Ok(validity)
            })
        })
        .ok()
    }

    /// That of what is signed in a certificate: the `TBSCertificate` of RFC 5280.
    fn in_signed_part(parts: &mut BERReaderSeq<'_, '_>) -> ASN1Result<Self> {
        parts.read_optional(|version| version.read_tagged(Tag::context(0), |it| it.read_u8()))?;
        for _serial_number_signature_and_issuer in 0..3 {
            parts.next().read_der()?;
        }
        let validity = parts.next().read_sequence(|times| {
            Ok(Self { begin: read_time(times.next())?, end: read_time(times.next())? })
        })?;
        skip_rest(parts)?;
        Ok(validity)
    }

    /// How long it is valid in all.
    pub(super) fn length(&self) -> Duration {
        self.end.duration_since(self.begin).unwrap_or_default()
    }
}

fn skip_rest(parts: &mut BERReaderSeq<'_, '_>) -> ASN1Result<()> {
    while parts.read_optional(|part| part.read_der())?.is_some() {}
    Ok(())
}

/// A time before 1970 counts as 1970.
fn read_time(reader: BERReader<'_, '_>) -> ASN1Result<SystemTime> {
    let seconds = match reader.lookahead_tag()? {
        TAG_UTCTIME => reader.read_utctime()?.datetime().unix_timestamp(),
        TAG_GENERALIZEDTIME => reader.read_generalized_time()?.datetime().unix_timestamp(),
        _ => return Err(ASN1Error::new(ASN1ErrorKind::Invalid)),
    };
    Ok(UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::ring;
    use rustls::pki_types::CertificateDer;

    use super::*;

    /// A certificate that is valid from one day in a January to the other.
    fn certificate(begin: (i32, u8), end: (i32, u8)) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(begin.0, 1, begin.1);
        params.not_after = date_time_ymd(end.0, 1, end.1);
        params.is_ca = IsCa::ExplicitNoCa;
        let certificate = params.self_signed(&key).unwrap();
        (certificate.der().clone(), key)
    }

    fn validity(begin: (i32, u8), end: (i32, u8)) -> Validity {
        let (certificate, key) = certificate(begin, end);
        let key = CertifiedKey::from_der(vec![certificate], key.into(), &ring::default_provider()).unwrap();
        Validity::of(&key).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_is_valid_from_its_first_second_to_its_last() {
        let found = validity((2026, 1), (2026, 11));
        assert_eq!(found.begin, at(1_767_225_600));
        assert_eq!(found.length(), Duration::from_secs(10 * 24 * 3600));
    }

    #[test]
    fn times_from_2050_on_have_another_format() {
        let found = validity((2049, 1), (2050, 1));
        assert_eq!(found, Validity { begin: at(2_493_072_000), end: at(2_524_608_000) });
    }

    #[test]
    fn a_time_before_1970_counts_as_1970() {
        assert_eq!(validity((1960, 1), (1970, 2)), Validity { begin: at(0), end: at(24 * 3600) });
    }

    #[test]
    fn a_damaged_certificate_has_no_validity() {
        let (certificate, key) = certificate((2026, 1), (2027, 1));
        let key = ring::default_provider().key_provider.load_private_key(key.into()).unwrap();
        for length in 0..certificate.len() {
            let cut = CertificateDer::from(certificate[..length].to_vec());
            assert_eq!(Validity::of(&CertifiedKey::new(vec![cut], key.clone())), None, "{length} bytes");
        }
        assert_eq!(Validity::of(&CertifiedKey::new(Vec::new(), key)), None);
    }
}
