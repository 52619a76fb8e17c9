//! The limits of the running host's server, as far as they are mistakes.

use std::collections::BTreeMap;
use std::time::Duration;

use atoll_host::ServerLimits;
use procfs::process::{LimitValue, Process};

use super::finding::Finding;

/// No common load balancer closes its idle connections earlier.
const LOAD_BALANCER: Duration = Duration::from_secs(60);

/// The grace period of a pod that has no other.
const POD: Duration = Duration::from_secs(30);

/// The limits of a host, which runs as a process of this number.
pub(super) fn check(limits: &BTreeMap<String, u64>, pid: u32) -> Vec<Finding> {
    let files = Process::new(pid.cast_signed()).and_then(|process| process.limits());
    let files = files.ok().and_then(|limits| match limits.max_open_files.soft_limit {
        LimitValue::Value(files) => Some(files),
        LimitValue::Unlimited => None,
    });
    let is_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    findings(limits, files, is_pod)
}

fn findings(limits: &BTreeMap<String, u64>, files: Option<u64>, is_pod: bool) -> Vec<Finding> {
    // A host of another version may not have them.
    let number = |name: &str| limits.get(name).copied();
    let time = |name: &str| number(name).map(Duration::from_millis);
    let mut findings = Vec::new();
    if let Some(keep_alive) = time("keep_alive_ms") {
        let found = format!("idle connections are closed after {keep_alive:?}");
        findings.push(if keep_alive > LOAD_BALANCER {
            Finding::ok("keep-alive", found)
        } else {
            let remedy = "load balancers reuse connections for 60 s and more, and answer with 502 when they are closed: \
                set --keep-alive to more than the load balancer's idle timeout";
            Finding::warning("keep-alive", found, remedy)
        });
    }
    if let (Some(delay), Some(timeout)) = (time("shutdown_delay_ms"), time("shutdown_timeout_ms")) {
        let found = format!("a delay of {delay:?}, then at most {timeout:?} for requests in flight");
        findings.push(if is_pod && delay.is_zero() {
            let remedy = "in Kubernetes, requests come for some seconds after SIGTERM and are refused: set \
                --shutdown-delay 15s";
            Finding::warning("shutdown", found, remedy)
        } else if is_pod && delay + timeout >= POD {
            let remedy = "a pod is killed after terminationGracePeriodSeconds, 30 by default: set it to more than both \
                together";
            Finding::warning("shutdown", found, remedy)
        } else {
            Finding::ok("shutdown", found)
        });
    }
    let wanted =
        number("max_connections").filter(|most| *most != ServerLimits::DEFAULT.max_connections as u64);
    if let (Some(wanted), Some(files)) = (wanted, files) {
        let remedy = "fewer connections are accepted: run `ulimit -n` with a higher number first, or set LimitNOFILE= in \
            the systemd unit";
        let found = format!("--max-connections {wanted} with at most {files} open files");
        findings.push(Finding::at_least(files, wanted, "connections", found, remedy));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    fn warnings(changed: &[(&str, u64)], files: u64, is_pod: bool) -> Vec<String> {
        let defaults = [("keep_alive_ms", 75_000), ("shutdown_delay_ms", 0), ("shutdown_timeout_ms", 30_000)];
        let limits =
            defaults.iter().chain(changed).map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let warnings = findings(&limits, Some(files), is_pod);
        let warnings = warnings.into_iter().filter(|finding| finding.level == Level::Warning);
        warnings.map(|finding| format!("{}: {}", finding.check, finding.remedy.unwrap())).collect()
    }

    #[test]
    fn the_defaults_are_fine() {
        assert_eq!(warnings(&[("max_connections", 100_000)], 1024, false), [""; 0]);
        assert_eq!(findings(&BTreeMap::new(), None, true), []);
    }

    #[test]
    fn each_mistake_has_a_remedy() {
        for (changed, is_pod, expected) in [
            (&[("keep_alive_ms", 5000)][..], false, "keep-alive: load balancers reuse connections"),
            (&[], true, "shutdown: in Kubernetes, requests come for some seconds after SIGTERM"),
            (&[("shutdown_delay_ms", 10_000)], true, "shutdown: a pod is killed after termination"),
            (&[("max_connections", 5000)], false, "connections: fewer connections are accepted"),
        ] {
            let found = warnings(changed, 1024, is_pod);
            assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
        }
        let pod = [("shutdown_delay_ms", 10_000), ("shutdown_timeout_ms", 15_000)];
        assert_eq!(warnings(&pod, 1024, true), [""; 0]);
    }
}
