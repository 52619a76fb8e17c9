//! The control group of one app process.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::delegated::{APP, Controller, Delegated};
use super::error::ControlGroupError;
use crate::sandbox::Limits;

/// The time that shares of processors are measured in, in microseconds.
const PERIOD: u64 = 100_000;

/// How long the processes of a group that is killed may take to end.
const END: Duration = Duration::from_secs(1);

/// The control group of one app process and of what that starts. Dropping it kills them all.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    folder: PathBuf,
    /// What it limits.
    limits: Limits,
}

impl ControlGroup {
    /// Makes one with those of the limits that control groups enforce here. `None`: there are none.
    ///
    /// # Errors
    /// See [`ControlGroupError`].
    pub(crate) fn new(
        delegated: &Delegated,
        name: &str,
        limits: &Limits,
    ) -> Result<Option<Self>, ControlGroupError> {
        let has = |controller| delegated.has(controller);
        let limits = Limits {
            memory: limits.memory.filter(|_| has(Controller::Memory)),
            threads: limits.threads.filter(|_| has(Controller::Pids)),
            cpu_percent: limits.cpu_percent.filter(|_| has(Controller::Cpu)),
            ..Limits::default()
        };
        if limits == Limits::default() {
            return Ok(None);
        }
        let folder = delegated.folder().join(format!("{APP}{}-{name}", std::process::id()));
        fs::create_dir(&folder).map_err(ControlGroupError::system("make the control group", &folder))?;
        let group = Self { folder, limits };
        if let Some(bytes) = limits.memory {
            group.write("memory.max", &bytes.to_string())?;
            // Half of an app is of no use: all of its processes end.
            group.write("memory.oom.group", "1")?;
        }
        if let Some(threads) = limits.threads {
            group.write("pids.max", &threads.to_string())?;
        }
        if let Some(percent) = limits.cpu_percent {
            let quota = percent.saturating_mul(PERIOD / 100);
            group.write("cpu.max", &format!("{quota} {PERIOD}"))?;
        }
        Ok(Some(group))
    }

    /// Moves a process into it.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn add(&self, process: u32) -> Result<(), ControlGroupError> {
        self.write("cgroup.procs", &process.to_string())
    }

    /// What it limits.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the kernel has killed its processes because they used more memory than they may.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("memory.events")).unwrap_or_default();
        events
            .lines()
            .filter_map(|line| line.strip_prefix("oom_kill "))
            .any(|count| count.trim().parse::<u64>().is_ok_and(|count| count > 0))
    }

    fn write(&self, file: &str, text: &str) -> Result<(), ControlGroupError> {
        let file = self.folder.join(file);
        fs::write(&file, text).map_err(ControlGroupError::system("write to", &file))
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        if fs::remove_dir(&self.folder).is_ok() {
            return;
        }
        // The process has ended, but not what it has started. It may take a moment, for which nobody has to wait.
        let folder = std::mem::take(&mut self.folder);
        let end = move || {
            if let Err(error) = end(&folder) {
                log::warn!("cannot remove the control group {}: {error}", folder.display());
            }
        };
        if thread::Builder::new().name("atoll-groups".into()).spawn(end).is_err() {
            log::warn!("a control group stays, as there is no thread to remove it");
        }
    }
}

/// Kills the processes of a group, and removes it when they have ended.
fn end(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("cgroup.kill"), "1")?;
    let begun = Instant::now();
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < END => {
                thread::sleep(Duration::from_millis(1));
            }
            removed => return removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::process::control_groups::delegated::find;

    #[test]
    fn the_limits_are_written_that_there_is_a_controller_for() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        write("cgroup.controllers", "memory cpu");
        write("cgroup.procs", "");
        let delegated = Delegated::take(folder.path()).unwrap();
        let limits = Limits {
            memory: Some(64 << 20),
            threads: Some(16),
            cpu_percent: Some(150),
            cpu_seconds: Some(9),
            ..Limits::default()
        };
        let group = ControlGroup::new(&delegated, "shop-3", &limits).unwrap().unwrap();
        let own = folder.path().join(format!("app-{}-shop-3", std::process::id()));
        let read = |file: &str| fs::read_to_string(own.join(file)).unwrap();
        assert_eq!(read("memory.max"), "67108864");
        assert_eq!(read("memory.oom.group"), "1");
        assert_eq!(read("cpu.max"), "150000 100000");
        assert!(!own.join("pids.max").exists());
        assert_eq!(*group.limits(), Limits { threads: None, cpu_seconds: None, ..limits });
        group.add(123).unwrap();
        assert_eq!(read("cgroup.procs"), "123");

        assert!(!group.is_out_of_memory());
        fs::write(own.join("memory.events"), "oom 1\noom_kill 0\n").unwrap();
        assert!(!group.is_out_of_memory());
        fs::write(own.join("memory.events"), "oom 2\noom_kill 1\n").unwrap();
        assert!(group.is_out_of_memory());
        let none = Limits { threads: Some(1), open_files: Some(99), ..Limits::default() };
        assert!(ControlGroup::new(&delegated, "shop-4", &none).unwrap().is_none());
        // In a folder that the kernel does not make, its files have to go first.
        fs::remove_dir_all(&own).unwrap();
    }

    #[test]
    fn all_processes_of_a_group_end_with_it() {
        let Some(folder) = find().ok().map(|folder| folder.join(format!("app-{}-test", std::process::id())))
        else {
            eprintln!("not shown: there are no control groups that this process may make");
            return;
        };
        if let Err(error) = fs::create_dir(&folder) {
            eprintln!("not shown: cannot make the control group {}: {error}", folder.display());
            return;
        }
        let group = ControlGroup { folder: folder.clone(), limits: Limits::default() };
        let mut children = [(), ()].map(|()| Command::new("sleep").arg("60").spawn().unwrap());
        let added = children.iter().try_for_each(|child| group.add(child.id()));
        drop(group);
        if added.is_err() {
            children.iter_mut().for_each(|child| child.kill().unwrap());
        }
        let ends = children.each_mut().map(|child| child.wait().unwrap().signal());
        added.unwrap();
        assert_eq!(ends, [Some(libc::SIGKILL); 2]);
        let begun = Instant::now();
        while folder.exists() {
            assert!(begun.elapsed() < Duration::from_secs(10), "{} stays", folder.display());
            thread::sleep(Duration::from_millis(5));
        }
    }
}
