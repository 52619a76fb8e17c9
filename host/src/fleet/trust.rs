//! Signatures of versions, so that what runs on a host is decided by the signers that it knows, and not by anyone who can write to
//! NATS.
//!
//! What is signed is [`PURPOSE`], followed by the JSON of a [`Statement`] without spaces, in which the fields of the entry have the
//! order of their names. A host makes these bytes again from the record of the app.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::Serialize;

use super::key_file::{KeyFileError, read};
use super::record::{Release, ReleaseSignature};
use crate::config::sorted;

/// What tells a signature of a version from one of anything else.
const PURPOSE: &[u8] = b"atoll fleet release 1\n";

const PUBLIC_KEY: &str = "an ed25519 public key in PEM, as `openssl pkey -pubout` writes it";
const PRIVATE_KEY: &str =
    "an ed25519 private key in PEM without a passphrase, as `openssl genpkey -algorithm ed25519` writes it";

/// What a signer vouches for: this app of this fleet may have this release.
#[derive(Serialize)]
struct Statement<'a> {
    fleet: &'a str,
    app: &'a str,
    release: &'a Release,
}

/// Why a host does not serve a version whose signature it checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It has no signature.
    #[error(
        "the version {0} is not signed, and this host serves signed versions only (`signers` of `fleet`); deploy it again with \
         --signing-key"
    )]
    Unsigned(String),
    /// The host does not know who has signed it.
    #[error(
        "the version {version} is signed with the key {signer}, which is none of the `signers` of `fleet` on this host"
    )]
    UnknownSigner {
        /// Its id.
        version: String,
        /// The public key, in hexadecimal.
        signer: String,
    },
    /// The signature is of something else.
    #[error(
        "the signature of the version {0} does not match: it was made for another version, app or fleet, or the record in NATS was \
         changed since; deploy it again with --signing-key"
    )]
    Mismatch(String),
}

/// Settings that cannot be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot sign the version: a number in its settings has more digits than are kept in JSON; shorten it"
)]
pub struct Unsignable;

/// Those whose versions a host serves.
#[derive(Clone, Debug)]
pub struct Signers(Vec<KnownSigner>);

/// One of them.
#[derive(Clone, Debug)]
struct KnownSigner {
    /// The name of the file with the key.
    name: String,
    key: VerifyingKey,
}

impl Signers {
    /// Reads their public keys; `None`: there are no files, so that versions need no signature.
    ///
    /// # Errors
    /// A file cannot be read, or has no key.
    pub fn load(files: &[PathBuf]) -> Result<Option<Self>, KeyFileError> {
        let keys = files.iter().map(|path| {
            let key = read(path, PUBLIC_KEY, |text| VerifyingKey::from_public_key_pem(text).ok())?;
            // Anything matches some signature of it.
            if key.is_weak() {
                return Err(KeyFileError::expected(path, PUBLIC_KEY));
            }
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            Ok(KnownSigner { name, key })
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Self(keys)).filter(|signers| !signers.0.is_empty()))
    }

    /// Whether this is the key of one of them.
    pub fn have(&self, key: &ReleaseKey) -> bool {
        self.0.iter().any(|signer| signer.key == key.0.verifying_key())
    }

    /// Checks that one of them has signed this release of an app, for this fleet; the name of the file with the key of that one.
    ///
    /// # Errors
    /// None has.
    pub fn check(&self, fleet: &str, app: &str, release: &Release) -> Result<&str, Untrusted> {
        let version = || release.version.clone();
        let signature = release.signature.as_ref().ok_or_else(|| Untrusted::Unsigned(version()))?;
        let known = self.0.iter().find(|signer| HEXLOWER.encode(signer.key.as_bytes()) == signature.signer);
        let signer = known.ok_or_else(|| Untrusted::UnknownSigner {
            version: version(),
            signer: signature.signer.clone(),
        })?;
        let mismatch = || Untrusted::Mismatch(version());
        let value = HEXLOWER.decode(signature.value.as_bytes()).map_err(|_| mismatch())?;
        let value = Signature::from_slice(&value).map_err(|_| mismatch())?;
        let statement = statement(fleet, app, release).map_err(|_| mismatch())?;
        signer.key.verify_strict(&statement, &value).map_err(|_| mismatch())?;
        Ok(&signer.name)
    }
}

