//! System calls of another kind than the process's own.

use seccompiler::BpfProgram;
#[cfg(target_arch = "x86_64")]
use seccompiler::sock_filter;

/// Lets the calls with numbers of x32 fail, which the other filters do not know: on x86-64, a process can make native calls
/// and those of x32, which differ in one bit. The other filters end a process that makes calls of another architecture.
#[cfg(target_arch = "x86_64")]
pub(super) fn program() -> Option<BpfProgram> {
    /// The bit that all numbers of x32 have.
    const X32: u32 = 0x4000_0000;
    /// Loads the number of the call, which is at the beginning of what a filter sees.
    const LOAD_NUMBER: u16 = 0x20;
    /// Continues after the next instruction if the number is lower.
    const SKIP_IF_LOWER: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let statement = |code, k| sock_filter { code, jt: 0, jf: 0, k };
    Some(vec![
        statement(LOAD_NUMBER, 0),
        sock_filter { code: SKIP_IF_LOWER, jt: 0, jf: 1, k: X32 },
        statement(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
        statement(RETURN, libc::SECCOMP_RET_ALLOW),
    ])
}

/// There is no other kind.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn program() -> Option<BpfProgram> {
    None
}
