//! The command under test as a child process.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use atoll_host::internal::build::cargo;
use tempfile::TempDir;

use super::client::{Call, Connection, Reply};
use super::libraries::{atoll, library};
use super::{isolation, wait_for, wait_until};

/// A command about to be started, in a temporary folder of its own, which is its current folder and has its
/// `TMPDIR` in it.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    folder: Arc<TempDir>,
}

impl Launch {
    /// `atoll SUBCOMMAND`; for what listens add `.args(["--listen", "127.0.0.1:0"])`.
    pub fn command(subcommand: &str) -> Self {
        Self::program(atoll()).arg(subcommand)
    }

    /// `atoll serve` with this text as `apps.json`, on a free port of loopback. Paths in it are relative to the
    /// folder, see [`write`](Self::write).
    pub fn serve(apps: impl ToString) -> Self {
        Self::command("serve").args(["--listen", "127.0.0.1:0"]).write("apps.json", apps.to_string())
    }

    /// `atoll SUBCOMMAND` in namespaces of its own, after a shell script, which may mount there and lower the kernel's
    /// limits for it alone. `None`, and a message, where the system lets nobody but root make such namespaces.
    pub fn isolated(setup: &str, subcommand: &str) -> Option<Self> {
        let unshare = |script: &str| {
            let namespaces = ["--user", "--map-root-user", "--mount", "sh", "-c", script];
            Self::program("unshare").args(namespaces)
        };
        let tried = "mount -t tmpfs tmpfs tmp && echo 9 > /proc/sys/user/max_inotify_watches";
        let tried = unshare(tried).command.output();
        if !tried.is_ok_and(|output| output.status.success()) {
            println!("not tried, as this system does not allow it: {setup}");
            return None;
        }
        Some(unshare(&format!("{setup} && exec \"$0\" \"$@\"")).arg(atoll()).arg(subcommand))
    }

    /// Any program.
    pub fn program(program: impl AsRef<OsStr>) -> Self {
        Self::of(Command::new(program))
    }

    /// Cargo.
    pub fn cargo() -> Self {
        Self::of(cargo())
    }

    fn of(command: Command) -> Self {
        let folder = tempfile::Builder::new().prefix("atoll-test-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Self::within(command, Arc::new(folder))
    }

    fn within(mut command: Command, folder: Arc<TempDir>) -> Self {
        let temporary = folder.path().join("tmp");
        command
            .current_dir(folder.path())
            .env("TMPDIR", temporary)
            .env("XDG_STATE_HOME", folder.path().join("state"))
            .env_remove("STATE_DIRECTORY")
            .env("RUST_BACKTRACE", "1")
            .env_remove("RUST_LOG")
            .env_remove("RUST_LOG_STYLE");
        Self { command, folder }
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file in the temporary folder.
    pub fn write(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        write(&self.folder().join(name), name, content.as_ref());
        self
    }

    /// Puts a copy of a fixture's or an app's library there, as `lib{name}.so`.
    pub fn library(self, name: &str) -> Self {
        let bytes = std::fs::read(library(name)).unwrap();
        self.write(&format!("lib{name}.so"), bytes)
    }

    /// Starts it, and waits until its standard output names an address: `http://127.0.0.1:PORT`.
    ///
    /// # Panics
    /// When it ends before, or takes too long.
    #[track_caller]
    pub fn start(self) -> Host {
        let mut host = self.spawn();
        let address = wait_for("the command names its address", || {
            let found = host.output.lines().iter().find_map(|line| address(line));
            if found.is_none()
                && let Some(status) = host.child.try_wait().unwrap()
            {
                host.expected_to_end = true;
                panic!("the command ended: {status}");
            }
            found
        });
        host.address = Some(address);
        host
    }

    /// Starts it, and waits for nothing.
    pub fn spawn(self) -> Host {
        let Self { mut command, folder } = self;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let tests = std::process::id();
        // SAFETY: two system calls, which are fine between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // Whatever ends this test process or the thread that starts the command, ends the command too.
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() as u32 != tests {
                    return Err(std::io::ErrorKind::NotConnected.into());
                }
                Ok(())
            });
        }
        let mut child = command.spawn().unwrap();
        let (output, log) = (Lines::default(), Lines::default());
        output.follow(child.stdout.take());
        log.follow(child.stderr.take());
        Host { child, address: None, folder, output, log, expected_to_end: false }
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it takes too long.
    #[track_caller]
    pub fn run(self) -> Ended {
        self.spawn().ended()
    }
}

