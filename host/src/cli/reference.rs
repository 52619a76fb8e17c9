//! The list of all commands in the book, `docs/src/commands.md`, which a test compares with what the commands take.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/commands.md");
const BEGIN: &str = "<!-- generated: by `UPDATE_BOOK=1 cargo test --workspace --bin atoll reference` -->\n";
const END: &str = "<!-- generated: end -->\n";

/// A section for each command and each of its subcommands.
fn reference() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = String::new();
    for command in cli.get_subcommands_mut() {
        section(command, &mut text);
    }
    text
}

fn section(command: &mut Command, text: &mut String) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    if command.has_subcommands() {
        return command.get_subcommands_mut().for_each(|command| section(command, text));
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let name = command.get_bin_name().expect("a command that was built has a name");
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(text, "\n## `{name}`\n\n{}\n\n```text\n{usage}\n```\n", sentence(&about));
    let arguments: Vec<_> = command.get_arguments().filter(|arg| arg.get_id() != "help").collect();
    if !arguments.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
    }
    for argument in arguments {
        let _ = writeln!(text, "| `{}` | {} |", shape(argument), meaning(argument));
    }
    if let Some(more) = command.get_after_help() {
        for paragraph in more.to_string().split("\n\n") {
            let _ = match paragraph.contains('\n') {
                true => write!(text, "\n```text\n{paragraph}\n```\n"),
                false => write!(text, "\n{}\n", sentence(paragraph)),
            };
        }
    }
}

/// How an argument is written: `-n, --lines <N>`.
fn shape(argument: &Arg) -> String {
    match argument.get_short() {
        Some(short) if argument.get_long().is_some() => format!("-{short}, {argument}"),
        _ => argument.to_string(),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = sentence(&help.map(ToString::to_string).unwrap_or_default());
    let takes_values = argument.get_action().takes_values();
    let values: Vec<_> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if takes_values && !values.is_empty() {
        let _ = write!(text, " One of {}.", values.join(", "));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes_values && !defaults.is_empty() {
        let _ = write!(text, " Default: `{}`.", defaults.join(" "));
    }
    text
}

/// One line with a full stop, in which Markdown sees nothing but code.
fn sentence(help: &str) -> String {
    let line = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.replace('|', "\\|").replace('<', "\\<");
    if line.is_empty() || line.ends_with(['.', '?']) { line } else { line + "." }
}

#[test]
fn the_book_has_all_commands_with_all_they_take() {
    let page = std::fs::read_to_string(PAGE).expect("the page can be read");
    let (head, rest) = page.split_once(BEGIN).expect("the page says where the list begins");
    let (written, tail) = rest.split_once(END).expect("the page says where the list ends");
    let reference = reference();
    if std::env::var_os("UPDATE_BOOK").is_some() {
        let page = format!("{head}{BEGIN}{reference}\n{END}{tail}");
        return std::fs::write(PAGE, page).expect("the page can be written");
    }
    assert!(
        written.trim() == reference.trim(),
        "docs/src/commands.md differs from the commands: run \
         `UPDATE_BOOK=1 cargo test --workspace --bin atoll reference`"
    );
}
