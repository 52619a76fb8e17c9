//! What is counted, as Prometheus reads it.

mod certificates;
mod exposition;
mod plain;
mod process;
mod quotas;

pub(crate) use self::exposition::{Exposition, expose};
