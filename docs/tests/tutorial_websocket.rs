//! The app of the tutorial's page `tutorial-websocket.md`, with its tests.

include!(concat!(env!("OUT_DIR"), "/tutorial-websocket.rs"));
