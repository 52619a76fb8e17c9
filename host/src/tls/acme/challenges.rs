//! What a certificate authority asks for to validate a domain, as long as an order waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::error::OrderError;

/// Where a certificate authority asks for the answer to a challenge over HTTP: this, and a token.
const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// The challenges that are open. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Challenges(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    /// The answers over HTTP, by token.
    http: HashMap<String, String>,
    /// The certificates that are answers over TLS, by domain.
    tls: HashMap<String, Arc<CertifiedKey>>,
}

/// A challenge that is answered until this is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Answered {
    challenges: Challenges,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Http(String),
    Tls(String),
}

impl Challenges {
    /// The answer to a request over HTTP at this path, if it is one of a certificate authority.
    pub(crate) fn http_answer(&self, path: &str) -> Option<String> {
        self.open().http.get(path.strip_prefix(HTTP_PATH)?).cloned()
    }

    /// Answers over HTTP.
    pub(super) fn answer_http(&self, token: &str, answer: &str) -> Answered {
        self.open().http.insert(token.to_owned(), answer.to_owned());
        Answered { challenges: self.clone(), key: Key::Http(token.to_owned()) }
    }

    /// Answers over TLS, with the hash of the answer in a certificate (RFC 8737).
    pub(super) fn answer_tls(&self, domain: &str, hash: &[u8]) -> Result<Answered, OrderError> {
        let key = certificate(domain, hash).map_err(OrderError::Challenge)?;
        self.open().tls.insert(domain.to_owned(), Arc::new(key));
        Ok(Answered { challenges: self.clone(), key: Key::Tls(domain.to_owned()) })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        let mut open = self.challenges.open();
        match &self.key {
            Key::Http(token) => drop(open.http.remove(token)),
            Key::Tls(domain) => drop(open.tls.remove(domain)),
        }
    }
}

/// For connections of certificate authorities, and no others.
impl ResolvesServerCert for Challenges {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.open().tls.get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }
}

fn certificate(domain: &str, hash: &[u8]) -> Result<CertifiedKey, String> {
    let text = |error: rcgen::Error| error.to_string();
    let mut params = CertificateParams::new([domain.to_owned()]).map_err(text)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(hash)];
    let key = KeyPair::generate().map_err(text)?;
    let certificate = params.self_signed(&key).map_err(text)?;
    let chain = vec![certificate.into()];
    let key = ring::default_provider().key_provider.load_private_key(key.into());
    // It has an extension that makes it useless for anything else, also for a check of its key.
    key.map(|key| CertifiedKey::new(chain, key)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_answered_as_long_as_an_order_waits() {
        let challenges = Challenges::default();
        let path = "/.well-known/acme-challenge/token";
        let answered = challenges.answer_http("token", "token.thumb");
        assert_eq!(challenges.http_answer(path).as_deref(), Some("token.thumb"));
        for path in ["/token", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/other"] {
            assert_eq!(challenges.http_answer(path), None, "{path}");
        }
        drop(answered);
        assert_eq!(challenges.http_answer(path), None);

        let answered = challenges.answer_tls("a.example", &[7; 32]).unwrap();
        assert!(challenges.open().tls.contains_key("a.example"));
        drop(answered);
        assert!(challenges.open().tls.is_empty());
    }
}