/// The address in a line such as `  hello  1  http://127.0.0.1:4321/apps/hello/`.
fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://").or_else(|| line.split_once("https://"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// A command that runs. When this is dropped it is killed; when the test has failed its log is printed. That it
/// has ended by itself before is a failure.
///
/// Keep it on the thread that started it, or on one that ends before: the command ends with that thread.
#[derive(Debug)]
pub struct Host {
    child: Child,
    address: Option<SocketAddr>,
    folder: Arc<TempDir>,
    output: Lines,
    log: Lines,
    expected_to_end: bool,
}

/// What is left of a command.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    folder: Arc<TempDir>,
}

impl Ended {
    /// `atoll SUBCOMMAND` in the same folder.
    pub fn again(&self, subcommand: &str) -> Launch {
        Launch::within(Command::new(atoll()), self.folder.clone()).arg(subcommand)
    }

    /// `atoll serve` with the `apps.json` that is there.
    pub fn serve_again(&self) -> Launch {
        self.again("serve").args(["--listen", "127.0.0.1:0"])
    }

    /// Its temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All files that it has left under its `TMPDIR`, but for the list of libraries that were opened before.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        temporary_files(self.folder.path())
    }
}

impl Host {
    /// `atoll serve` with this `apps.json` and more arguments.
    #[track_caller]
    pub fn start(apps: impl ToString, args: &[&str]) -> Self {
        Launch::serve(apps).args(args).start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the command has named its address")
    }

