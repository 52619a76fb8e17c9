//! The sandbox: what locks a process down before it runs code that it should not trust.
//!
//! A [`Policy`] is what a process may do. It is plain data, made of the setting `sandbox` of an app, and sent to the
//! process as JSON. The process calls [`Policy::enforce`] while it has one thread, and loads the code after that. The
//! book's page on the sandbox describes what each layer denies.

mod access;
mod account;
mod descriptors;
mod enforce;
mod error;
mod file_rule;
mod in_force;
mod namespaces;
mod policy;
mod ports;
mod preset;
mod privileges;
mod process;
mod system_calls;

pub use account::Account;
pub(crate) use account::Accounts;
pub use error::SandboxError;
pub(crate) use file_rule::PATTERN as FILE_RULE;
pub use file_rule::{FileAccess, FileRule, FileRuleError};
pub use in_force::{InForce, Layer, Missing, Require};
pub use namespaces::Namespace;
pub use policy::Policy;
pub(crate) use ports::ANY as ANY_PORT;
pub use ports::Ports;
pub use preset::Preset;
pub use process::Limits;
