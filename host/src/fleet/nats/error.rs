//! Why a fleet cannot be used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a fleet cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A file with credentials cannot be used.
    #[error("cannot use the credentials for NATS in {path}: {reason}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// The system's error, or that of the parser.
        reason: io::Error,
    },
    /// No server can be reached, or none accepts this host.
    #[error("cannot connect to NATS at {servers}: {reason}")]
    Connect {
        /// Their URLs, without passwords.
        servers: String,
        /// Why.
        reason: async_nats::Error,
    },
    /// The server does not permit something.
    #[error(
        "NATS does not permit it: {0}; see the permissions that hosts and people need in the book's chapter on fleets"
    )]
    Denied(String),
    /// A bucket can neither be opened nor created.
    #[error(
        "cannot use the bucket {bucket} in NATS: {reason}; the server needs JetStream (`nats-server -js`)"
    )]
    Bucket {
        /// Its name.
        bucket: String,
        /// Why.
        reason: async_nats::Error,
    },
    /// Someone else has changed the record of an app.
    #[error(
        "conflict: someone else has changed {app} in the fleet in the meantime; see `atoll ls --fleet`, and try again"
    )]
    Conflict {
        /// The app.
        app: String,
    },
    /// A value does not fit into a message.
    #[error("{what} has {size} bytes, and a message of the NATS server has at most {limit} (max_payload)")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The state of an app is too large to be handed over.
    #[error("{what} has {size} bytes of JSON, and at most {limit} are handed over (fleet_state)")]
    StateSize {
        /// What is too large.
        what: String,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A value is none of this version of Atoll.
    #[error("cannot read {key} in NATS: {reason}; was it written by another version of atoll?")]
    Value {
        /// The key.
        key: String,
        /// The parser's error.
        reason: serde_json::Error,
    },
    /// The NATS server has no room for a library.
    #[error(
        "NATS has no room for {path}: raise `max_file_store` of its `jetstream`, or the `max_bytes` of the bucket of libraries"
    )]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// A library is not in the object store.
    #[error("the library {0} is not in the object store of the fleet; deploy the app again")]
    NoLibrary(String),
    /// The content of an object in the object store is not what was uploaded.
    #[error("{what} in the object store of the fleet is damaged: {reason}")]
    Damaged {
        /// What it is.
        what: String,
        /// The error of the client.
        reason: io::Error,
    },
    /// Some of the content of an object in the object store is not there.
    #[error(
        "{what} in the object store of the fleet is incomplete: {found} of its {expected} pieces are there"
    )]
    Incomplete {
        /// What it is.
        what: String,
        /// How many pieces are there.
        found: usize,
        /// How many it has.
        expected: usize,
    },
    /// Leases would last too long or not long enough.
    #[error(
        "the leases in {bucket} in NATS have a time to live of {found:?}, and need one of at least {least:?}: `nats stream edit \
        KV_{bucket} --max-age 15s`"
    )]
    LeaseTime {
        /// The bucket.
        bucket: String,
        /// Its time to live.
        found: Duration,
        /// The least that it may be.
        least: Duration,
    },
    /// A file cannot be read or written.
    #[error("cannot use {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: io::Error,
    },
    /// The server does not answer, or not as it should.
    #[error("cannot {what} in NATS: {reason}")]
    Request {
        /// What it was to do.
        what: String,
        /// Why it did not.
        reason: async_nats::Error,
    },
    /// The connection was lost.
    #[error("the connection to NATS was lost")]
    Lost,
}

impl FleetError {
    /// A request that failed.
    pub(crate) fn request(
        what: impl Into<String>,
    ) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        let what = what.into();
        move |reason| Self::Request { what, reason }
    }
}
