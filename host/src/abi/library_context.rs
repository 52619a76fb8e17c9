//! What the host keeps for one loaded library, and the library reaches by its `GenerationHandle`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use atoll_plugin::abi::{GenerationHandle, ThreadEvent};
use atoll_port::Port;
use tokio::sync::Notify;

use crate::abi::abort::Abort;
use crate::abi::descriptors::Maker;
use crate::abi::reports::{Reports, ToAppLog};
use crate::abi::signals::state::Signals;
use crate::abi::thread_clocks::ThreadClocks;
use crate::abi::thread_end::range::Ranges;
use crate::abi::threads::{self, Strangers};
use crate::memory::heap::Heap;
use crate::observe::app_log::AppLog;

/// What is done when a library has ended its generation.
type OnAbort = Box<dyn Fn(&Abort) + Send + Sync>;

/// A generation's heap and name, and what it has taken from the process: threads, pthread keys and file descriptors.
pub struct LibraryContext {
    app: Arc<str>,
    generation: u64,
    heap: Arc<Heap>,
    taken: Mutex<Taken>,
    clocks: ThreadClocks,
    thread_ended: Notify,
    descriptors: Maker,
    reports: Arc<dyn Reports>,
    /// The first call of `abort` or `exit`.
    abort: OnceLock<Abort>,
    on_abort: OnceLock<OnAbort>,
    signals: Signals,
    /// The threads that nobody knew before the library was opened: they cannot run its code.
    strangers: OnceLock<Strangers>,
    /// The stack of its threads that ask for no size, in bytes; 0: as much as the system gives.
    thread_stack: AtomicUsize,
    library: OnceLock<LibraryFile>,
    /// Where its code is, when threads of it are to end that only wait.
    thread_ranges: OnceLock<Ranges>,
    /// The host's ends of its workers' ports.
    ports: OnceLock<Box<[Arc<Port>]>>,
}

/// The file that was loaded, for the record of a fault.
#[derive(Debug)]
pub(crate) struct LibraryFile {
    path: CString,
    hash: String,
}

impl LibraryFile {
    /// `None`: no file has such a path.
    pub(crate) fn new(path: &Path, hash: String) -> Option<Self> {
        Some(Self { path: CString::new(path.as_os_str().as_bytes()).ok()?, hash })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &CStr {
        &self.path
    }

    /// The hash of its content, in hexadecimal.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

impl std::fmt::Debug for LibraryContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LibraryContext({}#{})", self.app, self.generation)
    }
}

/// The threads and keys that the library has taken from the process.
#[derive(Debug, Default)]
struct Taken {
    /// Threads that are being made.
    starting: usize,
    /// The kernel's numbers of threads that may run, with the names that they began with: those of the threads that have
    /// made them.
    threads: BTreeMap<libc::pid_t, Option<String>>,
    /// Those of the workers that may run.
    workers: BTreeSet<libc::pid_t>,
    /// Those that have called `abort` or `exit`, and do not run on.
    stopped: BTreeSet<libc::pid_t>,
    keys: BTreeSet<u32>,
}

impl LibraryContext {
    /// The context of a library that is about to be loaded. What it reports goes to `app_log`.
    pub fn new(app: Arc<str>, generation: u64, app_log: Arc<AppLog>) -> Arc<Self> {
        let reports = Arc::new(ToAppLog::new(app.clone(), generation, app_log));
        Self::with_reports(app, generation, reports)
    }

    /// The context of a library that is about to be loaded, with the receiver of its reports.
    pub(crate) fn with_reports(app: Arc<str>, generation: u64, reports: Arc<dyn Reports>) -> Arc<Self> {
        Arc::new(Self {
            app,
            generation,
            heap: Arc::new(Heap::new()),
            taken: Mutex::default(),
            clocks: ThreadClocks::default(),
            thread_ended: Notify::new(),
            descriptors: Maker::new(),
            reports,
            abort: OnceLock::new(),
            on_abort: OnceLock::new(),
            signals: Signals::new(),
            strangers: OnceLock::new(),
            thread_stack: AtomicUsize::new(0),
            library: OnceLock::new(),
            thread_ranges: OnceLock::new(),
            ports: OnceLock::new(),
        })
    }

    /// The app's name.
    pub fn app(&self) -> &Arc<str> {
        &self.app
    }

    /// Which loaded library of the app's this is, counted from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The generation's heap.
    pub fn heap(&self) -> &Arc<Heap> {
        &self.heap
    }

