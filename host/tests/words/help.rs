//! What `--help` prints for each command.

use std::process::Command;

use super::Passage;

pub(crate) fn passages() -> Vec<Passage> {
    let mut passages = Vec::new();
    collect(&[], &mut passages);
    passages
}

fn collect(command: &[&str], passages: &mut Vec<Passage>) {
    let output = Command::new(env!("CARGO_BIN_EXE_atoll"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the command can be run");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the help is UTF-8");
    for name in subcommands(&text) {
        collect(&[command, &[name]].concat(), passages);
    }
    let source = [&["atoll"], command, &["--help"]].concat().join(" ");
    passages.push(Passage { source, line: 1, text });
}

fn subcommands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names =
        lines.take_while(|line| line.starts_with("  ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}
