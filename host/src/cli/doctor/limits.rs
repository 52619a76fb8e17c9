//! The limits of the kernel and of the process.

use std::fs;
use std::path::Path;

use procfs::process::{LimitValue, Limits, Process};

use super::super::units;
use super::finding::Finding;

/// A connection takes one, an app a few.
const OPEN_FILES: u64 = 4096;

/// `atoll dev` watches each folder of the crates' sources.
const WATCHES: u64 = 8192;
const INSTANCES: u64 = 128;

/// As many as the server asks for.
const BACKLOG: u64 = 4096;

/// A library takes about five, a thread two, a heap some.
const MAPPINGS: u64 = 65_530;

pub(super) fn check() -> Vec<Finding> {
    let mut findings = match Process::myself().and_then(|process| process.limits()) {
        Ok(limits) => of_process(&limits),
        Err(error) => {
            vec![Finding::warning("limits", format!("cannot read it: {error}"), "mount /proc")]
        }
    };
    findings.push(watches());
    findings.push(kernel(
        "/proc/sys/fs/inotify/max_user_watches",
        WATCHES,
        "with many crates, `atoll dev` cannot watch all folders: run `sysctl fs.inotify.max_user_watches=65536`",
    ));
    findings.push(kernel(
        "/proc/sys/fs/inotify/max_user_instances",
        INSTANCES,
        "other programs may use all of them: run `sysctl fs.inotify.max_user_instances=512`",
    ));
    findings.push(kernel(
        "/proc/sys/net/core/somaxconn",
        BACKLOG,
        "when many clients connect at once, some wait a second: run `sysctl net.core.somaxconn=4096`",
    ));
    findings.push(kernel(
        "/proc/sys/vm/max_map_count",
        MAPPINGS,
        "many apps may not fit into the process: run `sysctl vm.max_map_count=262144`",
    ));
    findings.push(overcommit(number("/proc/sys/vm/overcommit_memory")));
    findings.extend(control_group());
    findings
}

fn of_process(limits: &Limits) -> Vec<Finding> {
    let remedy = "this limits connections and apps: run `ulimit -n 65536` first, or set LimitNOFILE=65536 in the \
        systemd unit";
    // A host raises its soft limit to this.
    let files = match limits.max_open_files.hard_limit {
        LimitValue::Unlimited => Finding::ok("open files", "unlimited"),
        LimitValue::Value(most) => {
            Finding::at_least(most, OPEN_FILES, "open files", format!("at most {most}"), remedy)
        }
    };
    let space = match limits.max_address_space.soft_limit {
        LimitValue::Unlimited => Finding::ok("address space", "unlimited"),
        LimitValue::Value(most) => Finding::warning(
            "address space",
            format!("at most {}", units::bytes(most)),
            "heaps reserve far more than they use: run `ulimit -v unlimited` first; to limit memory, use systemd's \
            MemoryMax= or a container limit",
        ),
    };
    vec![files, space]
}

/// Whether a watch can be made at all, which other programs of the user may have used up.
fn watches() -> Finding {
    use rustix::fs::inotify;
    let made = inotify::init(inotify::CreateFlags::CLOEXEC)
        .and_then(|instance| inotify::add_watch(&instance, "/", inotify::WatchFlags::CREATE).map(drop));
    match made {
        Ok(()) => Finding::ok("inotify", "files can be watched"),
        Err(error) => Finding::problem(
            "inotify",
            format!("cannot watch files: {error}"),
            "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches, or stop programs that watch many \
            files",
        ),
    }
}

/// A number of the kernel's.
fn kernel(file: &str, wanted: u64, remedy: &str) -> Finding {
    let name = file.trim_start_matches("/proc/sys/").replace('/', ".");
    match number(file) {
        Some(number) => Finding::at_least(number, wanted, &name, number.to_string(), remedy),
        None => Finding::ok(name, "is not limited here"),
    }
}

fn overcommit(mode: Option<u64>) -> Finding {
    match mode {
        Some(2) => Finding::warning(
            "vm.overcommit_memory",
            "2: reserved memory counts as used",
            "heaps reserve more than they use, so allocations may fail: run `sysctl vm.overcommit_memory=0`",
        ),
        Some(mode) => Finding::ok("vm.overcommit_memory", mode.to_string()),
        None => Finding::ok("vm.overcommit_memory", "is not limited here"),
    }
}

/// What the process's control group may use, which a container or systemd limits.
fn control_group() -> Option<Finding> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    number(Path::new("/sys/fs/cgroup").join(group).join("memory.max")).map(memory)
}

/// Whether so many bytes are enough for a host.
fn memory(most: u64) -> Finding {
    Finding::at_least(
        most,
        128 << 20,
        "memory",
        format!("the control group's limit is {}", units::bytes(most)),
        "the kernel kills the host when it uses more: raise MemoryMax= or the container's limit",
    )
}

fn number(file: impl AsRef<Path>) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Level;

    #[test]
    fn a_limit_that_is_too_low_has_a_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "100\n").unwrap();
        let path = file.path().to_str().unwrap();
        let (low, high) = (kernel(path, 101, "raise it"), kernel(path, 100, "raise it"));
        assert_eq!((low.level, low.remedy.as_deref()), (Level::Warning, Some("raise it")));
        assert_eq!((high.level, high.remedy), (Level::Ok, None));
        assert_eq!(kernel("/nowhere", 100, "raise it").found, "is not limited here");
    }

    #[test]
    fn memory_that_is_limited_or_counted_early_has_a_remedy() {
        let low = memory(64 << 20).to_text();
        assert!(low.contains("warning") && low.contains("memory: the control group's limit is 64"), "{low}");
        assert!(low.contains("-> the kernel kills the host when it uses more: raise MemoryMax="), "{low}");
        assert_eq!(memory(1 << 30).level, Level::Ok);
        let strict = overcommit(Some(2)).to_text();
        assert!(strict.contains("2: reserved memory counts as used"), "{strict}");
        assert!(strict.contains("-> heaps reserve more than they use, so allocations may fail"), "{strict}");
        assert_eq!([overcommit(Some(0)).level, overcommit(None).level], [Level::Ok, Level::Ok]);
    }
}