    /// Where its reports go.
    pub(crate) fn reports(&self) -> &dyn Reports {
        &*self.reports
    }

    /// The handle by which the library names this context; valid as long as the context lives.
    pub(crate) fn handle(self: &Arc<Self>) -> GenerationHandle {
        GenerationHandle(Arc::as_ptr(self).cast())
    }

    /// Sets the stack of its threads that ask for no size, in bytes.
    pub(crate) fn set_thread_stack(&self, bytes: usize) {
        self.thread_stack.store(bytes, Ordering::Relaxed);
    }

    /// The stack of its threads that ask for no size, in bytes; 0: as much as the system gives.
    pub(super) fn thread_stack(&self) -> usize {
        self.thread_stack.load(Ordering::Relaxed)
    }

    /// Notes which file is about to be loaded.
    pub(crate) fn note_library(&self, file: Option<LibraryFile>) {
        if let Some(file) = file {
            // It is loaded once.
            let _ = self.library.set(file);
        }
    }

    /// The file that was loaded. Takes no lock and does not allocate.
    pub(super) fn library(&self) -> Option<&LibraryFile> {
        self.library.get()
    }

    /// Notes the ports of its workers, in their order.
    pub(crate) fn note_ports(&self, ports: &[Arc<Port>]) {
        // A context has one generation.
        let _ = self.ports.set(ports.into());
    }

    /// The ports of its workers, in their order. Takes no lock and does not allocate.
    pub(super) fn ports(&self) -> &[Arc<Port>] {
        self.ports.get().map_or(&[], |ports| ports)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books a thread that the library makes; on the thread itself, from its start.
    pub(super) fn book_thread(&self, event: ThreadEvent) {
        match event {
            ThreadEvent::Starting => self.lock().starting += 1,
            ThreadEvent::Failed => self.lock().starting -= 1,
            ThreadEvent::Started => {
                let mut taken = self.lock();
                taken.starting -= 1;
                let thread = threads::begun();
                taken.threads.insert(thread, threads::own_name(thread));
                drop(taken);
                self.clocks.begin();
            }
            // It still runs destructors of thread-locals, the library's code: it stays until the kernel has
            // forgotten it. Those that ended before are struck off here, so that the set does not grow.
            ThreadEvent::Ending => {
                self.clocks.end();
                self.lock().threads.retain(|&thread, _| threads::exists(thread));
                self.thread_ended.notify_waiters();
            }
        }
    }

    /// The calling thread, a worker's, is about to run the library's code.
    pub(crate) fn worker_begins(&self) {
        self.lock().workers.insert(threads::this_thread());
        self.clocks.begin();
    }

    /// The calling thread, a worker's, has come back from the library's code.
    pub(crate) fn worker_ends(&self) {
        self.clocks.end();
    }

    /// The CPU time of all threads that run, or ran, the library's code, but for the destructors of their thread-locals.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.clocks.total()
    }

    /// The calling thread has called `abort` or `exit`: it will not run on.
    pub(crate) fn thread_stops(&self) {
        self.lock().stopped.insert(threads::this_thread());
    }

    /// Whether each thread that ran the library's code has ended, or stopped for good.
    pub(crate) fn is_at_rest(&self) -> bool {
        let mut taken = self.lock();
        let Taken { starting, threads, workers, stopped, .. } = &mut *taken;
        threads.retain(|&thread, _| threads::exists(thread));
        workers.retain(|&thread| threads::exists(thread));
        *starting == 0 && threads.keys().chain(&*workers).all(|thread| stopped.contains(thread))
    }

    pub(crate) fn key_event(&self, key: u32, created: bool) {
        let mut taken = self.lock();
        if created {
            taken.keys.insert(key);
        } else {
            taken.keys.remove(&key);
        }
    }

