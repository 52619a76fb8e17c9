//! The system calls that the strict preset allows.

use libc as c;
use seccompiler::BackendError;

use super::arguments::{Calls, bits, number, when};
use crate::sandbox::policy::Policy;

/// Memory, threads, time, signals within the process, and everything that is done with open descriptors.
const ALWAYS: &[i64] = &[
    // Memory.
    c::SYS_brk,
    c::SYS_mmap,
    c::SYS_munmap,
    c::SYS_mremap,
    c::SYS_mprotect,
    c::SYS_madvise,
    c::SYS_mincore,
    c::SYS_mlock,
    c::SYS_mlock2,
    c::SYS_munlock,
    c::SYS_msync,
    c::SYS_mbind,
    c::SYS_get_mempolicy,
    c::SYS_set_mempolicy,
    c::SYS_memfd_create,
    c::SYS_membarrier,
    c::SYS_pkey_alloc,
    c::SYS_pkey_free,
    c::SYS_pkey_mprotect,
    MSEAL,
    MAP_SHADOW_STACK,
    // Threads and the process itself.
    c::SYS_futex,
    c::SYS_futex_waitv,
    FUTEX_WAKE,
    FUTEX_WAIT,
    FUTEX_REQUEUE,
    c::SYS_set_robust_list,
    c::SYS_get_robust_list,
    c::SYS_set_tid_address,
    c::SYS_rseq,
    c::SYS_exit,
    c::SYS_exit_group,
    c::SYS_gettid,
    c::SYS_getpid,
    c::SYS_getppid,
    c::SYS_getpgid,
    c::SYS_getsid,
    c::SYS_getuid,
    c::SYS_geteuid,
    c::SYS_getgid,
    c::SYS_getegid,
    c::SYS_getgroups,
    c::SYS_getresuid,
    c::SYS_getresgid,
    c::SYS_getcpu,
    c::SYS_getrusage,
    c::SYS_prlimit64,
    c::SYS_sysinfo,
    c::SYS_uname,
    c::SYS_times,
    c::SYS_prctl,
    c::SYS_capget,
    c::SYS_sched_yield,
    c::SYS_sched_getaffinity,
    c::SYS_sched_setaffinity,
    c::SYS_sched_getparam,
    c::SYS_sched_getscheduler,
    c::SYS_sched_get_priority_max,
    c::SYS_sched_get_priority_min,
    c::SYS_getpriority,
    c::SYS_setpriority,
    c::SYS_landlock_create_ruleset,
    c::SYS_landlock_add_rule,
    c::SYS_landlock_restrict_self,
    c::SYS_seccomp,
    // Time.
    c::SYS_clock_gettime,
    c::SYS_clock_getres,
    c::SYS_clock_nanosleep,
    c::SYS_nanosleep,
    c::SYS_gettimeofday,
    c::SYS_timerfd_create,
    c::SYS_timerfd_settime,
    c::SYS_timerfd_gettime,
    c::SYS_timer_create,
    c::SYS_timer_settime,
    c::SYS_timer_gettime,
    c::SYS_timer_getoverrun,
    c::SYS_timer_delete,
    c::SYS_getitimer,
    c::SYS_setitimer,
    // Signals. Landlock confines them to the process.
    c::SYS_rt_sigaction,
    c::SYS_rt_sigprocmask,
    c::SYS_rt_sigreturn,
    c::SYS_rt_sigpending,
    c::SYS_rt_sigtimedwait,
    c::SYS_rt_sigsuspend,
    c::SYS_rt_sigqueueinfo,
    c::SYS_rt_tgsigqueueinfo,
    c::SYS_sigaltstack,
    c::SYS_signalfd4,
    c::SYS_kill,
    c::SYS_tkill,
    c::SYS_tgkill,
    c::SYS_restart_syscall,
    // Descriptors.
    c::SYS_read,
    c::SYS_readv,
    c::SYS_pread64,
    c::SYS_preadv,
    c::SYS_preadv2,
    c::SYS_write,
    c::SYS_writev,
    c::SYS_pwrite64,
    c::SYS_pwritev,
    c::SYS_pwritev2,
    c::SYS_lseek,
    c::SYS_close,
    c::SYS_close_range,
    c::SYS_dup,
    c::SYS_dup3,
    c::SYS_fcntl,
    c::SYS_flock,
    c::SYS_ioctl,
    c::SYS_ppoll,
    c::SYS_pselect6,
    c::SYS_epoll_create1,
    c::SYS_epoll_ctl,
    c::SYS_epoll_pwait,
    c::SYS_epoll_pwait2,
    c::SYS_eventfd2,
    c::SYS_pipe2,
    c::SYS_splice,
    c::SYS_tee,
    c::SYS_vmsplice,
    c::SYS_sendfile,
    c::SYS_copy_file_range,
    c::SYS_getrandom,
    // Files. Landlock says which.
    c::SYS_openat,
    c::SYS_openat2,
    c::SYS_fstat,
    c::SYS_newfstatat,
    c::SYS_statx,
    c::SYS_fstatfs,
    c::SYS_statfs,
    c::SYS_getdents64,
    c::SYS_getcwd,
    c::SYS_chdir,
    c::SYS_fchdir,
    c::SYS_readlinkat,
    c::SYS_faccessat,
    c::SYS_faccessat2,
    c::SYS_ftruncate,
    c::SYS_truncate,
    c::SYS_fallocate,
    c::SYS_fadvise64,
    c::SYS_readahead,
    c::SYS_fsync,
    c::SYS_fdatasync,
    c::SYS_unlinkat,
    c::SYS_renameat2,
    c::SYS_mkdirat,
    c::SYS_linkat,
    c::SYS_symlinkat,
    c::SYS_umask,
    c::SYS_fchmod,
    c::SYS_fchown,
    c::SYS_utimensat,
    c::SYS_fgetxattr,
    c::SYS_flistxattr,
    c::SYS_getxattr,
    c::SYS_lgetxattr,
    c::SYS_listxattr,
    c::SYS_llistxattr,
    c::SYS_inotify_init1,
    c::SYS_inotify_add_watch,
    c::SYS_inotify_rm_watch,
    // Sockets that are open, or that the rules for `socket` allow.
    c::SYS_socket,
    c::SYS_socketpair,
    c::SYS_connect,
    c::SYS_bind,
    c::SYS_listen,
    c::SYS_accept,
    c::SYS_accept4,
    c::SYS_getsockname,
    c::SYS_getpeername,
    c::SYS_getsockopt,
    c::SYS_setsockopt,
    c::SYS_shutdown,
    c::SYS_sendto,
    c::SYS_sendmsg,
    c::SYS_sendmmsg,
    c::SYS_recvfrom,
    c::SYS_recvmsg,
    c::SYS_recvmmsg,
];

