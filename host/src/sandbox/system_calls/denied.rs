//! System calls that no sandbox allows, or only with certain arguments.

use std::iter::once;

use libc as c;
use seccompiler::{BackendError, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::arguments::{Calls, bits, int, is_not, number, when};
use crate::sandbox::policy::Policy;
use crate::sandbox::ports::Ports;

/// Calls that reach other processes, the kernel, or the system as a whole.
const ALWAYS: &[i64] = &[
    // Asynchronous calls, which no filter sees.
    c::SYS_io_uring_setup,
    c::SYS_io_uring_enter,
    c::SYS_io_uring_register,
    // Memory and state of other processes.
    c::SYS_ptrace,
    c::SYS_process_vm_readv,
    c::SYS_process_vm_writev,
    c::SYS_process_madvise,
    c::SYS_process_mrelease,
    c::SYS_pidfd_getfd,
    c::SYS_kcmp,
    c::SYS_move_pages,
    c::SYS_migrate_pages,
    // Mounts, namespaces and roots.
    c::SYS_mount,
    c::SYS_umount2,
    c::SYS_pivot_root,
    c::SYS_chroot,
    c::SYS_fsopen,
    c::SYS_fsconfig,
    c::SYS_fsmount,
    c::SYS_fspick,
    c::SYS_open_tree,
    OPEN_TREE_ATTR,
    c::SYS_move_mount,
    c::SYS_mount_setattr,
    STATMOUNT,
    LISTMOUNT,
    c::SYS_unshare,
    c::SYS_setns,
    // Keys.
    c::SYS_add_key,
    c::SYS_request_key,
    c::SYS_keyctl,
    // Programs in the kernel, and its counters.
    c::SYS_bpf,
    c::SYS_perf_event_open,
    c::SYS_userfaultfd,
    c::SYS_init_module,
    c::SYS_finit_module,
    c::SYS_delete_module,
    c::SYS_kexec_load,
    c::SYS_kexec_file_load,
    // Files other than by path, and events of files of all processes.
    c::SYS_open_by_handle_at,
    c::SYS_name_to_handle_at,
    c::SYS_fanotify_init,
    c::SYS_fanotify_mark,
    // The system as a whole.
    c::SYS_swapon,
    c::SYS_swapoff,
    c::SYS_reboot,
    c::SYS_sethostname,
    c::SYS_setdomainname,
    c::SYS_settimeofday,
    c::SYS_clock_settime,
    c::SYS_clock_adjtime,
    c::SYS_adjtimex,
    c::SYS_acct,
    c::SYS_quotactl,
    c::SYS_quotactl_fd,
    c::SYS_syslog,
    c::SYS_vhangup,
    c::SYS_personality,
    // Shared memory, queues and semaphores that belong to a user, not to a process.
    c::SYS_shmget,
    c::SYS_shmat,
    c::SYS_shmctl,
    c::SYS_shmdt,
    c::SYS_msgget,
    c::SYS_msgsnd,
    c::SYS_msgrcv,
    c::SYS_msgctl,
    c::SYS_semget,
    c::SYS_semop,
    c::SYS_semtimedop,
    c::SYS_semctl,
    c::SYS_mq_open,
    c::SYS_mq_unlink,
    c::SYS_mq_notify,
    // Owners, modes, times and attributes of files by path, for which Landlock has no rules.
    c::SYS_fchmodat,
    FCHMODAT2,
    c::SYS_fchownat,
    c::SYS_setxattr,
    c::SYS_lsetxattr,
    c::SYS_removexattr,
    c::SYS_lremovexattr,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
];

/// Calls that only x86-64 has.
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: &[i64] = &[
    c::SYS_uselib,
    c::SYS_ustat,
    c::SYS_sysfs,
    c::SYS__sysctl,
    c::SYS_iopl,
    c::SYS_ioperm,
    c::SYS_modify_ldt,
    c::SYS_chmod,
    c::SYS_chown,
    c::SYS_lchown,
    c::SYS_utime,
    c::SYS_utimes,
    c::SYS_futimesat,
];

#[cfg(not(target_arch = "x86_64"))]
const OF_THIS_MACHINE: &[i64] = &[];

// Numbers that libc does not have for each machine. From 424 on, they are the same for all.
const FCHMODAT2: i64 = 452;
const STATMOUNT: i64 = 457;
const LISTMOUNT: i64 = 458;
const SETXATTRAT: i64 = 463;
const REMOVEXATTRAT: i64 = 466;
const OPEN_TREE_ATTR: i64 = 467;
const FILE_SETATTR: i64 = 469;

/// Owners, modes, times and attributes of open files.
const ATTRIBUTES_OF_OPEN_FILES: &[i64] =
    &[c::SYS_fchmod, c::SYS_fchown, c::SYS_fsetxattr, c::SYS_fremovexattr];

/// Files in memory, which no limit counts.
const FILES_IN_MEMORY: &[i64] = &[c::SYS_memfd_create, c::SYS_memfd_secret];

/// Waiting for connections.
const LISTEN: &[i64] = &[c::SYS_listen, c::SYS_accept, c::SYS_accept4];

/// Calls that change the priority or the CPUs of the process whose number is their first argument; zero is the caller.
const SCHEDULING: &[i64] = &[
    c::SYS_prlimit64,
    c::SYS_sched_setaffinity,
    c::SYS_sched_setattr,
    c::SYS_sched_setparam,
    c::SYS_sched_setscheduler,
];

/// As [`SCHEDULING`], with the number as the second argument.
const PRIORITY: &[i64] = &[c::SYS_setpriority, c::SYS_ioprio_set];

/// The flags of `clone` that make a namespace. `CLONE_NEWTIME` is not among them: `clone` takes its bit for a signal.
const NAMESPACES: &[i32] = &[
    c::CLONE_NEWNS,
    c::CLONE_NEWCGROUP,
    c::CLONE_NEWUTS,
    c::CLONE_NEWIPC,
    c::CLONE_NEWUSER,
    c::CLONE_NEWPID,
    c::CLONE_NEWNET,
];

/// Requests of `ioctl` that type into the terminal of another process.
const TYPING: &[u64] = &[c::TIOCSTI, c::TIOCLINUX];

/// What `socket` takes for the kind of a socket, without flags.
const KIND: u64 = 0xf;

/// Calls that are not there: programs use `clone` instead, whose flags a filter can see.
pub(super) fn as_unknown() -> Calls {
    Calls::from([(c::SYS_clone3, Vec::new())])
}

/// Calls that are not permitted.
pub(super) fn calls(policy: &Policy) -> Result<Calls, BackendError> {
    let mut calls: Calls = ALWAYS.iter().chain(OF_THIS_MACHINE).map(|&call| (call, Vec::new())).collect();
    let mut deny_all = |numbers: &[i64]| calls.extend(numbers.iter().map(|&call| (call, Vec::new())));
    if !policy.exec {
        deny_all(&[c::SYS_execve, c::SYS_execveat]);
    }
    if policy.limits.memory.is_some() {
        deny_all(FILES_IN_MEMORY);
    }
    if policy.bind.is_empty() && !policy.unix_sockets {
        deny_all(LISTEN);
    }
    // Root owns the files of the system, and could change them through a descriptor that can only read.
    if policy.account.is_none() && rustix::process::geteuid().is_root() {
        deny_all(ATTRIBUTES_OF_OPEN_FILES);
    }
    for &call in SCHEDULING {
        calls.insert(call, vec![when(is_not(0, 0)?)?]);
    }
    for &call in PRIORITY {
        calls.insert(call, vec![when(is_not(1, 0)?)?]);
    }
    let flags = NAMESPACES.iter().map(|&flag| when(bits(0, number(flag), number(flag))?));
    calls.insert(c::SYS_clone, flags.collect::<Result<_, _>>()?);
    let requests = TYPING.iter().map(|&request| when(int(1, SeccompCmpOp::Eq, request)?));
    calls.insert(c::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    // With a path. Without one, it is about an open file.
    let path = SeccompCondition::new(1, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    calls.insert(c::SYS_utimensat, vec![when(path)?]);
    if policy.limits.memory.is_some() {
        calls.insert(c::SYS_mmap, shared_memory()?);
    }
    if policy.connect != Ports::Any {
        // It connects without a call of `connect`, and Landlock does not see it.
        let flag = number(c::MSG_FASTOPEN);
        for (call, index) in [(c::SYS_sendto, 3), (c::SYS_sendmsg, 2), (c::SYS_sendmmsg, 3)] {
            calls.insert(call, vec![when(bits(index, flag, flag)?)?]);
        }
    }
    calls.insert(c::SYS_socket, sockets(policy)?);
    calls.insert(c::SYS_socketpair, socket_pairs(policy)?);
    Ok(calls)
}

/// Rules for memory without a file that processes share, which no limit counts.
fn shared_memory() -> Result<Vec<SeccompRule>, BackendError> {
    let mask = number(c::MAP_TYPE | c::MAP_ANONYMOUS);
    let shared = number(c::MAP_SHARED | c::MAP_ANONYMOUS);
    Ok(vec![when(bits(3, mask, shared)?)?])
}

/// Rules for sockets that the policy does not allow. Without rules, none is allowed.
fn sockets(policy: &Policy) -> Result<Vec<SeccompRule>, BackendError> {
    let (tcp, udp, unix) = (policy.allows_tcp(), policy.udp, policy.unix_sockets);
    let mut families = Vec::new();
    if tcp || udp {
        families.extend([c::AF_INET, c::AF_INET6]);
    }
    if unix {
        families.push(c::AF_UNIX);
    }
    if families.is_empty() {
        return Ok(Vec::new());
    }
    let other_family = families.iter().map(|&family| is_not(0, number(family)));
    let mut rules = vec![SeccompRule::new(other_family.collect::<Result<_, _>>()?)?];
    let internet = || is_not(0, number(c::AF_UNIX));
    let allowed = [(tcp, c::SOCK_STREAM, c::IPPROTO_TCP), (udp, c::SOCK_DGRAM, c::IPPROTO_UDP)];
    let allowed = || allowed.iter().filter(|(on, ..)| *on);
    for kind in 0..=KIND {
        if !allowed().any(|&(_, allowed, _)| number(allowed) == kind) {
            rules.push(SeccompRule::new(vec![internet()?, bits(1, KIND, kind)?])?);
        }
    }
    // Others than those would be out of reach of Landlock's rules: Multipath TCP, SCTP.
    let protocols = once(0).chain(allowed().map(|&(.., protocol)| protocol));
    let other_protocol = once(internet()).chain(protocols.map(|protocol| is_not(2, number(protocol))));
    rules.push(SeccompRule::new(other_protocol.collect::<Result<_, _>>()?)?);
    Ok(rules)
}

/// Rules for pairs that the policy does not allow. A pair of datagram sockets could send to any path.
fn socket_pairs(policy: &Policy) -> Result<Vec<SeccompRule>, BackendError> {
    let mut rules = vec![when(is_not(0, number(c::AF_UNIX))?)?];
    if !policy.unix_sockets {
        let connected = [c::SOCK_STREAM, c::SOCK_SEQPACKET].map(number);
        for kind in (0..=KIND).filter(|kind| !connected.contains(kind)) {
            rules.push(when(bits(1, KIND, kind)?)?);
        }
    }
    Ok(rules)
}