/// The key of someone who signs versions.
pub struct ReleaseKey(SigningKey);

impl std::fmt::Debug for ReleaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReleaseKey").finish_non_exhaustive()
    }
}

impl ReleaseKey {
    /// Reads the private key in a file.
    ///
    /// # Errors
    /// The file cannot be read, or has no key.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        read(path, PRIVATE_KEY, |text| SigningKey::from_pkcs8_pem(text).ok()).map(Self)
    }

    /// Signs a release of an app, for this fleet.
    ///
    /// # Errors
    /// The hosts would read other settings than were signed.
    pub fn sign(&self, fleet: &str, app: &str, release: &mut Release) -> Result<(), Unsignable> {
        let signed = statement(fleet, app, release).map_err(|_| Unsignable)?;
        let as_read = serde_json::to_vec(release).and_then(|text| serde_json::from_slice::<Release>(&text));
        let as_read = as_read.and_then(|release| statement(fleet, app, &release)).map_err(|_| Unsignable)?;
        if as_read != signed {
            return Err(Unsignable);
        }
        release.signature = Some(ReleaseSignature {
            signer: HEXLOWER.encode(self.0.verifying_key().as_bytes()),
            value: HEXLOWER.encode(&self.0.sign(&signed).to_bytes()),
        });
        Ok(())
    }
}

