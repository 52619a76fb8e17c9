//! Tells the stamp what compiles this crate.

use std::env;
use std::process::Command;

fn main() {
    let rustc = env::var("RUSTC").expect("cargo sets RUSTC");
    let output = Command::new(&rustc).arg("--version").output().expect("rustc --version runs");
    let version = String::from_utf8(output.stdout).expect("rustc --version prints UTF-8");
    println!("cargo::rustc-env=ATOLL_RUSTC={}", version.trim());
    println!("cargo::rustc-env=ATOLL_TARGET={}", env::var("TARGET").expect("cargo sets TARGET"));
    println!("cargo::rerun-if-changed=build.rs");
}
