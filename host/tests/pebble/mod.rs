//! A certificate authority that speaks ACME: pebble, with names that lead to this machine.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::client;
use super::support::{Host, Launch, wait_for};

/// The ports of an address that nothing else listens on, below those that the system gives to clients.
const DIRECTORY: u16 = 21_000;
const MANAGEMENT: u16 = 21_001;
const HTTPS: u16 = 21_443;
const HTTP: u16 = 21_080;

/// Where a certificate authority and the hosts that it validates are: an address of loopback that no other test has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(Ipv4Addr);

impl Place {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        Self(Ipv4Addr::new(127, high.max(1), low, NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Where the authority connects to a name with TLS.
    pub(crate) fn https(self) -> SocketAddr {
        (self.0, HTTPS).into()
    }

    /// Where the authority connects to a name with HTTP.
    pub(crate) fn http(self) -> SocketAddr {
        (self.0, HTTP).into()
    }

    /// A host there, with certificates of the authority for these names.
    pub(crate) fn host(self, apps: &Value, names: &[&str]) -> Launch {
        let launch = Launch::command("serve").write("apps.json", apps.to_string());
        self.with_acme(launch, names, "200ms")
    }

    /// The directory of the authority.
    pub(crate) fn directory(self) -> String {
        format!("https://{}:{DIRECTORY}/dir", self.0)
    }

    /// Gives a host what it needs for certificates for these names; `retry` is the time after an order that fails.
    pub(crate) fn with_acme(self, launch: Launch, names: &[&str], retry: &str) -> Launch {
        let launch = names.iter().fold(launch, |launch, name| launch.args(["--acme", name]));
        launch.args(["--acme-agree-tos", "--acme-retry-delay", retry]).args([
            "--acme-ca-file",
            "authority.pem",
            "--acme-directory",
            &self.directory(),
        ])
    }
}

/// A certificate authority that runs, with its names.
#[derive(Debug)]
pub(crate) struct Pebble {
    pub(crate) program: Host,
    pub(crate) names: Names,
    place: Place,
    /// The certificate of the authority that issued the certificate of the directory.
    pub(crate) authority: String,
}

impl Pebble {
    /// Starts one at this place, with more settings.
    pub(crate) fn start(program: &Path, place: Place, more: &Value) -> Self {
        Self::start_with(program, place, more, "50")
    }

    /// As [`start`](Self::start); `reused` is how many percent of the validated names it remembers.
    pub(crate) fn start_with(program: &Path, place: Place, more: &Value, reused: &str) -> Self {
        let names = Names::serve(place.0);
        let (authority, certificate, key) = server_certificate(place.0);
        let mut settings = json!({
            "listenAddress": format!("{}:{DIRECTORY}", place.0),
            "managementListenAddress": format!("{}:{MANAGEMENT}", place.0),
            "certificate": "server.pem",
            "privateKey": "server.key",
            "httpPort": HTTP,
            "tlsPort": HTTPS,
        });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let program = Launch::program(program)
            .write("server.pem", certificate)
            .write("server.key", key)
            .write("pebble.json", json!({ "pebble": settings }).to_string())
            .args(["-config", "pebble.json", "-dnsserver", &names.address.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", reused)
            .spawn();
        let pebble = Self { program, names, place, authority };
        wait_for("pebble listens", || {
            client::get((place.0, DIRECTORY).into(), &pebble.root_of_server(), "/dir")
        });
        pebble
    }

    fn root_of_server(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()
    }

    /// The root of the certificates that it issues.
    pub(crate) fn root(&self) -> CertificateDer<'static> {
        let address = (self.place.0, MANAGEMENT).into();
        let root = client::get(address, &self.root_of_server(), "/roots/0").unwrap();
        CertificateDer::from_pem_slice(root.as_bytes()).unwrap()
    }

    /// How many certificates it has issued.
    pub(crate) fn issued(&self) -> usize {
        let output = self.program.stdout();
        output.lines().filter(|line| line.contains("Issued certificate serial")).count()
    }
}

/// The certificate of an authority, and one of that authority for this address with its key.
fn server_certificate(address: Ipv4Addr) -> (String, String, String) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);

    let mut server = CertificateParams::new([]).unwrap();
    server.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(address))];
    let key = KeyPair::generate().unwrap();
    let certificate = server.signed_by(&key, &issuer).unwrap().pem();
    (root, certificate, key.serialize_pem())
}

/// A server of DNS: each name has one address, but for those that are missing.
#[derive(Debug)]
pub(crate) struct Names {
    address: SocketAddr,
    missing: Arc<Mutex<HashSet<String>>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Names {
    fn serve(address: Ipv4Addr) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        let (missing, ends) = (Arc::new(Mutex::new(HashSet::new())), Arc::new(AtomicBool::new(false)));
        let mut names = Self { address: socket.local_addr().unwrap(), missing, ends, thread: None };
        let (missing, ends) = (names.missing.clone(), names.ends.clone());
        names.thread = Some(std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut question) {
                if ends.load(Ordering::Relaxed) {
                    break;
                }
                let answer = answer(&question[..length], address, &missing.lock().unwrap());
                // A client that has gone asks no more.
                let _ = answer.map(|answer| socket.send_to(&answer, client));
            }
        }));
        names
    }

    /// There is no such name.
    pub(crate) fn remove(&self, name: &str) {
        self.missing.lock().unwrap().insert(name.to_owned());
    }

    /// There is such a name again.
    pub(crate) fn add(&self, name: &str) {
        self.missing.lock().unwrap().remove(name);
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        let woken =
            UdpSocket::bind((self.address.ip(), 0)).and_then(|socket| socket.send_to(&[0], self.address));
        if let Some(thread) = self.thread.take().filter(|_| woken.is_ok()) {
            let _ = thread.join();
        }
    }
}

/// The answer to a question of DNS (RFC 1035). `None`: it is none.
fn answer(question: &[u8], address: Ipv4Addr, missing: &HashSet<String>) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const OF_IPV4: &[u8] = &[0, 1];
    let (mut labels, mut end) = (Vec::new(), HEADER);
    loop {
        let length = usize::from(*question.get(end)?);
        end += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(end..end + length)?).to_ascii_lowercase());
        end += length;
    }
    let kind = question.get(end..end + 2)?;
    let is_missing = missing.contains(&labels.join("."));
    let has_address = kind == OF_IPV4 && !is_missing;
    let mut answer = question.get(..2)?.to_vec();
    // A recursive answer without an error, or with the one for names that do not exist.
    answer.extend([0x81, if is_missing { 0x83 } else { 0x80 }, 0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    answer.extend(question.get(HEADER..end + 4)?);
    if has_address {
        // The name of the question, IPv4 in the internet, for no time, 4 bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
