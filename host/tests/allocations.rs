//! How many allocations the host adds to a request: counted against the same handler in a bare actix-web server, on one
//! connection. What the app allocates for itself is on a heap of its own, and not counted.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use atoll_host::config::Config;
use atoll_host::internal::Registrar;
use atoll_host::internal::http_server::Server;
use serde_json::json;
use tokio::sync::oneshot;

use support::{LIMIT, library};

/// The most allocations that the host may add to a request.
const BUDGET: f64 = 0.5;

/// The system's allocator, counted.
struct Counting(AtomicU64);

#[global_allocator]
static ALLOCATOR: Counting = Counting(AtomicU64::new(0));

// SAFETY: all is the system allocator's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by the caller's contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.0.fetch_add(1, Ordering::Relaxed);
        // SAFETY: by the caller's contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// A server on a thread of its own, until this is dropped.
struct Running(SocketAddr, Option<(oneshot::Sender<()>, thread::JoinHandle<()>)>);

impl Running {
    fn start<F: Future<Output = ()>>(
        serve: impl FnOnce(mpsc::Sender<SocketAddr>, oneshot::Receiver<()>) -> F + Send + 'static,
    ) -> Self {
        let ((address, told), (end, ended)) = (mpsc::channel(), oneshot::channel());
        let thread = thread::spawn(move || actix_web::rt::System::new().block_on(serve(address, ended)));
        Self(told.recv_timeout(LIMIT).expect("the server starts"), Some((end, thread)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.1.take() {
            let _ = end.send(());
            let _ = thread.join();
        }
    }
}

async fn atoll(address: mpsc::Sender<SocketAddr>, ended: oneshot::Receiver<()>) {
    let apps = json!([{ "name": "hello", "path": library("hello") }]).to_string();
    let config = Config::parse(&apps, Path::new("/"), "apps.json").unwrap();
    let registrar = Registrar::builder().build().unwrap();
    registrar.apply(&config);
    let server = Server::bind(registrar.registry().clone(), "127.0.0.1:0").unwrap();
    address.send(server.addresses()[0]).unwrap();
    tokio::select! {
        ended = server.run(futures_util::stream::pending()) => ended.unwrap(),
        _ = ended => {}
    }
    registrar.close().await;
}

async fn bare(address: mpsc::Sender<SocketAddr>, ended: oneshot::Receiver<()>) {
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Greeting {
        name: String,
    }
    let greet = async |greeting: web::Path<Greeting>| HttpResponse::Ok().json(&*greeting);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    address.send(listener.local_addr().unwrap()).unwrap();
    let app = move || App::new().route("/apps/hello/greet/{name}", web::get().to(greet));
    let server = HttpServer::new(app).disable_signals().listen(listener).unwrap().run();
    tokio::select! {
        served = server => served.unwrap(),
        _ = ended => {}
    }
}

/// The allocations of this process for each of many requests.
fn allocations_each(server: SocketAddr) -> f64 {
    const REQUESTS: u32 = 2000;
    const REQUEST: &[u8] = b"GET /apps/hello/greet/tobe HTTP/1.1\r\nHost: localhost:3000\r\nUser-Agent: test/1.0\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\n\r\n";
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; 4096];
    let mut send = |count| {
        for _ in 0..count {
            stream.write_all(REQUEST).unwrap();
            let mut filled = 0;
            while !answer[..filled].ends_with(br#"{"name":"tobe"}"#) {
                let read = stream.read(&mut answer[filled..]).unwrap();
                assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..filled]));
                filled += read;
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
    };
    // What is made once has been made then.
    send(REQUESTS / 10);
    let before = ALLOCATOR.0.load(Ordering::SeqCst);
    send(REQUESTS);
    (ALLOCATOR.0.load(Ordering::SeqCst) - before) as f64 / f64::from(REQUESTS)
}

#[test]
fn the_host_adds_few_allocations_to_a_request() {
    // Built before anything waits for it.
    library("hello");
    let (atoll, bare) = (Running::start(atoll), Running::start(bare));
    let (atoll, bare) = (allocations_each(atoll.0), allocations_each(bare.0));
    println!("{atoll:.2} allocations for each request, {bare:.2} of a bare server");
    assert!(bare > 1.0, "the bare server's are counted, too: {bare:.2}");
    assert!(atoll - bare <= BUDGET, "{atoll:.2} allocations for each request, {bare:.2} of a bare server");
}
