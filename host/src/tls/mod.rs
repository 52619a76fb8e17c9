//! TLS: certificates from files and by ACME, and which of them a client gets.

pub(crate) mod accept;
pub mod acme;
pub(crate) mod alpn;
mod by_name;
pub(crate) mod client;
mod error;
mod files;
mod late;
mod pem_file;
mod serving;
mod settings;
mod validity;

pub use self::error::TlsError;
pub use self::late::LateCertificates;
pub use self::serving::Tls;
pub use self::settings::TlsSettings;
