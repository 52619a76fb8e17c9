//! The network between a host and a NATS server: a proxy that cuts it, holds it up, or slows it down.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Network {
    /// Nothing.
    Up,
    /// Each piece takes 20 ms longer.
    Slow,
    /// Nothing arrives, and nobody learns of it.
    Silent,
    /// Connections end, and none can be made.
    Cut,
    /// It is not needed any more.
    Gone,
}

impl Network {
    const ALL: [Self; 5] = [Self::Up, Self::Slow, Self::Silent, Self::Cut, Self::Gone];
}

/// How much longer a piece takes on a slow network.
const DELAY: Duration = Duration::from_millis(20);

/// How often a connection looks whether the network has changed.
const LOOK: Duration = Duration::from_millis(10);

/// The network between a host and one NATS server. It ends when it is dropped.
pub(super) struct Link {
    address: SocketAddr,
    network: Arc<AtomicU8>,
}

impl Link {
    /// One to the server at this port.
    ///
    /// # Errors
    /// There is no port to listen on.
    pub(super) fn to(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let network = Arc::new(AtomicU8::new(Network::Up as u8));
        let shared = network.clone();
        thread::spawn(move || {
            while let Ok((from, _)) = listener.accept() {
                match now(&shared) {
                    Network::Gone => return,
                    Network::Cut => drop(from),
                    Network::Up | Network::Slow | Network::Silent => {
                        // The server may be away; the host learns it by the end of its connection.
                        if let Ok(to) = TcpStream::connect(("127.0.0.1", port)) {
                            connect(from, to, &shared);
                        }
                    }
                }
            }
        });
        Ok(Self { address, network })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    pub(super) fn set(&self, network: Network) {
        self.network.store(network as u8, Ordering::SeqCst);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.set(Network::Gone);
        // Wakes the thread that accepts connections. It may have ended.
        let _ = TcpStream::connect(self.address);
    }
}

fn now(network: &AtomicU8) -> Network {
    Network::ALL[usize::from(network.load(Ordering::SeqCst))]
}

/// Carries a connection in both directions until one of its ends is gone.
fn connect(one: TcpStream, other: TcpStream, network: &Arc<AtomicU8>) {
    let (Ok(one_back), Ok(other_back)) = (one.try_clone(), other.try_clone()) else { return };
    for (from, to) in [(one, other), (other_back, one_back)] {
        let network = network.clone();
        thread::spawn(move || {
            // An end that is gone is what ends it.
            let _ = carry(&from, &to, &network);
            for end in [from, to] {
                let _ = end.shutdown(Shutdown::Both);
            }
        });
    }
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, network: &AtomicU8) -> io::Result<()> {
    from.set_read_timeout(Some(LOOK))?;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => 0,
            Err(error) => return Err(error),
        };
        while now(network) == Network::Silent {
            thread::sleep(LOOK);
        }
        match now(network) {
            Network::Cut | Network::Gone => return Ok(()),
            Network::Slow if length > 0 => thread::sleep(DELAY),
            Network::Slow | Network::Up | Network::Silent => {}
        }
        to.write_all(&piece[..length])?;
    }
}
