//! The servers of those peers that are written in Rust: a front of actix-web, and apps behind it.
//!
//! Each is a program of its own, so that its memory is its own.

pub mod exchange;
pub mod frame;
mod front;
pub mod process;
#[path = "../../src/tied.rs"]
mod tied;

pub use front::{Apps, argument, serve};
