//! What a process in a sandbox does, or tries to.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use libc as c;
use serde_json::{Value, json};

use crate::system::{address, call, signed};

/// The user database that only root can read.
pub(crate) const SECRET: &str = "/etc/shadow";

pub(crate) fn perform(deed: &str, argument: &Value) -> io::Result<Value> {
    let path = || PathBuf::from(argument.as_str().expect("the argument is a path"));
    let number = || usize::try_from(argument.as_u64().expect("the argument is a number")).expect("it fits");
    let port = || u16::try_from(number()).expect("it is a port");
    match deed {
        "nothing" => Ok(Value::Null),
        // Files.
        "read" => Ok(json!(fs::read(path())?.len())),
        "list" => Ok(json!(fs::read_dir(path())?.count())),
        "write" => done(OpenOptions::new().append(true).open(path())?.write_all(b"x")),
        "create" => done(fs::write(path().join("created"), "x")),
        "make-folder" => done(fs::create_dir(path().join("made"))),
        "delete" => done(fs::remove_file(path())),
        "rename" => done(fs::rename(path(), path().with_extension("renamed"))),
        "link" => done(fs::hard_link(path(), path().with_extension("linked"))),
        "truncate" => {
            let name = c_path(&path());
            done(call(c::SYS_truncate, [name.as_ptr() as usize, 0]))
        }
        "truncate-on-open" => done(raw_open(&path(), c::O_RDONLY | c::O_TRUNC)),
        "change-mode" => done(fs::set_permissions(path(), fs::Permissions::from_mode(0o644))),
        "change-mode-of-open" => done(File::open(path())?.set_permissions(fs::Permissions::from_mode(0o644))),
        "change-owner" => done(std::os::unix::fs::chown(path(), Some(fs::metadata(path())?.uid()), None)),
        "change-times" => {
            let name = c_path(&path());
            done(call(c::SYS_utimensat, [signed(c::AT_FDCWD), name.as_ptr() as usize, 0, 0]))
        }
        "change-attribute" => {
            let (path, name) = (c_path(&path()), c"user.atoll");
            let arguments = [path.as_ptr() as usize, name.as_ptr() as usize, address("x"), 1, 0];
            done(call(c::SYS_setxattr, arguments))
        }
        "open-by-handle" => open_by_handle(&path()),
        "watch-everything" => done(call(c::SYS_fanotify_init, [0, 0]).map(owned)),
        "files-in-folder" => files_in_folder(&path()),
        "read-descriptor" => {
            let mut text = String::new();
            open_again(number())?.read_to_string(&mut text)?;
            Ok(json!(text))
        }
        // Programs.
        "execute" => Ok(json!(Command::new(path()).status()?.code())),
        "execute-replacing" => {
            let (program, null) = (c_path(&path()), 0_usize);
            done(call(c::SYS_execve, [program.as_ptr() as usize, address(&null), address(&null)]))
        }
        "execute-from-memory" => execute_from_memory(&path()),
        "print" => {
            let output = Command::new("/bin/cat").arg(path()).output()?;
            let failed = || io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned());
            output.status.success().then_some(Value::Null).ok_or_else(failed)
        }
        "load-from-descriptor" => load_from_descriptor(number()),
        "fork" => fork(c::SIGCHLD),
        // Other processes.
        "trace" => {
            call(c::SYS_ptrace, [c::PTRACE_SEIZE as usize, number(), 0, 0])?;
            done(Ok(()))
        }
        "signal" => done(call(c::SYS_kill, [number(), signed(c::SIGWINCH)])),
        "signal-thread" => done(call(c::SYS_tgkill, [number(), number(), signed(c::SIGWINCH)])),
        "signal-by-descriptor" => {
            let process = owned(call(c::SYS_pidfd_open, [number(), 0])?);
            done(call(c::SYS_pidfd_send_signal, [descriptor(&process), signed(c::SIGWINCH), 0, 0]))
        }
        "kill" => done(call(c::SYS_kill, [number(), signed(c::SIGKILL)])),
        "open-memory" => done(File::open(format!("/proc/{}/mem", number()))),
        "read-environment" => done(fs::read(format!("/proc/{}/environ", number()))),
        "read-memory" => read_memory(argument),
        "steal-descriptor" => {
            let process = owned(call(c::SYS_pidfd_open, [number(), 0])?);
            done(call(c::SYS_pidfd_getfd, [descriptor(&process), 1, 0]).map(owned))
        }
        "compare" => done(call(c::SYS_kcmp, [std::process::id() as usize, number(), 1, 0, 0])),
        "limit-other" => {
            let limit = c::rlimit { rlim_cur: c::RLIM_INFINITY, rlim_max: c::RLIM_INFINITY };
            done(call(c::SYS_prlimit64, [number(), c::RLIMIT_CORE as usize, 0, address(&limit)]))
        }
        "pin-other" => {
            let cpus = [u64::MAX; 16];
            done(call(c::SYS_sched_setaffinity, [number(), size_of_val(&cpus), address(&cpus)]))
        }
        "slow-other" => done(call(c::SYS_setpriority, [c::PRIO_PROCESS as usize, number(), 0])),
        // The system.
        "mount" => {
            let (kind, target) = (c"tmpfs", c_path(&path()));
            let (kind, target) = (kind.as_ptr() as usize, target.as_ptr() as usize);
            call(c::SYS_mount, [kind, target, kind, 0, 0])?;
            done(call(c::SYS_umount2, [target, c::MNT_DETACH as usize]))
        }
        "new-mount" => done(call(c::SYS_fsopen, [c"tmpfs".as_ptr() as usize, 0]).map(owned)),
        "change-root" => done(call(c::SYS_chroot, [c"/".as_ptr() as usize])),
        "set-host-name" => {
            let name = fs::read_to_string(path())?;
            done(call(c::SYS_sethostname, [name.trim().as_ptr() as usize, name.trim().len()]))
        }
        "adjust-clock" => {
            let query = [0_u64; 64];
            done(call(c::SYS_adjtimex, [address(&query)]))
        }
        "unshare" => done(call(c::SYS_unshare, [c::CLONE_NEWUTS as usize])),
        "unshare-user" => done(call(c::SYS_unshare, [c::CLONE_NEWUSER as usize])),
        "clone-namespace" => fork(c::CLONE_NEWUTS | c::SIGCHLD),
        "clone3-namespace" => clone3(c::CLONE_NEWUTS as u64),
        "enter-namespace" => {
            // It was opened by the parent.
            done(call(c::SYS_setns, [number(), 0]))
        }
        "io-uring" => {
            let parameters = [0_u8; 256];
            done(call(c::SYS_io_uring_setup, [1, address(&parameters)]).map(owned))
        }
        "add-key" => {
            const PROCESS_KEYRING: i32 = -2;
            let (kind, name) = (c"user".as_ptr() as usize, c"atoll".as_ptr() as usize);
            done(call(c::SYS_add_key, [kind, name, address("x"), 1, signed(PROCESS_KEYRING)]))
        }
        "keyctl" => {
            const GET_KEYRING: usize = 0;
            const PROCESS_KEYRING: i32 = -2;
            done(call(c::SYS_keyctl, [GET_KEYRING, signed(PROCESS_KEYRING), 1]))
        }
        "bpf" => {
            // An array of one number.
            let mut map = [0_u32; 32];
            map[..4].copy_from_slice(&[2, 4, 4, 1]);
            done(call(c::SYS_bpf, [0, address(&map), size_of_val(&map)]).map(owned))
        }
        "count-events" => count_events(),
        "userfaultfd" => done(call(c::SYS_userfaultfd, [1]).map(owned)),
        "personality" => done(call(c::SYS_personality, [0xffff_ffff])),
        "shared-segment" => {
            let segment = call(c::SYS_shmget, [0, 4096, 0o1600])?;
            done(call(c::SYS_shmctl, [segment, 0, 0]))
        }
        "message-queue" => {
            let name = format!("atoll-{}\0", std::process::id());
            let queue =
                call(c::SYS_mq_open, [address(name.as_str()), (c::O_CREAT | c::O_RDWR) as usize, 0o600, 0])?;
            drop(owned(queue));
            done(call(c::SYS_mq_unlink, [address(name.as_str())]))
        }
        "type" => type_into_terminal(),
        "foreign-call" => foreign_call(),
        #[cfg(target_arch = "x86_64")]
        "x32-call" => done(call(0x4000_0000 | c::SYS_getpid, [])),
        // Sockets.
        "connect" => done(TcpStream::connect(("127.0.0.1", port()))),
        "connect-ipv6" => done(TcpStream::connect(("::1", port()))),
        "connect-fast" => connect_fast(port()),
        "connect-multipath" => done(socket(c::AF_INET, c::SOCK_STREAM, c::IPPROTO_MPTCP)),
        "bind" => done(TcpListener::bind(("127.0.0.1", port()))),
        "listen-anywhere" => {
            let socket = socket(c::AF_INET, c::SOCK_STREAM, 0)?;
            done(call(c::SYS_listen, [descriptor(&socket), 1]))
        }
        "udp" => done(UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", ("127.0.0.1", port()))),
        "raw-socket" => done(socket(c::AF_INET, c::SOCK_RAW, c::IPPROTO_UDP)),
        "packet-socket" => done(socket(c::AF_PACKET, c::SOCK_RAW, 0)),
        "netlink" => done(socket(c::AF_NETLINK, c::SOCK_RAW, c::NETLINK_ROUTE)),
        "unix" => done(UnixStream::connect(path())),
        "unix-listen" => done(UnixListener::bind(path())),
        "unix-datagram-pair" => done(UnixDatagram::pair()?.0.send_to(b"x", path())),
        "abstract" => {
            let name = SocketAddr::from_abstract_name(path().as_os_str().as_bytes())?;
            done(UnixStream::connect_addr(&name))
        }
        "resolve" => Ok(json!(("localhost", 80).to_socket_addrs()?.count() > 0)),
        // Resources.
        "allocate" => allocate(number()),
        "allocate-shared" => allocate_shared(number()),
        "file-in-memory" => {
            let file = File::from(owned(call(c::SYS_memfd_create, [c"x".as_ptr() as usize, 0])?));
            done(file.set_len(number() as u64))
        }
        "spin" => {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(30) {}
            done(Ok(()))
        }
        "open-many" => {
            let files: io::Result<Vec<File>> = (0..number()).map(|_| File::open("/dev/null")).collect();
            Ok(json!(files?.len()))
        }
        "threads" => start_threads(number()),
        // What a process is.
        "status" => status(),
        // Ordinary work.
        "ordinary" => ordinary(),
        "tokio" => tokio_runtime(port()),
        _ => unreachable!("{deed}"),
    }
}

