//! The control group that this host may divide among its app processes.

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use procfs::process::Process;
use rustix::fs::getxattr;

use super::error::ControlGroupError;

/// Where the processes go that are in the host's group: one that has processes cannot limit groups in it.
const HOST: &str = "atoll-host";

/// What the names of the groups of app processes begin with, before the number of their host's process.
pub(super) const APP: &str = "app-";

/// What systemd marks a group with that it has delegated: since 251 the first one, which users can read; before, the second one.
const DELEGATED: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// A part of the kernel that limits a resource for a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Controller {
    /// Processors.
    Cpu,
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
}

impl Controller {
    const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A control group whose subgroups this host makes.
#[derive(Debug)]
pub(crate) struct Delegated {
    folder: PathBuf,
    controllers: Vec<Controller>,
}

static OWN: LazyLock<Result<Delegated, ControlGroupError>> =
    LazyLock::new(|| find().and_then(|folder| Delegated::take(&folder)));

impl Delegated {
    /// That of this process, if it may divide it. The first call moves the processes of the group into a subgroup.
    ///
    /// # Errors
    /// See [`ControlGroupError`].
    pub(crate) fn own() -> Result<&'static Self, &'static ControlGroupError> {
        OWN.as_ref()
    }

    /// Takes a group over: moves its processes into a subgroup, enables the controllers that it has for its other subgroups,
    /// and removes those of hosts that are gone.
    pub(super) fn take(folder: &Path) -> Result<Self, ControlGroupError> {
        let write = |file: &Path, text: &str| {
            fs::write(file, text).map_err(ControlGroupError::system("write to", file))
        };
        let read = |file: &Path| fs::read_to_string(file).map_err(ControlGroupError::system("read", file));
        // The root of all groups may have processes, and they may be anybody's.
        if folder.join("cgroup.type").exists() {
            let host = folder.join(HOST);
            make(&host).map_err(ControlGroupError::system("make the control group", &host))?;
            for process in read(&folder.join("cgroup.procs"))?.lines() {
                match write(&host.join("cgroup.procs"), process) {
                    // It has ended since.
                    Err(_) if !is_alive(process) => {}
                    moved => moved?,
                }
            }
        }
        let controllers = controllers(folder)?;
        for controller in &controllers {
            write(&folder.join("cgroup.subtree_control"), &format!("+{controller}"))?;
        }
        let groups = fs::read_dir(folder).map_err(ControlGroupError::system("read", folder))?;
        for group in groups.flatten() {
            let name = group.file_name().into_string().unwrap_or_default();
            let host = name.strip_prefix(APP).and_then(|name| name.split('-').next());
            if host.is_some_and(|host| !is_alive(host)) {
                // One with processes stays.
                let _ = fs::remove_dir(group.path());
            }
        }
        Ok(Self { folder: folder.to_owned(), controllers })
    }

