//! Runs the targets over their corpora, and over changes of what is in them.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;

use atoll_fuzz::run;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    /// A number of eight bytes, as in the headers of a file.
    Number(Index, u64),
    /// Some of the same bytes again, somewhere else.
    Repeat(Index, Index, Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let telling = prop::sample::select(br#"{}[]":,\ 0-1e.tfn/%*"#.to_vec());
    let number =
        prop_oneof![any::<u64>(), 0..100_u64, Just(u64::MAX), Just(1 << 63), Just(u64::from(u32::MAX))];
    prop_oneof![
        (any::<Index>(), prop_oneof![any::<u8>(), telling.clone()]).prop_map(|(at, by)| Change::Set(at, by)),
        (any::<Index>(), vec(prop_oneof![any::<u8>(), telling], 1..8))
            .prop_map(|(at, by)| Change::Insert(at, by)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Remove(from, to)),
        (any::<Index>(), number).prop_map(|(at, by)| Change::Number(at, by)),
        (any::<Index>(), any::<Index>(), any::<Index>())
            .prop_map(|(from, to, at)| Change::Repeat(from, to, at)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn range(bytes: &[u8], from: Index, to: Index) -> std::ops::Range<usize> {
    let (one, other) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
    one.min(other)..one.max(other)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        match change {
            Change::Set(at, by) => {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = *by;
                }
            }
            Change::Insert(at, by) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, by.iter().copied());
            }
            Change::Remove(from, to) => {
                // Mostly a few, so that what is left has a meaning.
                let range = range(&bytes, *from, *to);
                bytes.drain(range.start..range.end.min(range.start + 16));
            }
            Change::Number(at, by) => {
                if bytes.len() >= 8 {
                    // Numbers are at such places in ELF files.
                    let at = at.index(bytes.len() / 8) * 8;
                    bytes[at..at + 8].copy_from_slice(&by.to_le_bytes());
                }
            }
            Change::Repeat(from, to, at) => {
                let piece = bytes[range(&bytes, *from, *to)].to_vec();
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, piece.into_iter().take(1000));
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len() + 1)),
        }
    }
    bytes
}

/// The target of this name over its corpus, and over so many changes of each input.
fn all(name: &str, changes_of_each: u32) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 4, "{name} has a corpus");
    let config = Config { cases: changes_of_each, failure_persistence: None, ..Config::default() };
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        run(name, &bytes);
        let run = |changes: Vec<Change>| {
            run(name, &changed(bytes.clone(), &changes));
            Ok(())
        };
        if let Err(error) = TestRunner::new(config.clone()).run(&vec(change(), 1..4), run) {
            panic!("{name}, {}: {error}", file.display());
        }
    }
}

#[test]
fn frames() {
    all("frame", 400);
}

#[test]
fn libraries() {
    all("library", 50);
}

#[test]
fn messages() {
    all("message", 400);
}

#[test]
fn requests() {
    all("request", 400);
}

#[test]
fn registries() {
    all("registry", 200);
}

#[test]
fn targets() {
    all("target", 300);
}

/// What grows with the square of its input takes minutes with these.
#[test]
fn large_inputs_take_no_long_time() {
    let many = |text: &str| text.repeat(300_000 / text.len());
    let deep = [many("["), many(r#"{"a":"#), many("[]"), many("/"), many("a/"), many("\"\\\"")];
    let begun = std::time::Instant::now();
    for text in &deep {
        for name in ["frame", "message", "request", "registry", "target"] {
            run(name, text.as_bytes());
        }
        run("message", format!(r#"{{"jsonrpc":"2.0","id":3,"result":{text}}}"#).as_bytes());
        run("request", format!(r#"{{"jsonrpc":"2.0","id":3,"method":"http","params":{text}}}"#).as_bytes());
    }
    let headers = vec![r#"["name","value"]"#; 20_000].join(",");
    let message =
        format!(r#"{{"jsonrpc":"2.0","id":3,"result":{{"status":200,"headers":[{headers}],"body":null}}}}"#);
    run("message", message.as_bytes());
    let apps: Vec<_> =
        (0..5000).map(|n| format!(r#"{{"name":"app{n}","path":"app{n}","wokers":1}}"#)).collect();
    run("registry", format!("[{}]", apps.join(",")).as_bytes());
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
