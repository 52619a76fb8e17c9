//! Libraries with damage in what the dynamic loader reads, as replacements under load.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use object::{Object, ObjectSection};

use super::client::{Call, Connection};
use super::host::{Host, Launch};
use super::libraries::damaged;
use super::wait_for;

/// What became of damaged libraries.
#[derive(Debug, Default)]
pub struct Damages {
    /// They were opened and served.
    pub served: u64,
    /// They were refused.
    pub refused: u64,
    /// They could be opened, and ended the host when their code ran.
    pub ended: u64,
    /// Requests that were answered with 200 by hosts that have not ended.
    pub answered: u64,
    /// Requests that hosts failed that have not ended.
    pub failed: u64,
}

const SERVED: &str = "is serving";
const REFUSED: &str = "failed to start";

/// Replaces the library of the app `v` by a damaged one for each seed. A host that ends is started again.
///
/// # Panics
/// When a host ends by a library that cannot even be opened.
pub fn replace_by_damaged(launch: impl Fn() -> Launch, original: &[u8], seeds: Range<u64>) -> Damages {
    let mut damages = Damages::default();
    let mut seeds = seeds.peekable();
    while seeds.peek().is_some() {
        let host = launch().write("libv.so", original).start();
        assert_eq!(host.get("/apps/v/").status, 200);
        let load = Askers::start(host.address());
        let count = |words: &str| host.log_lines(&[words]).len() as u64;
        let mut serving = None;
        let last = seeds.by_ref().find(|&seed| {
            let (served, refused) = (count(SERVED), count(REFUSED));
            host.replace("libv.so", damaged_for_loader(original, seed));
            let is_alive = wait_for(&format!("the library with seed {seed} is refused or served"), || {
                let is_alive = host.is_running();
                (!is_alive || count(SERVED) + count(REFUSED) > served + refused).then_some(is_alive)
            });
            if is_alive && count(SERVED) > served {
                serving = Some(seed);
            }
            !is_alive
        });
        damages.served += count(SERVED) - 1;
        damages.refused += count(REFUSED);
        let (answered, failed) = load.stop();
        let ended = if host.is_running() { host.stop() } else { host.ended() };
        if ended.status.success() {
            damages.answered += answered;
            damages.failed += failed;
            continue;
        }
        damages.ended += 1;
        let suspects: Vec<_> = serving.into_iter().chain(last).collect();
        let can_be_opened = |seed: &u64| {
            let check = Launch::command("check").arg("app.so");
            check.write("app.so", damaged_for_loader(original, *seed)).run().status.success()
        };
        assert!(
            suspects.iter().any(can_be_opened),
            "the host ended ({}) by one of {suspects:?}, of which none can be opened: {}",
            ended.status,
            ended.stderr
        );
    }
    damages
}

/// Threads that ask all the time.
struct Askers {
    stopping: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Askers {
    fn start(address: SocketAddr) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let (answered, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let threads = (0..2).map(|_| {
            let (stopping, answered, failed) = (stopping.clone(), answered.clone(), failed.clone());
            std::thread::spawn(move || {
                let mut connection = Connection::open(address).unwrap();
                while !stopping.load(Ordering::Relaxed) {
                    match connection.call(&Call::get("/apps/v/")) {
                        Ok(reply) if reply.status == 200 => answered.fetch_add(1, Ordering::Relaxed),
                        Ok(_) => failed.fetch_add(1, Ordering::Relaxed),
                        Err(_) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                    };
                    std::thread::sleep(Duration::from_millis(1));
                }
            })
        });
        let threads = threads.collect();
        Self { stopping, answered, failed, threads }
    }

    /// How many requests were answered, and how many failed.
    fn stop(self) -> (u64, u64) {
        self.stopping.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        (self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// A library with damage in what the dynamic loader reads and runs: the headers, the dynamic section, the places and kinds
/// of relocations, the constructors.
fn damaged_for_loader(library: &[u8], seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let file = object::File::parse(library).expect("it is a library");
    let section = |name: &str| {
        let range = file.section_by_name(name).and_then(|section| section.file_range());
        range.map(|(offset, size)| offset as usize..(offset + size) as usize)
    };
    // Where the ELF header ends, and the program headers, which follow it, do.
    const HEADER: std::ops::Range<usize> = 0x10..0x40;
    let segments = HEADER.end..HEADER.end + 56 * usize::from(library[0x38]);
    let relocations = section(".rela.dyn");
    let places = [Some(HEADER), Some(segments), section(".dynamic"), relocations.clone(), section(".init")];
    let places: Vec<_> = places.into_iter().flatten().collect();
    let place = places[random.usize(..places.len())].clone();
    let bytes = library.to_vec();
    let mut at = random.usize(place.clone());
    if relocations.is_some_and(|relocations| relocations == place) {
        // Each has an address, a kind and a value. A wrong value is nothing that the loader sees.
        let entry = place.start + (at - place.start) / 24 * 24;
        at = entry + random.usize(..16);
    }
    let length = [1, 2, 8][random.usize(..3)].min(place.end - at);
    damaged(bytes, at, length, &mut random)
}
