//! What a host shows a NATS server, to be accepted.

use std::io;
use std::path::Path;

use nkeys::{KeyPair, KeyPairType};

use super::connection::user_and_password;
use super::error::FleetError;
use crate::config::FleetSettings;
use crate::fs::regular_file::{SMALL_FILE_LIMIT, read_to_string};

/// That no server accepts this host, and what it has used.
pub(super) fn not_accepted(settings: &FleetSettings) -> String {
    let used = match (&settings.credentials, &settings.nkey) {
        (Some(path), _) => format!("the credentials in {}", path.display()),
        (None, Some(path)) => format!("the NKey in {}", path.display()),
        (None, None) if settings.nats.iter().any(|url| user_and_password(url).is_some()) => {
            "the user and the password in `nats` of `fleet`".to_owned()
        }
        (None, None) => "connections without `credentials` or `nkey` of `fleet`".to_owned(),
    };
    format!("authorization violation: no server accepts {used}")
}

/// The seed of an NKey in a file, which may have comments, as `nsc` writes them.
pub(super) fn nkey(path: &Path) -> Result<String, FleetError> {
    let failed = |reason| FleetError::Credentials { path: path.to_owned(), reason };
    let text = read_to_string(path, SMALL_FILE_LIMIT).map_err(failed)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let seed = lines.next().unwrap_or_default();
    let is_user = KeyPair::from_seed(seed).is_ok_and(|pair| pair.key_pair_type() == KeyPairType::User);
    if !is_user {
        let expected = "expected the seed of a user, which starts with SU, as `nk -gen user` writes it";
        return Err(failed(io::Error::new(io::ErrorKind::InvalidData, expected)));
    }
    Ok(seed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_of_a_user_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("host.nk");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            nkey(&file).map_err(|error| error.to_string())
        };
        let seed = KeyPair::new_user().seed().unwrap();
        assert_eq!(read(&format!("# of the host\n\n  {seed} \n")), Ok(seed.clone()));
        let account = KeyPair::new_account().seed().unwrap();
        for wrong in ["", "SUX", &seed[1..], &account] {
            let error = read(wrong).unwrap_err();
            assert!(error.contains("host.nk: expected the seed of a user"), "{error}");
        }
    }
}
