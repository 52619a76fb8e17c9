//! The folder for what a host keeps from one start to the next.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// What is made for a host below the folder of its user.
const NAME: &str = "atoll";

/// Where a host keeps what a restart must not lose.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct StateDir {
    /// The folder for what the host keeps: the totals of `atoll usage`, versions of apps, tokens, and certificates by ACME [default: $STATE_DIRECTORY, which systemd sets, or
    /// $XDG_STATE_HOME/atoll, or ~/.local/state/atoll].
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl StateDir {
    /// The folder; `None`: the user has none.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.state_dir.clone().or_else(|| default(&|name| env::var_os(name), env::home_dir()))
    }
}

/// The folder where nobody names one.
fn default(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A unit may have several, separated by colons.
    let of_service = variable("STATE_DIRECTORY").and_then(|folders| env::split_paths(&folders).next());
    // By the XDG Base Directory Specification, a relative path counts for nothing.
    let of_user = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = home.filter(|home| home.is_absolute()).map(|home| home.join(".local/state"));
    of_service.filter(|folder| folder.is_absolute()).or_else(|| Some(of_user.or(home)?.join(NAME)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], home: Option<&str>) -> Option<String> {
        let value =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        default(&value, home.map(PathBuf::from)).map(|folder| folder.display().to_string())
    }

    #[test]
    fn the_folder_is_that_of_the_service_or_of_the_user() {
        let service = ("STATE_DIRECTORY", "/var/lib/atoll:/var/lib/more");
        let user = ("XDG_STATE_HOME", "/state");
        assert_eq!(found(&[service, user], Some("/h")).unwrap(), "/var/lib/atoll");
        assert_eq!(found(&[user], Some("/h")).unwrap(), "/state/atoll");
        assert_eq!(found(&[("XDG_STATE_HOME", "state")], Some("/h")).unwrap(), "/h/.local/state/atoll");
        assert_eq!(found(&[("STATE_DIRECTORY", "")], Some("")), None);
        assert_eq!(found(&[], None), None);
    }
}
