//! The folder of staged copies, from which libraries are loaded.

use std::path::Path;

use atoll_host::internal::Staging;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::super::units;
use super::finding::Finding;

const CHECK: &str = "temporary folder";

/// What a host with some apps may take: the copies of their libraries, those made ahead, and those that are kept.
const ROOM: u64 = 512 << 20;

/// With less, not even a few libraries fit.
const LEAST_ROOM: u64 = 32 << 20;

pub(super) fn check() -> Vec<Finding> {
    let folder = std::env::temp_dir();
    vec![look(&folder).unwrap_or_else(|error| {
        let found = format!("{}: {error}", folder.display());
        Finding::problem(CHECK, found, "create it, or set TMPDIR to a usable folder")
    })]
}

fn look(folder: &Path) -> std::io::Result<Finding> {
    let system = statvfs(folder)?;
    let name = folder.display();
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if system.f_flag.contains(StatVfsMountFlags::NOEXEC) {
        let remedy = "libraries cannot be loaded from it: set TMPDIR to a folder on another file system, or mount it \
            with `exec`";
        return Ok(Finding::problem(CHECK, format!("{name} is mounted noexec"), remedy));
    }
    // A host begins in the same way: a folder that others can write to is refused, too.
    if let Err(error) = Staging::new() {
        return Ok(Finding::problem_with_remedy(CHECK, error.to_string()));
    }
    Ok(room(&name.to_string(), free))
}

/// Whether so many bytes are enough.
fn room(folder: &str, free: u64) -> Finding {
    let found = format!("{folder}, {} free", units::bytes(free));
    match free {
        ROOM.. => Finding::ok(CHECK, found),
        LEAST_ROOM.. => {
            Finding::warning(CHECK, found, format!("free some space: {} are enough", units::bytes(ROOM)))
        }
        _ => Finding::problem(
            CHECK,
            found,
            "free some space, or set TMPDIR to a folder on a larger file system",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_room_has_a_remedy() {
        assert_eq!(room("/tmp", ROOM).remedy, None);
        let text = |free| room("/tmp", free).to_text();
        let (some, none) = (text(ROOM - 1), text(LEAST_ROOM - 1));
        assert!(some.contains("-> free some space: ") && some.contains(" are enough"), "{some}");
        assert!(none.contains("problem") && none.contains("or set TMPDIR to a folder on a larger"), "{none}");
    }
}
