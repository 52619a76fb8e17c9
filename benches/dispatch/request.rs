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

/// What is asked of which server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) server: SocketAddr,
    /// Of the app, as the server has it.
    pub(crate) prefix: String,
}

impl Target {
    /// An app of a host.
    pub(crate) fn app(server: SocketAddr, name: &str) -> Self {
        Self { server, prefix: format!("/apps/{name}") }
    }

    /// The bytes of a `GET` as they go over a connection.
    pub(crate) fn get(&self, path: &str) -> Vec<u8> {
        self.request("GET", path, &[])
    }

    /// The bytes of a head of any other request, with headers of its own.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut text = format!("{method} {}{path} HTTP/1.1\r\nhost: {}\r\n", self.prefix, self.server);
        for (name, value) in HEADERS.iter().chain(headers) {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}
