//! What went wrong, as people and programs see it: RFC 9457 problem details.

mod kind;
#[expect(clippy::module_inception, reason = "a file has one concept")]
mod problem;

pub use self::kind::ProblemKind;
pub use self::problem::Problem;
