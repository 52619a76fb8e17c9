//! Child processes: this program again, with another job.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::parent_id;
use std::process::{self, Command, Stdio};
use std::{env, thread};

use crate::{awake, instructions, memory};

/// The first argument of a child; its job follows, and the number of the process that started it.
const ARGUMENT: &str = "--child";

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// Keeps processors awake; see [`awake`].
    StayAwake,
    /// Says how much memory apps take; see [`memory`].
    WeighApps,
    /// Serves what is asked under valgrind; see [`instructions`].
    Serve,
}

impl Job {
    const ALL: [Self; 3] = [Self::StayAwake, Self::WeighApps, Self::Serve];

    fn name(self) -> &'static str {
        match self {
            Self::StayAwake => "stay-awake",
            Self::WeighApps => "weigh-apps",
            Self::Serve => "serve",
        }
    }

    /// Whether this process is a child; if it is, its job is done when this comes back.
    pub(crate) fn was_done() -> bool {
        let mut arguments = env::args().skip(1);
        if arguments.next().as_deref() != Some(ARGUMENT) {
            return false;
        }
        let name = arguments.next().unwrap_or_default();
        let job = Self::ALL.into_iter().find(|it| it.name() == name).expect("the bench names a job");
        let parent =
            arguments.next().and_then(|parent| parent.parse().ok()).expect("the bench says who it is");
        end_with(parent);
        let rest: Vec<String> = arguments.collect();
        match job {
            Self::StayAwake => awake::stay_awake(&rest),
            Self::WeighApps => memory::weigh_apps(&rest),
            Self::Serve => instructions::serve(&rest),
        }
        true
    }
}

/// Has the system end this process when its parent ends, however that comes about.
fn end_with(parent: u32) {
    // SAFETY: a system call with plain numbers.
    let status = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    assert_eq!(status, 0, "the signal at the parent's end can be chosen");
    if parent_id() != parent {
        // It has ended already.
        process::exit(1);
    }
}

/// A child, which is ended when this is dropped.
pub(crate) struct Child(process::Child);

impl Child {
    pub(crate) fn start(job: Job, arguments: &[&str]) -> Self {
        let program = env::current_exe().expect("this program has a path");
        Self::spawn(Command::new(program).stdin(Stdio::null()), job, arguments)
    }

    /// As [`start`](Self::start), within another program, with a pipe as its standard input.
    pub(crate) fn start_within(outer: &[&str], job: Job, arguments: &[&str]) -> Self {
        let program = env::current_exe().expect("this program has a path");
        let (outer, options) = outer.split_first().expect("there is another program");
        Self::spawn(Command::new(outer).args(options).arg(program).stdin(Stdio::piped()), job, arguments)
    }

    fn spawn(command: &mut Command, job: Job, arguments: &[&str]) -> Self {
        let child = command
            .args([ARGUMENT, job.name(), &process::id().to_string()])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a program can be started");
        Self(child)
    }

    /// The first line that the child prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.stdout.as_mut().expect("it is a pipe");
        BufReader::new(output).read_line(&mut line).expect("a child prints text");
        line.trim_end().to_owned()
    }

    /// Closes its standard input, and waits until the child has ended well.
    pub(crate) fn end(mut self) {
        drop(self.0.stdin.take());
        self.wait();
    }

    /// Waits until the child has ended well; what it has printed.
    pub(crate) fn output(mut self) -> String {
        let mut text = String::new();
        let mut output = self.0.stdout.take().expect("it is a pipe");
        output.read_to_string(&mut text).expect("a child prints text");
        self.wait();
        text
    }

    fn wait(&mut self) {
        let status = self.0.wait().expect("a child ends");
        assert!(status.success(), "a child ended with {status}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and that is well.
        let _ = self.0.kill();
        let ended = self.0.wait();
        assert!(ended.is_ok() || thread::panicking(), "a child can be waited for");
    }
}