/// The bytes that are signed.
fn statement(fleet: &str, app: &str, release: &Release) -> serde_json::Result<Vec<u8>> {
    let release = Release { entry: sorted(release.entry.clone()), signature: None, ..release.clone() };
    let mut bytes = PURPOSE.to_vec();
    serde_json::to_writer(&mut bytes, &Statement { fleet, app, release: &release })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
    use serde_json::json;

    use super::*;
    use crate::config::Entry;
    use crate::deploy::SharedLibrary;
    use crate::fleet::record::tests::release;

    /// A folder with the files of a key pair, made from a seed.
    fn keys(seed: u8) -> (tempfile::TempDir, ReleaseKey, Signers) {
        let folder = tempfile::tempdir().unwrap();
        let [private, public] = ["key.pem", "public.pem"].map(|name| folder.path().join(name));
        let key = SigningKey::from_bytes(&[seed; 32]);
        fs::write(&private, key.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap();
        fs::write(&public, key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
        let signers = Signers::load(std::slice::from_ref(&public)).unwrap().unwrap();
        (folder, ReleaseKey::load(&private).unwrap(), signers)
    }

    fn entry(value: serde_json::Value) -> Entry {
        value.as_object().unwrap().clone()
    }

    fn whole_release() -> Release {
        let shared = SharedLibrary { name: "libx.so".into(), hash: "b".repeat(64) };
        Release {
            library: "a".repeat(64),
            libraries: vec![shared],
            entry: entry(json!({ "workers": 2, "env": { "A": "1" } })),
            note: Some("faster".into()),
            ..release("1")
        }
    }

    #[test]
    fn all_of_a_release_is_signed() {
        let (_folder, key, signers) = keys(1);
        let mut signed = whole_release();
        key.sign("prod", "shop", &mut signed).unwrap();
        assert_eq!(signers.check("prod", "shop", &signed), Ok("public.pem"));
        let read: Release = serde_json::from_slice(&serde_json::to_vec(&signed).unwrap()).unwrap();
        assert_eq!(signers.check("prod", "shop", &read), Ok("public.pem"), "as a host reads it");

        let mismatch = Err(Untrusted::Mismatch(signed.version.clone()));
        assert_eq!(signers.check("test", "shop", &signed), mismatch, "another fleet");
        assert_eq!(signers.check("prod", "cart", &signed), mismatch, "another app");
        let changes: [fn(&mut Release); 7] = [
            |release| release.library = "c".repeat(64),
            |release| release.libraries[0].hash = "c".repeat(64),
            |release| release.libraries[0].name = "liby.so".into(),
            |release| drop(release.entry.insert("workers".into(), json!(3))),
            |release| release.note = None,
            |release| release.by = "bob".into(),
            |release| release.at_ms += 1,
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut changed = signed.clone();
            change(&mut changed);
            assert_eq!(signers.check("prod", "shop", &changed), mismatch, "change {n}");
        }
        let other = Release { version: "2".into(), ..signed.clone() };
        assert_eq!(signers.check("prod", "shop", &other), Err(Untrusted::Mismatch("2".into())));
        for value in ["", "zz", &"0".repeat(128)] {
            let mut changed = signed.clone();
            changed.signature.as_mut().unwrap().value = value.to_owned();
            assert_eq!(signers.check("prod", "shop", &changed), mismatch, "{value}");
        }
    }

    #[test]
    fn only_those_who_are_known_can_sign() {
        let ((_one, key, _), (_other, _, signers)) = (keys(1), keys(2));
        let mut signed = whole_release();
        assert_eq!(signers.check("prod", "shop", &signed), Err(Untrusted::Unsigned("1".into())));
        key.sign("prod", "shop", &mut signed).unwrap();
        let unknown = signers.check("prod", "shop", &signed).unwrap_err();
        assert!(
            matches!(&unknown, Untrusted::UnknownSigner { signer, .. } if signer.len() == 64),
            "{unknown}"
        );
        // The name of a signer is not enough.
        let known = HEXLOWER.encode(signers.0[0].key.as_bytes());
        signed.signature.as_mut().unwrap().signer = known;
        assert_eq!(signers.check("prod", "shop", &signed), Err(Untrusted::Mismatch("1".into())));
        assert!(!signers.have(&key));
    }

    #[test]
    fn the_signed_bytes_are_the_same_in_each_version() {
        let mut release = whole_release();
        release.entry = [("workers", json!(2)), ("env", json!({ "B": "2", "A": "1" }))]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect();
        let text = String::from_utf8(statement("prod", "shop", &release).unwrap()).unwrap();
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let expected = format!(
            "atoll fleet release 1\n{{\"fleet\":\"prod\",\"app\":\"shop\",\"release\":{{\"version\":\"1\",\"library\":\"{a}\",\
             \"libraries\":[{{\"name\":\"libx.so\",\"hash\":\"{b}\"}}],\"entry\":{{\"env\":{{\"A\":\"1\",\"B\":\"2\"}},\"workers\":2}},\
             \"note\":\"faster\",\"by\":\"ann\",\"at_ms\":1}}}}"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn keys_that_openssl_has_written_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let [private, public] = ["ann.key", "ann.pem"].map(|name| folder.path().join(name));
        let [private_text, public_text] = [
            ("PRIVATE", "MC4CAQAwBQYDK2VwBCIEIEJNrT9XYIetHvEcShdOHgFVi+8JKvlXrXtsxEQi7eEe"),
            ("PUBLIC", "MCowBQYDK2VwAyEAEYEvxtU+MW8m8+4xEu490qRxY2lIvY7zMwact+h/Qrc="),
        ]
        .map(|(kind, key)| format!("-----BEGIN {kind} KEY-----\n{key}\n-----END {kind} KEY-----\n"));
        fs::write(&private, private_text).unwrap();
        fs::write(&public, public_text).unwrap();
        assert!(Signers::load(&[public]).unwrap().unwrap().have(&ReleaseKey::load(&private).unwrap()));
    }

    #[test]
    fn a_file_without_a_key_is_named() {
        let (folder, _, _) = keys(1);
        let file = |name: &str| folder.path().join(name);
        fs::write(file("text.pem"), "no key").unwrap();
        let load = |name: &str| Signers::load(&[file(name)]).unwrap_err().to_string();
        assert!(load("none.pem").contains("none.pem") && load("none.pem").contains("No such file"));
        assert!(load("key.pem").contains("expected an ed25519 public key"), "{}", load("key.pem"));
        assert!(load("text.pem").contains("expected an ed25519 public key"));
        let private = ReleaseKey::load(&file("public.pem")).unwrap_err().to_string();
        assert!(private.contains("public.pem: expected an ed25519 private key"), "{private}");
        assert!(Signers::load(&[]).unwrap().is_none());
    }
}