    /// Whether its subgroups can limit this.
    pub(crate) fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// Fails if its subgroups cannot limit this.
    ///
    /// # Errors
    /// [`ControlGroupError::NoController`].
    pub(crate) fn require(&self, controller: Controller) -> Result<(), ControlGroupError> {
        if self.has(controller) {
            return Ok(());
        }
        Err(ControlGroupError::NoController { path: self.folder.clone(), controller })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// What this host could limit for its app processes, by name, without preparing it.
///
/// # Errors
/// It may not make control groups; why, and what to do.
pub fn limits_by_control_group() -> Result<Vec<String>, String> {
    let controllers = find().and_then(|folder| controllers(&folder)).map_err(|error| error.to_string())?;
    Ok(controllers.iter().map(ToString::to_string).collect())
}

fn controllers(folder: &Path) -> Result<Vec<Controller>, ControlGroupError> {
    let file = folder.join("cgroup.controllers");
    let listed = fs::read_to_string(&file).map_err(ControlGroupError::system("read", file))?;
    let has = |controller: &Controller| listed.split_whitespace().any(|name| name == controller.name());
    Ok(Controller::ALL.into_iter().filter(has).collect())
}

/// Whether there is a process of this number.
fn is_alive(process: &str) -> bool {
    Path::new("/proc").join(process).exists()
}

/// Makes a group that may be there already.
fn make(group: &Path) -> io::Result<()> {
    match DirBuilder::new().create(group) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The group that this process is in, or the one above if a host has moved its processes here.
pub(super) fn find() -> Result<PathBuf, ControlGroupError> {
    let process = Process::myself().map_err(|_| ControlGroupError::NoHierarchy)?;
    let mounts = process.mountinfo().map_err(|_| ControlGroupError::NoHierarchy)?;
    let mount = mounts.into_iter().find(|mount| mount.fs_type == "cgroup2");
    let mount = mount.ok_or(ControlGroupError::NoHierarchy)?;
    let groups = process.cgroups().map_err(|_| ControlGroupError::NoHierarchy)?;
    let group =
        groups.into_iter().find(|group| group.hierarchy == 0).ok_or(ControlGroupError::NoHierarchy)?;
    let path = Path::new(&group.pathname);
    let path =
        if path.file_name().is_some_and(|name| name == HOST) { path.parent().unwrap_or(path) } else { path };
    // With a mount of a part of the hierarchy, paths begin there.
    let below = path.strip_prefix(&mount.root).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
    let folder = mount.mount_point.join(below);
    // In a container, its own group is the root of what it sees.
    let is_delegated = below.as_os_str().is_empty() || DELEGATED.iter().any(|mark| is_marked(&folder, mark));
    if !is_delegated {
        return Err(ControlGroupError::NotDelegated(folder));
    }
    Ok(folder)
}

fn is_marked(folder: &Path, mark: &str) -> bool {
    let mut value = [0; 8];
    getxattr(folder, mark, &mut value).is_ok_and(|length| value.get(..length) == Some(b"1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a group with these controllers and this process.
    fn fake(controllers: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("cgroup.controllers"), controllers).unwrap();
        fs::write(folder.path().join("cgroup.type"), "domain\n").unwrap();
        fs::write(folder.path().join("cgroup.procs"), format!("{}\n", std::process::id())).unwrap();
        folder
    }

    #[test]
    fn the_processes_move_before_controllers_are_enabled() {
        let folder = fake("cpuset cpu io memory\n");
        let groups = [format!("app-{}-shop-3", u32::MAX), format!("app-{}-shop-3", std::process::id())];
        let [gone, own] = groups.map(|group| folder.path().join(group));
        fs::create_dir(&gone).unwrap();
        fs::create_dir(&own).unwrap();
        let delegated = Delegated::take(folder.path()).unwrap();
        let read = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(read("atoll-host/cgroup.procs"), std::process::id().to_string());
        assert_eq!(read("cgroup.subtree_control"), "+memory");
        assert!(!gone.exists() && own.exists());
        assert!(delegated.has(Controller::Cpu) && delegated.has(Controller::Memory));
        delegated.require(Controller::Memory).unwrap();
        let missing = delegated.require(Controller::Pids).unwrap_err().to_string();
        assert_eq!(
            missing,
            format!("the control group {} has no controller for pids", folder.path().display())
        );
        // By the next process of the host, which finds itself in the subgroup.
        assert!(Delegated::take(folder.path()).is_ok());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = fake("cpu");
        fs::create_dir(folder.path().join("cgroup.subtree_control")).unwrap();
        let error = Delegated::take(folder.path()).unwrap_err().to_string();
        let file = folder.path().join("cgroup.subtree_control");
        assert!(error.starts_with(&format!("cannot write to {}: ", file.display())), "{error}");
        fs::remove_file(folder.path().join("cgroup.type")).unwrap();
        fs::remove_file(folder.path().join("cgroup.controllers")).unwrap();
        let error = Delegated::take(folder.path()).unwrap_err().to_string();
        let file = folder.path().join("cgroup.controllers");
        assert!(error.starts_with(&format!("cannot read {}: ", file.display())), "{error}");
    }
}
