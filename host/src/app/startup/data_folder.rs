//! The data folder of an app.
//!
//! It is a folder of the app's name in that of the setting `data`. Its owner is the record of which user an app has that runs
//! as one of a range.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};

use crate::sandbox::{Account, Accounts};

/// The variable that has the folder's path.
pub(super) const VARIABLE: &str = "ATOLL_DATA_DIR";

/// Only its owner can use it.
const MODE: u32 = 0o700;

/// A data folder that is there.
#[derive(Debug, PartialEq, Eq)]
struct DataFolder {
    path: PathBuf,
    /// The user of the app's process, to whom it belongs; `None`: that of the host.
    account: Option<Account>,
}

/// Why an app has no data folder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataFolderError {
    /// The system refuses something.
    #[error("cannot make the data folder {}: {reason}", path.display())]
    System {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// It is somebody else's.
    #[error(
        "the data folder {} belongs to user {owner}, and the app runs as user {user}; change `user`, or run \
        `chown -R {user}:{group} {}`",
        path.display(), path.display()
    )]
    Owner {
        /// The folder.
        path: PathBuf,
        /// Its user.
        owner: u32,
        /// The app's user.
        user: u32,
        /// The app's group.
        group: u32,
    },
    /// All users have an app.
    #[error("each of the users {first} to {last} of the sandbox's `user` has a data folder in {}; write a larger range", folder.display())]
    NoUser {
        /// The first user.
        first: u32,
        /// The last user.
        last: u32,
        /// The setting `data`.
        folder: PathBuf,
    },
    /// Nothing would remember an app's user.
    #[error(
        "the sandbox's `user` is a range, whose users are remembered by the owners of data folders; set `data`, too"
    )]
    NoData,
}

/// Makes the data folder that an app's settings ask for, and finds out which user its process has.
pub(super) fn of(
    folder: Option<&Path>,
    app: &str,
    accounts: Option<&Accounts>,
) -> Result<(Option<PathBuf>, Option<Account>), DataFolderError> {
    match (folder, accounts) {
        (Some(folder), accounts) => {
            let DataFolder { path, account } = prepare(folder, app, accounts)?;
            Ok((Some(path), account))
        }
        (None, Some(Accounts::Range(_))) => Err(DataFolderError::NoData),
        (None, Some(Accounts::One(account))) => Ok((None, Some(*account))),
        (None, None) => Ok((None, None)),
    }
}

/// Makes the data folder of `app` in `folder`, if it is not there, and finds out which user the app has.
fn prepare(folder: &Path, app: &str, accounts: Option<&Accounts>) -> Result<DataFolder, DataFolderError> {
    let path = folder.join(app);
    let failed = |reason| DataFolderError::System { path: path.clone(), reason };
    std::fs::create_dir_all(folder).map_err(failed)?;
    // While this is locked, nobody else chooses a user here, in this host or in another.
    let locked = File::open(folder).map_err(failed)?;
    locked.lock().map_err(failed)?;
    let is_new = match DirBuilder::new().mode(MODE).create(&path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(failed(error)),
    };
    let owner = path.symlink_metadata().map_err(failed)?.uid();
    let account = match accounts {
        None => return Ok(DataFolder { path, account: None }),
        Some(Accounts::One(account)) => *account,
        Some(Accounts::Range(users)) if users.contains(&owner) => Account { uid: owner, gid: owner },
        Some(Accounts::Range(users)) => {
            let taken = owners(folder).map_err(failed)?;
            let no_user = || {
                let (first, last) = (*users.start(), *users.end());
                DataFolderError::NoUser { first, last, folder: folder.to_owned() }
            };
            let uid = users.clone().find(|user| !taken.contains(user)).ok_or_else(no_user)?;
            Account { uid, gid: uid }
        }
    };
    if is_new {
        chown(&path, Some(account.uid), Some(account.gid)).map_err(failed)?;
    } else if owner != account.uid {
        let (user, group) = (account.uid, account.gid);
        return Err(DataFolderError::Owner { path, owner, user, group });
    }
    Ok(DataFolder { path, account: Some(account) })
}

/// The users to whom the folders in a folder belong.
fn owners(folder: &Path) -> io::Result<HashSet<u32>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.uid())).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_folder_is_made_for_its_user_only_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = prepare(&data, "shop", None).unwrap();
        assert_eq!(made, DataFolder { path: data.join("shop"), account: None });
        assert_eq!(made.path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(made.path.join("file"), "kept").unwrap();
        assert_eq!(prepare(&data, "shop", None).unwrap(), made);
        assert!(made.path.join("file").exists());
        let error = prepare(&made.path.join("file"), "shop", None).unwrap_err().to_string();
        assert!(error.starts_with("cannot make the data folder "), "{error}");
    }

    #[test]
    fn each_app_has_another_user_of_a_range_and_keeps_it() {
        if !rustix::process::geteuid().is_root() {
            let name = "app::startup::data_folder::tests::each_app_has_another_user_of_a_range_and_keeps_it";
            assert!(std::env::var_os("CI").is_none(), "only root can give folders away");
            eprintln!("skipped: {name}: only root can give folders away");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let users = Accounts::Range(70_000..=70_001);
        let user = |app| prepare(folder.path(), app, Some(&users)).map(|made| made.account.unwrap().uid);
        assert_eq!([user("a").unwrap(), user("b").unwrap(), user("a").unwrap()], [70_000, 70_001, 70_000]);
        let error = user("c").unwrap_err();
        assert!(matches!(error, DataFolderError::NoUser { first: 70_000, last: 70_001, .. }), "{error}");
        assert_eq!(folder.path().join("b").metadata().unwrap().gid(), 70_001);
        // An app whose user is fixed does not take over what is another's.
        let fixed = Accounts::One(Account { uid: 70_005, gid: 70_006 });
        let error = prepare(folder.path(), "a", Some(&fixed)).unwrap_err().to_string();
        assert!(
            error.contains("belongs to user 70000, and the app runs as user 70005; change `user`"),
            "{error}"
        );
        assert!(error.contains("chown -R 70005:70006 "), "{error}");
    }
}
