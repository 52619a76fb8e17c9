//! What one client may ask of the host by its connections alone.

use std::time::Duration;

/// How many of all connections that the HTTP threads may have one client may have, in percent. Further ones of it are
/// closed at once.
pub(crate) const ADDRESS_PERCENT: usize = 50;

/// How many file descriptors clients' connections leave free: for the control socket, the admin listener, and the files
/// that starting an app takes.
pub(crate) const FILES_KEPT_BACK: u64 = 64;

/// How long a TLS handshake may take. Then the connection is closed.
pub(crate) const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an HTTP/2 client may leave a ping unanswered. Then the connection is closed.
pub(crate) const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long an HTTP/2 connection that takes no more requests may stay open without one: its client need not answer.
pub(crate) const HTTP2_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the system of a client may acknowledge nothing: neither what was sent to it, nor the questions of the host's
/// system on a connection that is silent for half of this time. Then the connection is closed.
pub(crate) const CLIENT_GONE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a server that shuts down still accepts the connections that have come, while it takes no further ones.
pub(crate) const LAST_CONNECTIONS: Duration = Duration::from_millis(100);

/// For how long a host that another one has replaced still serves its connections at least: see
/// [`ServerLimits::shutdown_delay`](crate::ServerLimits).
pub(crate) const TAKEOVER_DELAY: Duration = Duration::from_secs(5);

/// How long the first request of a new connection, or the rest of a head, may take once the server shuts down.
pub(crate) const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How many bytes a client may send ahead of the answer that it waits for. More stay in the socket.
pub(crate) const MAX_READ_AHEAD: usize = 16 * 1024;

/// How many bytes of a request's body wait for the app. More stay in the socket.
pub(crate) const MAX_BODY_AHEAD: usize = 32 * 1024;

/// How many bytes the chunk extensions and trailers of a request may have in all. Beyond it, the body is broken: 400.
pub(crate) const MAX_CHUNK_EXTRAS: usize = 16 * 1024;

/// How much of a request is read and discarded after an answer that did not wait for it, so that the client can read the
/// answer. Then the connection is closed.
pub(crate) const MAX_DISCARDED: u64 = 256 * 1024 * 1024;

/// How long such a request is discarded in all.
pub(crate) const DISCARD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long nothing may come of such a request.
pub(crate) const DISCARD_PAUSE: Duration = Duration::from_secs(5);

/// How many requests are in flight on an HTTP/2 connection. One more is refused with `REFUSED_STREAM`.
pub(crate) const HTTP2_MAX_STREAMS: u32 = 100;

/// How many bytes the heads of requests in flight and the answers that the client has not taken have on an HTTP/2
/// connection. Beyond it, the connection's next requests wait.
pub(crate) const HTTP2_MAX_HELD: usize = 4 * 1024 * 1024;

/// The largest list of headers in HTTP/2, in bytes as RFC 9113 counts them. Beyond it: 431.
pub(crate) const HTTP2_MAX_HEADER_LIST: u32 = 128 * 1024;

/// How many bytes of requests' bodies may be on their way on an HTTP/2 connection.
pub(crate) const HTTP2_CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// How many bytes of one request's body may be on their way in HTTP/2.
pub(crate) const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;

/// How many requests a client may cancel on an HTTP/2 connection; it may do so a hundred times in each second without being
/// counted. Beyond it, the connection is closed.
pub(crate) const HTTP2_MAX_CANCELLED: u32 = 1000;

/// How many bytes of answers each HTTP thread holds for clients that are slow to take them. Beyond it, the connection that
/// holds the most is closed.
pub(crate) const MAX_UNSENT: usize = 256 * 1024 * 1024;

/// The fixed limits by name: times in milliseconds, sizes in bytes.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, u64)> {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    [
        ("connections_per_address_percent", ADDRESS_PERCENT as u64),
        ("files_kept_back", FILES_KEPT_BACK),
        ("tls_handshake_timeout_ms", milliseconds(TLS_HANDSHAKE_TIMEOUT)),
        ("client_gone_timeout_ms", milliseconds(CLIENT_GONE_TIMEOUT)),
        ("unsent_per_thread", MAX_UNSENT as u64),
        ("last_connections_ms", milliseconds(LAST_CONNECTIONS)),
        ("takeover_delay_ms", milliseconds(TAKEOVER_DELAY)),
        ("last_request_timeout_ms", milliseconds(LAST_REQUEST_TIMEOUT)),
        ("read_ahead", MAX_READ_AHEAD as u64),
        ("body_ahead", MAX_BODY_AHEAD as u64),
        ("chunk_extras", MAX_CHUNK_EXTRAS as u64),
        ("discarded", MAX_DISCARDED),
        ("discard_timeout_ms", milliseconds(DISCARD_TIMEOUT)),
        ("discard_pause_ms", milliseconds(DISCARD_PAUSE)),
        ("http2_close_timeout_ms", milliseconds(HTTP2_CLOSE_TIMEOUT)),
        ("http2_ping_timeout_ms", milliseconds(HTTP2_PING_TIMEOUT)),
        ("http2_streams", HTTP2_MAX_STREAMS.into()),
        ("http2_held", HTTP2_MAX_HELD as u64),
        ("http2_header_list", HTTP2_MAX_HEADER_LIST.into()),
        ("http2_connection_window", HTTP2_CONNECTION_WINDOW.into()),
        ("http2_stream_window", HTTP2_STREAM_WINDOW.into()),
        ("http2_cancelled", HTTP2_MAX_CANCELLED.into()),
    ]
    .into_iter()
}
