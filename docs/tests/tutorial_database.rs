//! The app of the tutorial's page `tutorial-database.md`, with its tests.

include!(concat!(env!("OUT_DIR"), "/tutorial-database.rs"));
