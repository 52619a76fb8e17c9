//! Files in PEM format.

use std::path::Path;

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::fs::regular_file::{self, SMALL_FILE_LIMIT};

/// All certificates of a file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() { Err(Error::NoItemsFound) } else { Ok(certificates) }
}

/// The first private key of a file.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    regular_file::read(path, SMALL_FILE_LIMIT).map_err(Error::Io)
}