    /// Ends what handles signals for the library: none of its handlers is called any more. Waits for a handler that runs, at
    /// most for `limit`.
    pub(crate) fn end_signals(&self, limit: Duration) {
        self.signals.forget_handlers();
        let begun = Instant::now();
        while self.signals.receiver().is_some_and(threads::exists) && begun.elapsed() < limit {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// What the library does at signals.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// The file descriptors that the library makes.
    pub(crate) fn descriptors(&self) -> &Maker {
        &self.descriptors
    }

    /// Sets what is done when the library calls `abort` or `exit`, on any of its threads.
    pub(crate) fn on_abort(&self, then: impl Fn(&Abort) + Send + Sync + 'static) {
        // A context has one generation, which sets it once.
        let _ = self.on_abort.set(Box::new(then));
    }

    /// Notes that the library has called `abort` or `exit`.
    pub(crate) fn abort(&self, abort: Abort) {
        if self.abort.set(abort).is_ok()
            && let (Some(abort), Some(then)) = (self.aborted(), self.on_abort.get())
        {
            then(abort);
        }
    }

    /// The call of `abort` or `exit` that ended the generation. The thread that made it never ends, and nobody knows what
    /// it held.
    pub fn aborted(&self) -> Option<&Abort> {
        self.abort.get()
    }

    /// The names of the library's own threads that still run.
    pub fn running_threads(&self) -> Vec<String> {
        let mut taken = self.lock();
        taken.threads.retain(|&thread, _| threads::exists(thread));
        let starting = (0..taken.starting).map(|_| "a thread that is being made".to_owned());
        let name = |(&thread, inherited): (&libc::pid_t, &Option<String>)| {
            // One that was never given a name has that of the thread that has made it.
            let unnamed = inherited.is_some() && threads::own_name(thread) == *inherited;
            if unnamed { format!("an unnamed thread ({thread})") } else { threads::name(thread) }
        };
        taken.threads.iter().map(name).chain(starting).collect()
    }

    /// From now on, threads of the library that wait in a system call end when they are asked to.
    pub(super) fn let_threads_end(&self, ranges: Ranges) {
        let _ = self.thread_ranges.set(ranges);
    }

    /// Where its code is, if its threads are to end. Takes no lock and does not allocate.
    pub(super) fn thread_ranges(&self) -> Option<&Ranges> {
        self.thread_ranges.get()
    }

    /// Calls `f` with the kernel's number of each of the library's own threads that may run.
    pub(super) fn each_thread(&self, f: impl Fn(libc::pid_t)) {
        self.lock().threads.keys().copied().for_each(f);
    }

    /// Resolves when one of the library's own threads begins to end after this was called.
    pub(crate) fn thread_ends(&self) -> impl Future<Output = ()> + '_ {
        self.thread_ended.notified()
    }

    /// Notes the threads that nobody knows before the library is opened: they cannot run its code.
    pub(super) fn note_strangers(&self) {
        // It is opened once. Where they cannot be listed now, all count that run later.
        let _ = self.strangers.set(Strangers::now().unwrap_or_default());
    }

    /// The names of the threads that nobody knows, and that may run the library's code. Blocks for up to two seconds
    /// where there is one, to look again.
    pub(crate) fn strangers(&self) -> Vec<String> {
        let Some(before) = self.strangers.get() else { return Vec::new() };
        before.since().unwrap_or_else(|error| vec![format!("cannot list the process's threads: {error}")])
    }

    /// Closes the file descriptors of a library that has called `abort` or `exit`, and stays: as at the end of a process,
    /// its locks are free then. How many there were; `None`: a thread may still use them. Blocks for some seconds.
    pub(crate) fn close_descriptors(&self, limit: Duration) -> Option<usize> {
        self.end_signals(limit);
        let runs_nothing = !self.signals.receiver().is_some_and(threads::exists)
            && self.strangers().is_empty()
            && self.is_at_rest();
        // SAFETY: all threads that ran the library's code have ended or stopped for good, no handler of a signal is called
        // any more, and there is no thread that nobody knows. It is given no new one: its generation has ended.
        runs_nothing.then(|| unsafe { self.descriptors.close_left() })
    }

    /// Gives back what the library has left to the process: its pthread keys and file descriptors.
    ///
    /// # Safety
    /// The library is gone.
    pub(crate) unsafe fn give_back(&self) {
        let keys = std::mem::take(&mut self.lock().keys);
        for &key in &keys {
            // SAFETY: the library has made the key and will not use it again, by the caller's contract.
            unsafe { libc::pthread_key_delete(key) };
        }
        // SAFETY: by the caller's contract.
        let closed = unsafe { self.descriptors.close_left() };
        if closed > 0 {
            log::debug!("{}#{} left {closed} file descriptors open", self.app, self.generation);
        }
    }
}

/// The lowest pthread key of this process that is free; 1024, glibc's limit, when none is.
pub(crate) fn lowest_free_key() -> u32 {
    let mut key = 0;
    // SAFETY: the key is made and deleted here, and nobody else learns of it.
    unsafe {
        if libc::pthread_key_create(&mut key, None) != 0 {
            return 1024;
        }
        libc::pthread_key_delete(key);
    }
    key
}
