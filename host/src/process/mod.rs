//! App processes as their host starts them and talks to them.

pub(crate) mod blank;
pub(crate) mod control;
pub(crate) mod control_groups;
pub(crate) mod pool;
pub(crate) mod trial;
