//! The exit codes of the command.

use std::process::ExitCode;

use atoll_host::internal::admin::AdminError;

/// Their description in the help.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  failed; the reason is on standard error
  2  the arguments are wrong
  3  no host is running for apps.json";

const NO_HOST: u8 = 3;

/// The exit code for what went wrong.
pub(super) fn code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(AdminError::NoHost { .. }) => NO_HOST.into(),
        _ => ExitCode::FAILURE,
    }
}