fn done<T>(result: io::Result<T>) -> io::Result<Value> {
    result.map(|_| Value::Null)
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path has no NUL")
}

fn owned(fd: usize) -> OwnedFd {
    let fd = i32::try_from(fd).expect("descriptors are small");
    // SAFETY: a system call has just returned it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn descriptor(fd: &impl AsRawFd) -> usize {
    signed(fd.as_raw_fd())
}

fn raw_open(path: &Path, flags: i32) -> io::Result<OwnedFd> {
    let name = c_path(path);
    call(c::SYS_openat, [signed(c::AT_FDCWD), name.as_ptr() as usize, flags as usize, 0]).map(owned)
}

fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    call(c::SYS_socket, [family as usize, kind as usize, protocol as usize]).map(owned)
}

/// Opens what a descriptor that this process has inherited refers to.
fn open_again(fd: usize) -> io::Result<File> {
    let copy = call(c::SYS_dup, [fd])?;
    Ok(File::from(owned(copy)))
}

fn open_by_handle(path: &Path) -> io::Result<Value> {
    let mut handle = [0_u32; 34];
    handle[0] = 128;
    let (mut mount, name) = (0_i32, c_path(path));
    let arguments = [
        signed(c::AT_FDCWD),
        name.as_ptr() as usize,
        address(&handle),
        std::ptr::from_mut(&mut mount) as usize,
        0,
    ];
    call(c::SYS_name_to_handle_at, arguments)?;
    let folder = File::open(path.parent().expect("it is in a folder"))?;
    done(
        call(c::SYS_open_by_handle_at, [descriptor(&folder), address(&handle), c::O_RDONLY as usize])
            .map(owned),
    )
}

