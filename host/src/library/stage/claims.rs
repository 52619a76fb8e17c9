//! Which crate the library of each app is built from: two crates that build the same file overwrite each other's.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The libraries of apps whose paths name crates.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<HashMap<String, Claim>>);

#[derive(Debug, PartialEq, Eq)]
struct Claim {
    library: PathBuf,
    folder: PathBuf,
}

impl Claims {
    fn claims(&self) -> MutexGuard<'_, HashMap<String, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that `library` is built for `app` from the crate in `folder`.
    ///
    /// # Errors
    /// Another app has it from another crate: its name and that crate's folder.
    pub(super) fn claim(&self, app: &str, library: &Path, folder: &Path) -> Result<(), (String, PathBuf)> {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let claim = Claim { library: real(library), folder: real(folder) };
        let mut claims = self.claims();
        let other = claims.iter().find(|(name, other)| {
            *name != app && other.library == claim.library && other.folder != claim.folder
        });
        if let Some((name, other)) = other {
            return Err((name.clone(), other.folder.clone()));
        }
        claims.insert(app.to_owned(), claim);
        Ok(())
    }

    /// Forgets an app that is gone.
    pub(super) fn release(&self, app: &str) {
        self.claims().remove(app);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_of_one_crate() {
        let claims = Claims::default();
        let claim = |app, library, folder| claims.claim(app, Path::new(library), Path::new(folder));
        claim("a", "/x/libsame.so", "/x/a").unwrap();
        claim("twin", "/x/libsame.so", "/x/a").unwrap();
        claim("b", "/x/libother.so", "/x/b").unwrap();
        assert_eq!(claim("b", "/x/libsame.so", "/x/b").unwrap_err().1, Path::new("/x/a"));
        claims.release("a");
        claims.release("twin");
        claim("b", "/x/libsame.so", "/x/b").unwrap();
    }
}
