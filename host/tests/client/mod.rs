//! A blocking client of TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::support::LIMIT;

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    name: ServerName<'static>,
) -> io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// The certificate that a server has for a name, if it was issued by this authority.
pub(crate) fn handshake(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    name: &'static str,
) -> io::Result<CertificateDer<'static>> {
    let stream = connect(address, root, name.try_into().map_err(io::Error::other)?)?;
    let chain = stream.conn.peer_certificates().unwrap_or_default();
    chain.first().map(|certificate| certificate.clone().into_owned()).ok_or(io::ErrorKind::NotFound.into())
}

/// The body of a response to a GET, from a server with a certificate for its address. `None`: there is none.
pub(crate) fn get(address: SocketAddr, root: &CertificateDer<'static>, path: &str) -> Option<String> {
    get_from(address, root, ServerName::IpAddress(address.ip().into()), path)
}

/// As [`get`], from a server with a certificate for this name.
pub(crate) fn get_by_name(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    name: &'static str,
    path: &str,
) -> Option<String> {
    get_from(address, root, name.try_into().ok()?, path)
}

fn get_from(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    name: ServerName<'static>,
    path: &str,
) -> Option<String> {
    let mut stream = connect(address, root, name).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").ok()?;
    let mut response = Vec::new();
    // A server may close the connection without the end of TLS, and a refused client has no response.
    let _ = stream.read_to_end(&mut response);
    let response = String::from_utf8(response).ok()?;
    response
        .split_once("\r\n\r\n")
        .filter(|(head, _)| head.contains(" 200 "))
        .map(|(_, body)| body.to_owned())
}
