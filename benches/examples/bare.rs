//! The bare server on its own, for a profiler: `cargo run --release -p atoll-benches --example bare -- ADDRESS`.

use std::io;
use std::net::TcpListener;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3001".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("http://{}/apps/hello/greet/you", listener.local_addr()?);
    actix_web::rt::System::new().block_on(async { atoll_bare::bare_server(listener)?.await })
}
