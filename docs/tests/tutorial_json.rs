//! The app of the tutorial's page `tutorial-json.md`, with its tests.

include!(concat!(env!("OUT_DIR"), "/tutorial-json.rs"));
