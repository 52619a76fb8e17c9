//! The names that certificates are for.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use rustls::pki_types::DnsName;

/// A domain name to get a certificate for.
///
/// ```
/// use atoll_host::AcmeDomain;
///
/// let domain: AcmeDomain = "WWW.example.com".parse()?;
/// assert_eq!(domain.to_string(), "www.example.com");
/// # Ok::<_, atoll_host::NoDomain>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeDomain(String);

/// A text is no domain name, or none that ACME validates over TLS or HTTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDomain {
    /// It has a wildcard.
    #[error(
        "a wildcard needs a challenge over DNS, which is not supported: name each domain, or obtain the certificate with \
         another client and use --tls-cert"
    )]
    Wildcard,
    /// It is an address.
    #[error("expected a domain name, found an IP address")]
    Address,
    /// It has letters that DNS does not have.
    #[error(
        "expected a domain name in ASCII: write its other letters in Punycode, as in xn--mller-kva.example"
    )]
    NotAscii,
    /// It is anything else.
    #[error("expected a domain name such as www.example.com, without a scheme, a port and a path")]
    Other,
}

impl FromStr for AcmeDomain {
    type Err = NoDomain;

    fn from_str(text: &str) -> Result<Self, NoDomain> {
        if text.contains('*') {
            return Err(NoDomain::Wildcard);
        }
        if text.parse::<IpAddr>().is_ok() {
            return Err(NoDomain::Address);
        }
        if !text.is_ascii() {
            return Err(NoDomain::NotAscii);
        }
        // Certificates have no dot at the end.
        let is_name = !text.ends_with('.') && DnsName::try_from(text).is_ok();
        if is_name { Ok(Self(text.to_ascii_lowercase())) } else { Err(NoDomain::Other) }
    }
}

impl AcmeDomain {
    /// The name, in lower case.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AcmeDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_validated_are_taken() {
        for (text, expected) in [
            ("Example.COM", Ok("example.com")),
            ("localhost", Ok("localhost")),
            ("xn--mller-kva.example", Ok("xn--mller-kva.example")),
            ("*.example.com", Err(NoDomain::Wildcard)),
            ("192.0.2.1", Err(NoDomain::Address)),
            ("::1", Err(NoDomain::Address)),
            ("müller.example", Err(NoDomain::NotAscii)),
            ("", Err(NoDomain::Other)),
            ("example.com.", Err(NoDomain::Other)),
            ("example.com:443", Err(NoDomain::Other)),
            ("https://example.com", Err(NoDomain::Other)),
            ("../account", Err(NoDomain::Other)),
            ("a b", Err(NoDomain::Other)),
        ] {
            let found = text.parse::<AcmeDomain>().map(|domain| domain.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{text}");
        }
    }
}