/// What a database does with its files.
fn files_in_folder(folder: &Path) -> io::Result<Value> {
    let (path, other) = (folder.join("a"), folder.join("b"));
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    file.write_all(b"some text")?;
    file.sync_all()?;
    file.lock()?;
    file.unlock()?;
    file.set_len(4)?;
    let mode = file.metadata()?.mode() & 0o777;
    // SAFETY: the file has as many bytes, and only this process has it.
    let mapped =
        unsafe { c::mmap(std::ptr::null_mut(), 4, c::PROT_READ, c::MAP_SHARED, file.as_raw_fd(), 0) };
    if mapped == c::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    fs::rename(&path, &other)?;
    fs::create_dir_all(folder.join("c/d"))?;
    fs::hard_link(&other, folder.join("c/e"))?;
    std::os::unix::fs::symlink(&other, folder.join("f"))?;
    let names = fs::read_dir(folder)?.count();
    let text = fs::read_to_string(folder.join("f"))?;
    fs::remove_dir_all(folder.join("c"))?;
    fs::remove_file(&other)?;
    fs::remove_file(folder.join("f"))?;
    Ok(json!({ "text": text, "mode": mode, "names": names }))
}

fn execute_from_memory(program: &Path) -> io::Result<Value> {
    let content = fs::read(program)?;
    let mut file = File::from(owned(call(c::SYS_memfd_create, [c"x".as_ptr() as usize, 0])?));
    file.write_all(&content)?;
    let null = 0_usize;
    let flags = signed(c::AT_EMPTY_PATH);
    let empty = c"".as_ptr() as usize;
    done(call(c::SYS_execveat, [descriptor(&file), empty, address(&null), address(&null), flags]))
}

