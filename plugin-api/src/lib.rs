//! What an Atoll app depends on.

pub mod abi;
mod buffer;
pub mod protocol;
pub mod stamp;

#[doc(hidden)]
pub mod __private {
    pub use const_format::concatcp;
}
