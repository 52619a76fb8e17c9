//! What of a sandbox the machine can enforce.

use std::io;

use atoll_host::internal::sandbox::InForce;
use atoll_host::internal::{limits_by_control_group, try_sandbox};

use super::finding::Finding;

const CHECK: &str = "sandbox";

pub(super) fn check() -> Vec<Finding> {
    let mut findings = findings(try_sandbox());
    findings.push(control_groups(limits_by_control_group()));
    findings
}

/// A host that is a service may have others than the shell that this is run in, so that nothing here is a fault.
fn control_groups(controllers: Result<Vec<String>, String>) -> Finding {
    let found = match controllers {
        Ok(controllers) if controllers.is_empty() => {
            "limit nothing here: there are no controllers".to_owned()
        }
        Ok(controllers) => format!("a host that is started here limits {} of apps", controllers.join(", ")),
        Err(reason) => format!("a host that is started here has none: {reason}"),
    };
    Finding::ok("control groups", found)
}

fn findings(tried: io::Result<InForce>) -> Vec<Finding> {
    let in_force = match tried {
        Ok(in_force) => in_force,
        Err(error) => {
            let remedy = "libraries and apps in processes are refused here, unless `preflight` is false and `sandbox` is null";
            return vec![Finding::warning(CHECK, format!("cannot be enforced: {error}"), remedy)];
        }
    };
    let layers: Vec<_> = in_force.layers.iter().map(ToString::to_string).collect();
    let mut findings = vec![Finding::ok(CHECK, format!("enforces {}", layers.join(", ")))];
    let missing = in_force.missing.into_iter();
    findings.extend(
        missing.map(|missing| {
            Finding::warning(CHECK, format!("cannot enforce {}", missing.layer), missing.reason)
        }),
    );
    findings
}

#[cfg(test)]
mod tests {
    use atoll_host::internal::sandbox::{Layer, Missing};

    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn control_groups_are_described() {
        let found = |controllers| control_groups(controllers).found;
        assert_eq!(
            found(Ok(vec!["cpu".into(), "pids".into()])),
            "a host that is started here limits cpu, pids of apps"
        );
        assert_eq!(found(Ok(Vec::new())), "limit nothing here: there are no controllers");
        assert_eq!(found(Err("no".into())), "a host that is started here has none: no");
    }

    #[test]
    fn what_is_missing_is_a_warning_with_what_to_do() {
        let missing = Missing { layer: Layer::Tcp, reason: "rules for ports need Linux 6.7".into() };
        let found =
            findings(Ok(InForce { layers: vec![Layer::Files, Layer::SystemCalls], missing: vec![missing] }));
        assert_eq!(found[0], Finding::ok("sandbox", "enforces files, system-calls"));
        assert_eq!(found[1].level, Level::Warning);
        assert_eq!(found[1].found, "cannot enforce tcp");
        assert_eq!(found[1].remedy.as_deref(), Some("rules for ports need Linux 6.7"));
        let found = findings(Err(io::Error::other("no seccomp")));
        assert_eq!((found.len(), found[0].level), (1, Level::Warning));
        assert_eq!(found[0].found, "cannot be enforced: no seccomp");
    }
}
