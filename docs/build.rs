//! Takes the apps out of the tutorial's pages, so that they are compiled and tested as they are printed.

use std::path::PathBuf;
use std::{env, fs};

const PAGES: [&str; 3] = ["tutorial-json", "tutorial-database", "tutorial-websocket"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo says where to write"));
    for name in PAGES {
        let page = format!("src/{name}.md");
        println!("cargo::rerun-if-changed={page}");
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{page}: {error}"));
        let code = text.split_once("\n```rust\n").and_then(|(_, rest)| rest.split_once("\n```\n"));
        let (code, _) = code.unwrap_or_else(|| panic!("{page} has no block of Rust"));
        fs::write(out.join(format!("{name}.rs")), code).expect("it can be written");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