fn load_from_descriptor(fd: usize) -> io::Result<Value> {
    // SAFETY: it is a library of the test's.
    let library = unsafe { libloading::Library::new(format!("/proc/self/fd/{fd}")) };
    library.map(std::mem::forget).map_err(io::Error::other)?;
    Ok(Value::Null)
}

/// A child that ends at once.
fn fork(flags: i32) -> io::Result<Value> {
    let child = call(c::SYS_clone, [signed(flags), 0, 0, 0, 0])?;
    if child == 0 {
        let _ = call(c::SYS_exit_group, [0]);
    }
    done(call(c::SYS_wait4, [child, 0, 0, 0]))
}

fn clone3(flags: u64) -> io::Result<Value> {
    let arguments: [u64; 8] = [flags, 0, 0, 0, c::SIGCHLD as u64, 0, 0, 0];
    let child = call(c::SYS_clone3, [address(&arguments), size_of_val(&arguments)])?;
    if child == 0 {
        let _ = call(c::SYS_exit_group, [0]);
    }
    done(call(c::SYS_wait4, [child, 0, 0, 0]))
}

/// Reads the number at an address in another process: `[process, address]`.
fn read_memory(argument: &Value) -> io::Result<Value> {
    let part = |index: usize| argument[index].as_u64().expect("it is a number") as usize;
    let mut number = 0_u64;
    let local = c::iovec { iov_base: std::ptr::from_mut(&mut number).cast(), iov_len: 8 };
    let remote = c::iovec { iov_base: part(1) as *mut c::c_void, iov_len: 8 };
    call(c::SYS_process_vm_readv, [part(0), address(&local), 1, address(&remote), 1, 0])?;
    Ok(json!(number))
}

fn count_events() -> io::Result<Value> {
    // A software counter of the process's own CPU time.
    let mut attributes = [0_u64; 16];
    attributes[0] = 1 | (128 << 32);
    done(call(c::SYS_perf_event_open, [address(&attributes), 0, usize::MAX, usize::MAX, 0]).map(owned))
}

/// Types a character into the terminal of this session.
fn type_into_terminal() -> io::Result<Value> {
    call(c::SYS_setsid, [])?;
    let master = OpenOptions::new().read(true).write(true).open("/dev/ptmx")?;
    let mut number = 0_u32;
    let unlocked = 0_i32;
    call(c::SYS_ioctl, [descriptor(&master), c::TIOCSPTLCK as usize, address(&unlocked)])?;
    call(
        c::SYS_ioctl,
        [descriptor(&master), c::TIOCGPTN as usize, std::ptr::from_mut(&mut number) as usize],
    )?;
    let terminal = OpenOptions::new().read(true).write(true).open(format!("/dev/pts/{number}"))?;
    // Closing it would hang up on this process.
    std::mem::forget(master);
    done(call(c::SYS_ioctl, [descriptor(&terminal), c::TIOCSTI as usize, address("x")]))
}