    /// Waits until it says where its admin listener is, which `--admin` asks for.
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        wait_for("the host says where its admin listener is", || {
            let output = self.stdout();
            let (_, rest) = output.split_once("dashboard at http://")?;
            rest.split_once('/')?.0.parse().ok()
        })
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address()).unwrap()
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub fn call(&self, call: &Call) -> Reply {
        self.connect().call(call).unwrap_or_else(|error| panic!("{error} on {call:?}"))
    }

    /// Sends a GET request on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.call(&Call::get(path))
    }

    /// Sends a POST request on a connection of its own.
    #[track_caller]
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Reply {
        self.call(&Call::post(path, body))
    }

    /// `atoll SUBCOMMAND` in the same folder.
    pub fn again(&self, subcommand: &str) -> Launch {
        self.beside(atoll()).arg(subcommand)
    }

    /// Any program in the same folder.
    pub fn beside(&self, program: impl AsRef<OsStr>) -> Launch {
        Launch::within(Command::new(program), self.folder.clone())
    }

    /// Its temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in its temporary folder, as text.
    pub fn path(&self, name: &str) -> String {
        self.folder().join(name).display().to_string()
    }

    /// Replaces a file in its folder in one step, as a careful editor does.
    pub fn replace(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.folder().join(name);
        let file_name = file.file_name().unwrap().to_str().unwrap();
        let new = file.with_file_name(format!(".{file_name}.new"));
        write(&new, name, content.as_ref());
        std::fs::rename(new, file).unwrap();
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        self.output.lines().join("\n")
    }

    /// What it has written to standard error so far: its log.
    pub fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    /// The lines of the log that contain all of `words`.
    pub fn log_lines(&self, words: &[&str]) -> Vec<String> {
        let mut lines = self.log.lines();
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        lines
    }

    /// Waits for a line in the log that contains all of `words`, and returns the first one.
    #[track_caller]
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        wait_for(&format!("a line with {words:?} in the log"), || self.log_lines(words).into_iter().next())
    }

    /// Whether the process has not ended yet.
    pub fn is_running(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The state follows the name, which is in parentheses.
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The memory that it has resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The numbers of its app processes.
    pub fn app_processes(&self) -> Vec<u32> {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(|&number| parent(number) == Some(self.pid())).collect()
    }

    /// The staged copies that are mapped into the process, or into its app processes, without repeats.
    pub fn mapped(&self) -> Vec<PathBuf> {
        let staged = self.folder().join("tmp");
        let processes = self.app_processes().into_iter().chain([self.pid()]);
        let maps =
            processes.filter_map(|process| std::fs::read_to_string(format!("/proc/{process}/maps")).ok());
        let maps: Vec<String> = maps.collect();
        let lines = maps.iter().flat_map(|maps| maps.lines());
        let paths = lines.filter_map(|line| Some(&line[line.find('/')?..]));
        let mut paths: Vec<_> = paths.map(PathBuf::from).filter(|path| path.starts_with(&staged)).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// All files under its `TMPDIR`: staged copies and libraries kept for a rollback; but for the list of libraries that
    /// were opened before.
    pub fn temporary_files(&self) -> Vec<PathBuf> {
        temporary_files(self.folder())
    }

    /// The staged copies, without the libraries that are kept for a rollback.
    pub fn staged(&self) -> Vec<PathBuf> {
        let mut files = self.temporary_files();
        files.retain(|file| {
            file.extension().is_some_and(|e| e == "so") && !file.parent().unwrap().ends_with("kept")
        });
        files
    }

    /// What commands for this host find it by: its lock (`lock`), or its control socket (`sock`).
    #[track_caller]
    pub fn control_file(&self, kind: &str) -> PathBuf {
        let is_it =
            |file: &PathBuf| file.extension().is_some_and(|found| found == kind) && !file.ends_with(".lock");
        wait_for(&format!("the host has a {kind}"), || self.temporary_files().into_iter().find(is_it))
    }

    /// The names of the threads of the process and of its app processes, at most 15 characters each, as the kernel keeps them.
    pub fn threads(&self) -> Vec<String> {
        let processes = self.app_processes().into_iter().chain([self.pid()]);
        let tasks = processes.filter_map(|process| std::fs::read_dir(format!("/proc/{process}/task")).ok());
        let names = tasks
            .flatten()
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        let mut names: Vec<_> = names.map(|name| name.trim_end().to_owned()).collect();
        names.sort();
        names
    }

    /// Sends a signal, such as [`libc::SIGTERM`].
    pub fn signal(&mut self, signal: i32) {
        self.expected_to_end = true;
        // SAFETY: the child has not been waited for, so that its number is still its own.
        let sent = unsafe { libc::kill(self.pid() as libc::pid_t, signal) };
        assert_eq!(sent, 0, "the command has ended before the signal");
    }

    /// Ends it with SIGTERM and waits for it.
    #[track_caller]
    pub fn stop(mut self) -> Ended {
        self.signal(libc::SIGTERM);
        self.ended()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes too long.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        self.expected_to_end = true;
        let status = wait_for("the command ends", || self.child.try_wait().unwrap());
        wait_until("its output is read to the end", || self.output.is_complete() && self.log.is_complete());
        Ended { status, stdout: self.stdout(), stderr: self.log(), folder: self.folder.clone() }
    }
}

/// The parent of a process that has not ended.
fn parent(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may contain anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    (fields.next()? != "Z").then_some(())?;
    fields.next()?.parse().ok()
}

/// Writes a file; `name` tells whether it is a registry.
fn write(file: &Path, name: &str, content: &[u8]) {
    match std::str::from_utf8(content) {
        Ok(text) if name == "apps.json" => std::fs::write(file, isolation::registry(text)).unwrap(),
        _ => std::fs::write(file, content).unwrap(),
    }
}

fn temporary_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.join("tmp")];
    while let Some(folder) = folders.pop() {
        // A folder may go while it is looked at.
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                // It is for the next host of the machine.
                _ if entry.file_name().to_string_lossy().starts_with("opened-libraries-") => {}
                _ => files.push(entry.path()),
            }
        }
    }
    files.sort();
    files
}

impl Drop for Host {
    fn drop(&mut self) {
        let ended = self.child.try_wait().unwrap();
        let crashed = ended.filter(|_| !self.expected_to_end);
        // It may have ended just now; then there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() || crashed.is_some() {
            eprintln!("--- stdout of {}\n{}", self.pid(), self.stdout());
            eprintln!("--- stderr of {}\n{}\n---", self.pid(), self.log());
        }
        if !std::thread::panicking()
            && let Some(status) = crashed
        {
            panic!("the command ended by itself: {status}");
        }
    }
}

/// The lines of a stream, as they come.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<(Vec<String>, bool)>>);

impl Lines {
    fn follow(&self, stream: Option<impl Read + Send + 'static>) {
        let (stream, lines) = (stream.expect("the stream is a pipe"), self.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                lines.lock().0.push(String::from_utf8_lossy(&line).into_owned());
            }
            lines.lock().1 = true;
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<String>, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> Vec<String> {
        self.lock().0.clone()
    }

    fn is_complete(&self) -> bool {
        self.lock().1
    }
}
