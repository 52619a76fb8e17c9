//! The request that is sent: about 450 bytes with eight headers, as a browser or a client library sends them.

use std::net::SocketAddr;

/// The path below the app.
pub(crate) const PATH: &str = "/greet/tobe";

/// The headers that do not depend on the server.
pub(crate) const HEADERS: [(&str, &str); 7] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "application/json, text/plain;q=0.9, */*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://shop.example/catalogue?page=2"),
    ("cookie", "session=0b1c2d3e4f5061728394a5b6c7d8e9f0; theme=dark"),
    ("cache-control", "no-cache"),
];

/// The bytes of the request as they go over a connection.
pub(crate) fn bytes(server: SocketAddr) -> Vec<u8> {
    let mut text = format!("GET /apps/hello{PATH} HTTP/1.1\r\nhost: {server}\r\n");
    for (name, value) in HEADERS {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    text.into_bytes()
}
