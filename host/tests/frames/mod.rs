//! HTTP/2 by hand, for what no client does.

use std::io::{Read, Result};
use std::net::TcpStream;

/// What a client begins with: the preface, and settings that are the defaults.
pub(crate) const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A GET request for a path, as the stream of this number.
pub(crate) fn http2_get(path: &str, stream: u8) -> Vec<u8> {
    // GET, http, and `:path` and `:authority` as they are.
    let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    let mut bytes = vec![0, 0, block.len() as u8, 1, 5, 0, 0, 0, stream];
    bytes.extend(block);
    bytes
}

/// Reads the next frame: its type, its flags, and its payload.
pub(crate) fn http2_frame(stream: &mut TcpStream) -> Result<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((head[3], head[4], payload))
}
