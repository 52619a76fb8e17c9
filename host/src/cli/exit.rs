//! The exit codes of the command.

use std::process::ExitCode;

use atoll_host::internal::admin::AdminError;

/// What the help says of them.
pub(super) const HELP: &str = "\
Exit codes:
  0  done
  1  failed or refused; standard error says why
  2  the arguments are wrong
  3  no host runs for the registry";

const NO_HOST: u8 = 3;

/// The exit code for what went wrong.
pub(super) fn code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(AdminError::NoHost { .. }) => NO_HOST.into(),
        _ => ExitCode::FAILURE,
    }
}