/// A call of the 32-bit kind.
fn foreign_call() -> io::Result<Value> {
    #[cfg(target_arch = "x86_64")]
    {
        const GETPID: u64 = 20;
        let process: u64;
        // SAFETY: it takes no arguments and changes no memory.
        unsafe { std::arch::asm!("int 0x80", inlateout("rax") GETPID => process, options(nostack)) };
        if process == u64::from(std::process::id()) {
            return Ok(Value::Null);
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// Connects with the first data.
fn connect_fast(port: u16) -> io::Result<Value> {
    let socket = socket(c::AF_INET, c::SOCK_STREAM, 0)?;
    let to = c::sockaddr_in {
        sin_family: c::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: c::in_addr { s_addr: u32::from_ne_bytes([127, 0, 0, 1]) },
        sin_zero: [0; 8],
    };
    let flags = c::MSG_FASTOPEN as usize;
    done(call(c::SYS_sendto, [descriptor(&socket), address("x"), 1, flags, address(&to), size_of_val(&to)]))
}

fn allocate(bytes: usize) -> io::Result<Value> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(bytes).map_err(|_| io::Error::from_raw_os_error(c::ENOMEM))?;
    memory.resize(bytes, 1);
    Ok(json!(std::hint::black_box(memory).len()))
}

fn allocate_shared(bytes: usize) -> io::Result<Value> {
    let flags = (c::MAP_SHARED | c::MAP_ANONYMOUS) as usize;
    done(call(c::SYS_mmap, [0, bytes, (c::PROT_READ | c::PROT_WRITE) as usize, flags, usize::MAX, 0]))
}

fn start_threads(count: usize) -> io::Result<Value> {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let stopped = std::sync::Arc::new(std::sync::Mutex::new(stopped));
    let mut threads = Vec::new();
    let mut failed = None;
    for _ in 0..count {
        let stopped = stopped.clone();
        let thread = thread::Builder::new().spawn(move || {
            let _ = stopped.lock().expect("nobody panics").recv();
        });
        match thread {
            Ok(thread) => threads.push(thread),
            Err(error) => failed = Some(error),
        }
    }
    drop(stop);
    for thread in threads {
        thread.join().expect("nobody panics");
    }
    failed.map_or(Ok(json!(count)), Err)
}

fn status() -> io::Result<Value> {
    let text = fs::read_to_string("/proc/self/status")?;
    let lines = text.lines().filter_map(|line| line.split_once(":\t"));
    let fields: serde_json::Map<_, _> =
        lines.map(|(name, value)| (name.to_owned(), json!(value.trim()))).collect();
    let mut limits = serde_json::Map::new();
    for (name, limit) in [("core", c::RLIMIT_CORE), ("files", c::RLIMIT_NOFILE)] {
        let mut value = c::rlimit { rlim_cur: 0, rlim_max: 0 };
        call(c::SYS_prlimit64, [0, limit as usize, 0, std::ptr::from_mut(&mut value) as usize])?;
        limits.insert(name.to_owned(), json!([value.rlim_cur, value.rlim_max]));
    }
    let environment: Vec<_> = std::env::vars().collect();
    let folder = std::env::current_dir()?;
    let descriptors = fs::read_dir("/proc/self/fd")?.count();
    let death_signal = {
        let mut signal = 0_i32;
        call(c::SYS_prctl, [c::PR_GET_PDEATHSIG as usize, std::ptr::from_mut(&mut signal) as usize])?;
        signal
    };
    let dumpable = call(c::SYS_prctl, [c::PR_GET_DUMPABLE as usize])?;
    Ok(json!({
        "status": fields, "limits": limits, "environment": environment, "folder": folder,
        // Without the one of the listing.
        "descriptors": descriptors - 1,
        "death_signal": death_signal, "dumpable": dumpable,
    }))
}

/// What every program does.
fn ordinary() -> io::Result<Value> {
    let threads: Vec<_> = (0..8)
        .map(|number| thread::Builder::new().spawn(move || vec![number; 1 << 20].iter().sum::<usize>()))
        .collect::<io::Result<_>>()?;
    let sum: usize = threads.into_iter().map(|thread| thread.join().expect("nobody panics")).sum();
    assert_eq!(sum, 28 << 20);
    allocate(64 << 20)?;
    let mut random = [0_u8; 16];
    call(c::SYS_getrandom, [random.as_mut_ptr() as usize, random.len(), 0])?;
    assert_ne!(random, [0; 16]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(io::Error::other)?;
    assert!(now > Duration::from_secs(1_000_000_000));
    let begun = Instant::now();
    thread::sleep(Duration::from_millis(2));
    assert!(begun.elapsed() >= Duration::from_millis(2));
    let (mut one, mut other) = UnixStream::pair()?;
    one.write_all(b"x")?;
    other.read_exact(&mut [0])?;
    let (mut reader, mut writer) = io::pipe()?;
    writer.write_all(b"x")?;
    reader.read_exact(&mut [0])?;
    let caught = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(1)));
    assert!(caught.is_err());
    assert!(thread::available_parallelism()?.get() > 0);
    // To itself.
    call(c::SYS_kill, [std::process::id() as usize, signed(c::SIGWINCH)])?;
    Ok(json!("done"))
}

/// A server and its client, on one runtime.
fn tokio_runtime(port: u16) -> io::Result<Value> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::task::spawn_blocking(|| ()).await?;
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(b"hello").await
        });
        let mut text = String::new();
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await?.read_to_string(&mut text).await?;
        served.await??;
        Ok(json!(text))
    })
}
