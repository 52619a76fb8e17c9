//! Which certificate authority issues certificates.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use instant_acme::LetsEncrypt;

/// The directory of a certificate authority: the URL that its ACME service begins with.
///
/// ```
/// use atoll_host::AcmeDirectory;
///
/// let directory: AcmeDirectory = "staging".parse()?;
/// assert!(directory.to_string().contains("letsencrypt.org"));
/// let directory: AcmeDirectory = "https://ca.example.com/acme/acme/directory".parse()?;
/// # Ok::<_, atoll_host::NoDirectory>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeDirectory(Uri);

/// A text is no URL of a directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `production` or `staging` (of Let's Encrypt), or the https URL of a directory, such as \
     https://ca.example.com/acme/acme/directory"
)]
pub struct NoDirectory;

impl FromStr for AcmeDirectory {
    type Err = NoDirectory;

    fn from_str(text: &str) -> Result<Self, NoDirectory> {
        let url = match text {
            "production" => LetsEncrypt::Production.url(),
            "staging" => LetsEncrypt::Staging.url(),
            url => url,
        };
        let uri = url.parse::<Uri>().ok().filter(|uri| uri.scheme_str() == Some("https"));
        uri.filter(|uri| uri.host().is_some_and(|host| !host.is_empty())).map(Self).ok_or(NoDirectory)
    }
}

/// Let's Encrypt, in production.
impl Default for AcmeDirectory {
    fn default() -> Self {
        Self(Uri::from_static(LetsEncrypt::Production.url()))
    }
}

impl fmt::Display for AcmeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AcmeDirectory {
    /// The name of a folder for what belongs to it.
    pub(super) fn folder_name(&self) -> String {
        let hash = blake3::hash(self.to_string().as_bytes()).to_hex();
        // The host is for people who look into the folder.
        let host = self.0.host().unwrap_or_default().trim_matches(['[', ']']).replace(':', "-");
        format!("{host}-{}", &hash[..8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> String {
        text.parse::<AcmeDirectory>().unwrap().folder_name()
    }

    #[test]
    fn a_directory_is_an_https_url_or_one_of_lets_encrypt() {
        assert_eq!("production".parse(), Ok(AcmeDirectory::default()));
        for text in ["", "letsencrypt", "http://ca.example", "https:///acme", "/acme", "ca.example/acme"] {
            assert_eq!(text.parse::<AcmeDirectory>(), Err(NoDirectory), "{text}");
        }
    }

    #[test]
    fn each_directory_has_its_own_folder() {
        assert!(folder("https://ca.example:9000/a").starts_with("ca.example-"));
        assert!(folder("https://[::1]:9000/a").starts_with("--1-"));
        assert_ne!(folder("https://ca.example/a"), folder("https://ca.example/b"));
        assert_ne!(folder("https://ca.example/a"), folder("https://ca.example:9000/a"));
    }
}
