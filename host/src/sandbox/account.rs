//! The user that a process runs as.

use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::ptr;

use serde::{Deserialize, Serialize};

use super::error::SandboxError;

/// A user and its group, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The user's number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// Which user a process runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// This one.
    One(Account),
    /// One of these numbers that no other app has.
    Range(RangeInclusive<u32>),
}

impl Accounts {
    /// Reads a name, a number, or a range of numbers such as `100000-165535`.
    ///
    /// # Errors
    /// [`SandboxError::UnknownUser`], [`SandboxError::RootUser`].
    pub(crate) fn find(text: &str) -> Result<Self, SandboxError> {
        let Some((first, last)) = text.split_once('-') else { return Account::find(text).map(Self::One) };
        match (first.parse(), last.parse()) {
            (Ok(0), Ok(_)) | (Ok(_), Ok(u32::MAX)) => Err(SandboxError::RootUser { name: text.to_owned() }),
            (Ok(first), Ok(last)) if first <= last => Ok(Self::Range(first..=last)),
            _ => Account::find(text).map(Self::One),
        }
    }
}

/// How long the texts of an entry in the user database may be, in bytes.
const ENTRY: usize = 16 << 10;

impl Account {
    /// The user with this name, or with this number. A number that is not in the user database has the group with the
    /// same number.
    ///
    /// # Errors
    /// [`SandboxError::UnknownUser`], [`SandboxError::RootUser`].
    pub fn find(name: &str) -> Result<Self, SandboxError> {
        let found = match name.parse::<u32>() {
            Ok(uid) => by_number(uid).unwrap_or(Self { uid, gid: uid }),
            Err(_) => by_name(name).ok_or_else(|| SandboxError::UnknownUser { name: name.to_owned() })?,
        };
        // The last number means "unchanged" in system calls.
        if found.uid == 0 || found.gid == 0 || found.uid == u32::MAX || found.gid == u32::MAX {
            return Err(SandboxError::RootUser { name: name.to_owned() });
        }
        Ok(found)
    }
}

fn by_name(name: &str) -> Option<Account> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name and the pointers are valid for the call.
    entry(|entry, buffer, found| unsafe {
        libc::getpwnam_r(CStr::as_ptr(&name), entry, buffer.as_mut_ptr(), buffer.len(), found)
    })
}

fn by_number(uid: u32) -> Option<Account> {
    // SAFETY: the pointers are valid for the call.
    entry(|entry, buffer, found| unsafe {
        libc::getpwuid_r(uid, entry, buffer.as_mut_ptr(), buffer.len(), found)
    })
}

/// An entry of the user database, as one of the functions for that finds it.
fn entry(
    find: impl FnOnce(*mut libc::passwd, &mut [libc::c_char], *mut *mut libc::passwd) -> libc::c_int,
) -> Option<Account> {
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut buffer = vec![0; ENTRY];
    let mut found = ptr::null_mut();
    let failed = find(entry.as_mut_ptr(), &mut buffer, &mut found);
    if failed != 0 || found.is_null() {
        return None;
    }
    // SAFETY: without an error, a pointer that is not null is to `entry`, which is written then.
    let entry = unsafe { entry.assume_init() };
    Some(Account { uid: entry.pw_uid, gid: entry.pw_gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number() {
        let nobody = Account::find("nobody").unwrap();
        assert_eq!(Account::find(&nobody.uid.to_string()).unwrap(), nobody);
        // In no range that systems give to users.
        let unknown = 3_999_999_999;
        assert_eq!(Account::find(&unknown.to_string()).unwrap(), Account { uid: unknown, gid: unknown });
    }

    #[test]
    fn a_range_of_users_is_two_numbers() {
        assert_eq!(Accounts::find("100-199").unwrap(), Accounts::Range(100..=199));
        assert_eq!(Accounts::find("7").unwrap(), Accounts::One(Account::find("7").unwrap()));
        for root in ["0-9", "5-4294967295"] {
            assert!(matches!(Accounts::find(root), Err(SandboxError::RootUser { .. })), "{root}");
        }
        for unknown in ["9-8", "1-", "a-b", "1-2-3"] {
            assert!(matches!(Accounts::find(unknown), Err(SandboxError::UnknownUser { .. })), "{unknown}");
        }
    }

    #[test]
    fn root_and_unknown_users_are_refused() {
        for root in ["root", "0", "4294967295"] {
            assert!(matches!(Account::find(root), Err(SandboxError::RootUser { .. })), "{root}");
        }
        for unknown in ["", "no such user", "a\0b", "-1"] {
            assert!(matches!(Account::find(unknown), Err(SandboxError::UnknownUser { .. })), "{unknown:?}");
        }
    }
}
