//! What is counted, as Prometheus reads it.

mod between_hosts;
mod certificates;
mod exposition;
mod fleet;
mod plain;
mod process;
mod quotas;

pub(crate) use self::exposition::{Exposition, Sources, expose};
