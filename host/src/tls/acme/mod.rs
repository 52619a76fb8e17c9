//! Certificates by ACME (RFC 8555): a certificate authority validates each name, and issues a certificate for it, which is
//! renewed ahead of its expiry.
//!
//! `keeper` decides when; `order` obtains one certificate; `challenges` has what the authority asks for meanwhile, over
//! TLS or HTTP; `store` keeps what a restart must not lose.

mod account;
mod certificate;
pub(crate) mod challenges;
mod client;
mod directory;
mod domain;
mod error;
pub(super) mod issued;
pub(super) mod keeper;
mod order;
mod schedule;
mod settings;
mod store;
pub(super) mod validation;

pub use self::directory::{AcmeDirectory, NoDirectory};
pub use self::domain::{AcmeDomain, NoDomain};
pub use self::error::AcmeError;
pub use self::settings::AcmeSettings;
