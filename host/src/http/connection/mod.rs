//! Clients' connections: TLS, the choice between HTTP/1 and HTTP/2, and the protocols themselves.
//!
//! Requests are parsed and responses encoded by actix-http (HTTP/1) and hyper (HTTP/2), and answered by one actix-web
//! service. What lies between, the order of requests on a connection and everything that a client could make the host
//! wait for or hold in memory, is decided here and has a limit in [`limits`].

mod addresses;
mod closing;
mod current;
mod http1;
mod http2;
pub(crate) mod limits;
mod negotiate;
mod prefixed;
mod protocols;
mod proxy_header;
mod proxy_protocol;
mod service;
mod shared;
mod shutdown;
mod transport;
mod unsent;

pub(crate) use self::addresses::Addresses;
pub(crate) use self::current::Current;
pub(crate) use self::protocols::Protocols;
pub(crate) use self::proxy_protocol::ProxyProtocol;
pub(crate) use self::service::factory;
pub(crate) use self::shared::Served;
pub(crate) use self::shutdown::Shutdown;
