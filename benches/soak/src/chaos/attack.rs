//! What the machine, and clients that mean harm, do to a host: each for a moment, after which the host has to be as before.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Connection, Host};

/// The files that the host may have open. Fewer than [`CONNECTIONS`].
pub(super) const OPEN_FILES: usize = 400;

/// How many connections a client opens to use the host's files up.
const CONNECTIONS: usize = 500;

/// How many clients open them.
const CLIENTS: usize = 4;

/// How many requests one HTTP/2 connection sends, whose client takes none of the answers.
const STREAMS: u32 = 2_000;

/// Signals that do nothing to a process that has no handler for them.
const HARMLESS: [i32; 3] = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH];

/// Signals that a host takes from outside, and that apps handle.
const SIGNALS: [i32; 4] = [libc::SIGHUP, libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH];

/// How long an attack lasts.
const MOMENT: Duration = Duration::from_millis(300);

/// One of the signals that [`super`]'s apps handle.
pub(super) fn any_signal(random: &mut fastrand::Rng) -> i32 {
    SIGNALS[random.usize(0..SIGNALS.len())]
}

/// A signal that an app can send itself and live.
pub(super) fn harmless_signal(random: &mut fastrand::Rng) -> i32 {
    HARMLESS[random.usize(0..HARMLESS.len())]
}

/// Sends the host a signal.
pub(super) fn signal(host: &Host, signal: i32) {
    // SAFETY: the host has not been waited for, so that its number is still its own.
    unsafe { libc::kill(host.pid() as libc::pid_t, signal) };
}

/// Kills one of the host's app processes, if it has any but those of `spared`.
pub(super) fn kill_app_process(host: &Host, spared: &str, random: &mut fastrand::Rng) {
    let name = |process: u32| std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
    let mut processes = host.app_processes();
    // One that waits for an app has a shorter name, and may get that app just now.
    processes.retain(|&process| name(process).starts_with("atoll:") && !name(process).contains(spared));
    if let Some(process) = random.choice(processes) {
        // SAFETY: the host waits for its processes only when they have ended, so that the number is still that of one.
        unsafe { libc::kill(process as libc::pid_t, libc::SIGKILL) };
    }
}

/// Opens more connections than the host may have files, from several addresses, as each has only a share of them.
pub(super) fn use_up_descriptors(address: SocketAddr) {
    let source = |number: usize| IpAddr::from([127, 0, 0, 2 + (number % CLIENTS) as u8]);
    let connections: Vec<_> =
        (0..CONNECTIONS).map_while(|number| Connection::open_from(source(number), address).ok()).collect();
    sleep(MOMENT);
    drop(connections);
}

/// Fills the file system that the host keeps its copies of libraries in.
pub(super) fn fill_disk(folder: &Path) -> io::Result<()> {
    let path = folder.join("filler");
    let mut file = File::create(&path)?;
    let block = vec![0; 1 << 20];
    while file.write_all(&block).is_ok() {}
    sleep(MOMENT);
    std::fs::remove_file(path)
}

/// Sends many requests on one HTTP/2 connection, and takes nothing of the answers.
pub(super) fn flood_http2(address: SocketAddr) {
    // That the host breaks the connection off is one way to bear it.
    let _ = try_flood_http2(address);
}

fn try_flood_http2(address: SocketAddr) -> io::Result<()> {
    const SETTINGS: u8 = 4;
    const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0, 0, 0, 0];
    let mut stream = TcpStream::connect(address)?;
    // The host may stop to read.
    stream.set_write_timeout(Some(MOMENT))?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(SETTINGS, 0, 0, &INITIAL_WINDOW_SIZE))?;
    for number in 0..STREAMS {
        stream.write_all(&get(2 * number + 1, "/apps/steady/"))?;
    }
    sleep(MOMENT);
    Ok(())
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A request that is complete with its head.
fn get(stream: u32, path: &str) -> Vec<u8> {
    const HEADERS: u8 = 1;
    const END_STREAM_AND_HEADERS: u8 = 5;
    // `:method: GET`, `:scheme: http`, and a literal `:path` and `:authority`.
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    frame(HEADERS, END_STREAM_AND_HEADERS, stream, &block)
}
