//! The PROXY protocol: a proxy that passes connections on begins each with the address of its client.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ppp::v1::Addresses as V1;
use ppp::v2::{Addresses as V2, Command};
use ppp::{HeaderResult, PartialResult};
use tokio::io::{AsyncRead, AsyncReadExt};

/// No header is shorter: `PROXY UNKNOWN`, and the end of the line.
const SHORTEST: usize = 15;

/// What a header of version 2 begins with; its length follows, and 2 bytes before that.
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;

/// The most bytes of a header in version 1.
const V1_LONGEST: usize = 107;

/// Reads the header, and nothing after it. Returns the client's address, or `None` if the proxy asks by itself, as for its
/// health checks.
///
/// # Errors
/// There is no valid header.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; SHORTEST];
    stream.read_exact(&mut header).await?;
    if header.starts_with(V2_SIGNATURE) {
        header.push(stream.read_u8().await?);
        let length = usize::from(u16::from_be_bytes([header[V2_HEAD - 2], header[V2_HEAD - 1]]));
        header.resize(V2_HEAD + length, 0);
        stream.read_exact(&mut header[V2_HEAD..]).await?;
    } else {
        // What follows it must not be read with it.
        while !header.ends_with(b"\r\n") && header.len() < V1_LONGEST {
            header.push(stream.read_u8().await?);
        }
    }
    address(&header)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol"))
}

/// The client's address in a header; `None` if it is not valid.
fn address(header: &[u8]) -> Option<Option<SocketAddr>> {
    let socket = |ip: IpAddr, port| Some(Some(SocketAddr::new(ip, port)));
    let parsed = HeaderResult::parse(header);
    if parsed.is_incomplete() {
        return None;
    }
    match parsed {
        HeaderResult::V1(header) => match header.ok()?.addresses {
            V1::Tcp4(it) => socket(it.source_address.into(), it.source_port),
            V1::Tcp6(it) => socket(it.source_address.into(), it.source_port),
            V1::Unknown => Some(None),
        },
        HeaderResult::V2(header) => {
            let header = header.ok()?;
            match header.addresses {
                _ if header.command == Command::Local => Some(None),
                V2::IPv4(it) => socket(it.source_address.into(), it.source_port),
                V2::IPv6(it) => socket(it.source_address.into(), it.source_port),
                V2::Unspecified | V2::Unix(_) => Some(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn read_all(bytes: &[u8]) -> (io::Result<Option<SocketAddr>>, Vec<u8>) {
        let mut rest = bytes;
        let address = read(&mut rest).now_or_never().expect("all of it is there");
        (address, rest.to_vec())
    }

    /// A header of version 2: its command, its family, and what follows.
    fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = (addresses.len() as u16).to_be_bytes();
        [V2_SIGNATURE, &[0x20 | command, family], &length, addresses].concat()
    }

    #[test]
    fn both_versions_name_the_client_and_leave_the_rest() {
        let ipv6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0, 7, 0, 80]].concat();
        let with_tlv = [&[1, 2, 3, 4, 5, 6, 7, 8, 0, 7, 0, 80][..], &[4, 0, 1, 0]].concat();
        for (header, client) in [
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 7 80\r\n".to_vec(), Some("1.2.3.4:7")),
            (b"PROXY TCP6 2001:db8::1 ::1 7 80\r\n".to_vec(), Some("[2001:db8::1]:7")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (v2(1, 0x11, &[1, 2, 3, 4, 5, 6, 7, 8, 0, 7, 0, 80]), Some("1.2.3.4:7")),
            (v2(1, 0x11, &with_tlv), Some("1.2.3.4:7")),
            (v2(1, 0x21, &ipv6), Some("[2001:db8::1]:7")),
            (v2(0, 0, &[]), None),
        ] {
            let (address, rest) = read_all(&[&header[..], b"GET / HTTP/1.1\r\n"].concat());
            assert_eq!(address.unwrap(), client.map(|client| client.parse().unwrap()));
            assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
            b"PROXY TCP4 1.2.3.4\r\n and more that follows",
            b"PROXY TCP4 1.2.3.4 5.6.7.8 7 99999\r\n",
            b"PROXY",
            &[b"PROXY TCP4 ", &[b'1'; 200][..]].concat(),
            &v2(1, 0x11, &[1, 2, 3]),
            &v2(1, 0x11, &[1; 12])[..20],
        ] {
            assert!(read_all(bytes).0.is_err(), "{}", bytes.escape_ascii());
        }
    }
}