/// The older names of those calls, which only x86-64 has.
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: &[i64] = &[
    c::SYS_access,
    c::SYS_alarm,
    c::SYS_arch_prctl,
    c::SYS_creat,
    c::SYS_dup2,
    c::SYS_epoll_create,
    c::SYS_epoll_wait,
    c::SYS_eventfd,
    c::SYS_getdents,
    c::SYS_getpgrp,
    c::SYS_getrlimit,
    c::SYS_inotify_init,
    c::SYS_link,
    c::SYS_lstat,
    c::SYS_mkdir,
    c::SYS_open,
    c::SYS_pause,
    c::SYS_pipe,
    c::SYS_poll,
    c::SYS_readlink,
    c::SYS_rename,
    c::SYS_renameat,
    c::SYS_rmdir,
    c::SYS_select,
    c::SYS_signalfd,
    c::SYS_stat,
    c::SYS_symlink,
    c::SYS_sync_file_range,
    c::SYS_time,
    c::SYS_unlink,
];

#[cfg(not(target_arch = "x86_64"))]
const OF_THIS_MACHINE: &[i64] = &[];

// Numbers that libc does not have for each machine; they are the same for all.
const MAP_SHADOW_STACK: i64 = 453;
const FUTEX_WAKE: i64 = 454;
const FUTEX_WAIT: i64 = 455;
const FUTEX_REQUEUE: i64 = 456;
const MSEAL: i64 = 462;

/// What executing other programs needs.
const EXECUTE: &[i64] = &[
    c::SYS_execve,
    c::SYS_execveat,
    c::SYS_wait4,
    c::SYS_waitid,
    c::SYS_setpgid,
    c::SYS_setsid,
    c::SYS_pidfd_open,
    c::SYS_pidfd_send_signal,
];

/// As [`EXECUTE`], on x86-64 only.
#[cfg(target_arch = "x86_64")]
const EXECUTE_OF_THIS_MACHINE: &[i64] = &[c::SYS_fork, c::SYS_vfork];

#[cfg(not(target_arch = "x86_64"))]
const EXECUTE_OF_THIS_MACHINE: &[i64] = &[];

/// Calls that are allowed; the denied ones among them stay denied.
pub(super) fn calls(policy: &Policy) -> Result<Calls, BackendError> {
    let mut calls: Calls = ALWAYS.iter().chain(OF_THIS_MACHINE).map(|&call| (call, Vec::new())).collect();
    let mut clone = Vec::new();
    if policy.exec {
        calls.extend(EXECUTE.iter().chain(EXECUTE_OF_THIS_MACHINE).map(|&call| (call, Vec::new())));
    } else {
        // Threads, but no processes.
        let thread = number(c::CLONE_THREAD);
        clone.push(when(bits(0, thread, thread)?)?);
    }
    calls.insert(c::SYS_clone, clone);
    // With the error that has programs use `clone`.
    calls.insert(c::SYS_clone3, Vec::new());
    Ok(calls)
}
