//! What is left of a host whose process a fault ends: a record of who caused it, and for which request.
//!
//! The signal's handler writes the [record](mod@record) into a file that is [open already](sink), and the process ends as it
//! would have. The next start [reads](parse) the record, and [resolves](report) its addresses.
//!
//! What runs in the handler takes no lock and does not allocate.

pub(crate) mod alternate_stack;
mod parse;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod sink;
mod text;
pub(crate) mod unwind;

pub(super) use self::record::write;
