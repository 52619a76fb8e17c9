//! The app as WebAssembly, by hand: what a compiler would make of it is not bigger.

/// The guest for wasmtime: it finds the request's text in its memory at [`REQUEST`], and leaves its answer at
/// [`ANSWER`].
pub const PLAIN: &str =
    concat!("(module\n", include_str!("../guest/plain.wat"), include_str!("../guest/greet.wat"), ")");

/// The guest for Extism: it fetches the request's text, and hands in its answer.
pub const EXTISM: &str =
    concat!("(module\n", include_str!("../guest/extism.wat"), include_str!("../guest/greet.wat"), ")");

/// Where a request begins in a guest's memory.
pub const REQUEST: usize = 0x1000;

/// Where an answer begins in a guest's memory, and until where a request may go.
pub const ANSWER: usize = 0x8000;
