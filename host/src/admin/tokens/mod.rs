//! Tokens that allow some operations on some apps, until they expire or are revoked.

mod scope;
mod store;

pub use self::scope::{NoPermission, Permission, Token};
pub(crate) use self::store::MAX_TOKENS;
pub(super) use self::store::{Tokens, TokensError};
