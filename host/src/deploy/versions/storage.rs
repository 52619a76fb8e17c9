//! How much the host keeps of apps.

use std::fs;
use std::io;

use super::error::VersionError;
use super::store::Versions;
use crate::config::Quota;

impl Versions {
    /// How many bytes the host keeps of the apps of a quota: versions, and files on their way.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub(crate) fn stored(&self, quota: &Quota) -> Result<u64, VersionError> {
        let apps = self.apps()?;
        apps.iter().filter(|app| quota.is_for(app)).map(|app| self.stored_of(app)).sum()
    }

    fn stored_of(&self, app: &str) -> Result<u64, VersionError> {
        let folder = self.app(app)?;
        let failed = |reason| VersionError::File { path: folder.clone(), reason };
        let mut bytes = 0;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            match entry.map_err(failed)?.metadata() {
                Ok(metadata) => bytes += metadata.len(),
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(reason) => return Err(failed(reason)),
            }
        }
        Ok(bytes)
    }

    /// Whether so many more bytes of an app may be uploaded.
    ///
    /// # Errors
    /// A quota does not leave as much, or a folder cannot be read.
    pub(crate) fn check_storage(&self, app: &str, more: u64, quotas: &[Quota]) -> Result<(), VersionError> {
        for quota in quotas.iter().filter(|quota| quota.is_for(app)) {
            let Some(limit) = quota.storage else { continue };
            let stored = self.stored(quota)?;
            if stored.saturating_add(more) > limit {
                return Err(VersionError::Storage { apps: quota.names(), stored, more, limit });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::library::content_hash::ContentHash;

    #[test]
    fn what_apps_of_a_quota_have_uploaded_counts_together() {
        let folder = tempfile::tempdir().unwrap();
        let all = Versions::new(Some(folder.path()), Path::new("/srv/apps.json"));
        let text = r#"{ "apps": [], "quotas": [{ "apps": ["a*"], "storage": 10 }, { "apps": ["b"], "requests": 1 }] }"#;
        let quotas = Config::parse(text, Path::new("/srv"), "apps.json").unwrap().quotas;
        let upload = |app: &str, content: &[u8]| {
            let hash = ContentHash::compute(content).to_string();
            all.append(app, &hash, 0, content.len() as u64, 100, content).unwrap();
        };
        assert!(all.check_storage("a1", 10, &quotas).is_ok(), "nothing is kept yet");
        upload("a1", b"four");
        upload("a2", b"three");
        upload("b", b"much more than that");
        assert_eq!(all.stored(&quotas[0]).unwrap(), 9);
        assert!(all.check_storage("a3", 1, &quotas).is_ok());
        let error = all.check_storage("a3", 2, &quotas).unwrap_err();
        assert!(matches!(error, VersionError::Storage { stored: 9, more: 2, limit: 10, .. }), "{error}");
        assert!(all.check_storage("b", u64::MAX, &quotas).is_ok());
    }
}
