//! `atoll completion`.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::out;

pub(super) const EXAMPLES: &str = "\
Where to install it:
  atoll completion bash > ~/.local/share/bash-completion/completions/atoll
  atoll completion zsh > ~/.zfunc/_atoll         with fpath+=~/.zfunc before compinit
  atoll completion fish > ~/.config/fish/completions/atoll.fish";

#[derive(Args, Clone, Debug)]
pub(super) struct CompletionArgs {
    /// The shell.
    shell: Shell,
}

/// Prints a script by which a shell completes the arguments of `command`.
pub(super) fn run(args: &CompletionArgs, mut command: Command) -> anyhow::Result<ExitCode> {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    out::print(script)?;
    Ok(ExitCode::SUCCESS)
}
