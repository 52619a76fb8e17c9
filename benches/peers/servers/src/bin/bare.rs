//! The bare server: `bare ADDRESS`.

use std::io;
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(peer_servers::argument(1)?)?;
    actix_web::rt::System::new().block_on(async { atoll_bare::bare_server(listener)?.await })
}
