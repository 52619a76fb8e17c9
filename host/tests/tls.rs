//! TLS and HTTP/2.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Version};
use serde_json::{Value, json};
use support::{Host, Launch};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{
    ClientConfig, ConfigBuilder, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version,
};

/// A certificate for `localhost` with its key, as text and for clients that trust it.
struct Pair {
    certificate: String,
    key: String,
    root: CertificateDer<'static>,
}

fn pair() -> Pair {
    pair_for("localhost")
}

fn pair_for(name: &str) -> Pair {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let root = made.cert.der().clone();
    Pair { certificate: made.cert.pem(), key: made.signing_key.serialize_pem(), root }
}

fn launch(pair: &Pair) -> Launch {
    Launch::serve(json!([{ "name": "probe", "path": "libprobe.so" }]))
        .library("probe")
        .write("cert.pem", &pair.certificate)
        .write("key.pem", &pair.key)
        .args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"])
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS12, &version::TLS13];

async fn connect(
    address: SocketAddr,
    root: &CertificateDer<'static>,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut config = config(root, versions).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    handshake(address, config, "localhost").await
}

fn config(
    root: &CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
}

async fn handshake(
    address: SocketAddr,
    config: ClientConfig,
    name: &'static str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name.try_into().unwrap(), stream).await
}

/// What comes back for a GET in HTTP/1.1, as text, up to the end of its head.
async fn get(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Begins HTTP/2, with a task that carries it.
async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> SendRequest<bytes::Bytes> {
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::task::spawn_local(connection);
    client
}

struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn call(client: &SendRequest<bytes::Bytes>, request: http::request::Builder, body: &[u8]) -> Reply {
    let request = request.version(Version::HTTP_2).body(()).unwrap();
    let mut client = client.clone().ready().await.unwrap();
    let (response, mut stream) = client.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(body.to_vec().into(), true).unwrap();
    }
    let (head, mut stream) = response.await.unwrap().into_parts();
    let mut body = Vec::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.unwrap();
        stream.flow_control().release_capacity(chunk.len()).unwrap();
        body.extend_from_slice(&chunk);
    }
    Reply { status: head.status.as_u16(), headers: head.headers, body }
}

fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://localhost:81{path}"))
}

/// Runs a client, with a limit on how long it may wait.
fn run(client: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(support::LIMIT, client).await.expect("the host answers") };
    runtime.block_on(tokio::task::LocalSet::new().run_until(limited));
}

#[test]
fn the_client_chooses_protocol_and_version() {
    let pair = pair();
    let host = launch(&pair).start();
    assert!(host.stdout().contains("https://127.0.0.1:"), "{}", host.stdout());
    run(async {
        for (versions, expected) in [
            (&BOTH[..1], ProtocolVersion::TLSv1_2),
            (&BOTH[1..], ProtocolVersion::TLSv1_3),
            (BOTH, ProtocolVersion::TLSv1_3),
        ] {
            let protocols: [(&[&str], Option<&[u8]>); 4] = [
                (&["h2", "http/1.1"], Some(b"h2")),
                (&["http/1.1"], Some(b"http/1.1")),
                (&["http/1.0"], Some(b"http/1.0")),
                (&[], None),
            ];
            for (offered, chosen) in protocols {
                let mut stream = connect(host.address(), &pair.root, offered, versions).await.unwrap();
                assert_eq!(stream.get_ref().1.protocol_version(), Some(expected));
                assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
                if chosen == Some(b"h2") {
                    let client = http2(stream).await;
                    let reply = call(&client, request(Method::GET, "/apps/probe/get-only"), b"").await;
                    assert_eq!((reply.status, &*reply.body), (200, &b"got"[..]));
                } else {
                    let head = get(&mut stream, "/apps/probe/get-only").await;
                    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                }
            }
        }
        let stranger = self::pair().root;
        connect(host.address(), &stranger, &[], BOTH).await.unwrap_err();
        let mut plain = TcpStream::connect(host.address()).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        // An alert of TLS or nothing, and no HTTP.
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
        assert_eq!(host.log_lines(&["ERROR"]), [""; 0], "no client fills the log");
    });
}

#[test]
fn http2_means_what_http1_means() {
    let pair = pair();
    let host = launch(&pair).start();
    run(async {
        let client = http2(connect(host.address(), &pair.root, &["h2"], BOTH).await.unwrap()).await;
        let seen = request(Method::GET, "/apps/probe/seen/a%20b?q=1")
            .header("x-many", "1")
            .header("x-many", "2")
            .header("te", "trailers")
            .header("x-request-id", "mine");
        let reply = call(&client, seen, b"").await;
        assert_eq!(reply.headers["x-request-id"], "mine");
        let seen = reply.json();
        assert_eq!((&seen["path"], &seen["query"]), (&json!("/seen/a%20b"), &json!("q=1")));
        let headers = seen["headers"].as_array().unwrap();
        for (name, value) in [
            ("host", "localhost:81"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("te", "trailers"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-host", "localhost:81"),
        ] {
            assert!(headers.contains(&json!([name, value])), "{name} in {seen}");
        }

        let body: Vec<u8> = (0..=255).cycle().take(60_000).collect();
        let reply = call(&client, request(Method::POST, "/apps/probe/echo"), &body).await;
        assert!(reply.body == body && reply.headers["content-length"] == "60000");

        let answer = |method: Method, answer: Value| {
            request(method, "/apps/probe/answer").header("x-answer", answer.to_string())
        };
        let headers = json!([
            ["connection", "close"],
            ["keep-alive", "x"],
            ["transfer-encoding", "chunked"],
            ["set-cookie", "a=1"],
            ["set-cookie", "b=2"]
        ]);
        let reply =
            call(&client, answer(Method::GET, json!({ "headers": headers, "body": "four" })), b"").await;
        assert_eq!((reply.status, &*reply.body), (200, &b"four"[..]));
        assert!(
            ["connection", "keep-alive", "transfer-encoding"]
                .iter()
                .all(|name| !reply.headers.contains_key(*name))
        );
        assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 2);
        for status in [204, 304] {
            let reply =
                call(&client, answer(Method::GET, json!({ "status": status, "body": "x" })), b"").await;
            assert_eq!((reply.status, reply.body.len()), (status, 0));
            assert!(!reply.headers.contains_key("content-length"), "{status}");
        }
        for (body, length) in [("four", "4"), ("", "99")] {
            let head = json!({ "body": body, "headers": [["content-length", "99"]] });
            let reply = call(&client, answer(Method::HEAD, head), b"").await;
            assert_eq!((reply.status, reply.body.len()), (200, 0));
            assert_eq!(reply.headers["content-length"], length);
        }

        let many = (0..100).fold(request(Method::GET, "/apps/probe/seen/x"), |call, number| {
            call.header(format!("x-{number}"), "1")
        });
        assert_eq!(call(&client, many, b"").await.status, 431);
        let long = format!("/{}", "x".repeat(33_000));
        assert_eq!(call(&client, request(Method::GET, &long), b"").await.status, 414);
        assert_eq!(call(&client, request(Method::GET, "/healthz"), b"").await.body, b"ok\n");
    });
}

#[test]
fn a_new_certificate_is_taken_over_and_connections_go_on() {
    let (old, new) = (pair(), pair());
    let host = launch(&old).start();
    run(async {
        let mut before = connect(host.address(), &old.root, &[], BOTH).await.unwrap();
        assert!(get(&mut before, "/apps/probe/answer").await.starts_with("HTTP/1.1 500"));

        let wait_for_answers = async |host: &Host| {
            connect(host.address(), &old.root, &[], BOTH).await.unwrap();
        };
        host.replace("cert.pem", "not a certificate");
        host.wait_for_log(&[
            "WARN",
            "keeping the current certificate",
            "cert.pem contains no usable certificate",
        ]);
        wait_for_answers(&host).await;
        host.replace("cert.pem", &new.certificate);
        host.wait_for_log(&["WARN", "the key key.pem does not match the certificate cert.pem"]);
        wait_for_answers(&host).await;
        host.replace("key.pem", &new.key);
        host.wait_for_log(&["INFO", "reloaded the certificate cert.pem"]);

        connect(host.address(), &new.root, &[], BOTH).await.unwrap();
        connect(host.address(), &old.root, &[], BOTH).await.unwrap_err();
        let head = get(&mut before, "/healthz").await;
        assert!(head.contains("HTTP/1.1 200"), "{head}");
    });
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (one, other) = (pair(), pair());
    let error = |launch: Launch| {
        let ended = launch.run();
        assert!(!ended.status.success());
        ended.stderr
    };
    let missing = launch(&one);
    std::fs::remove_file(missing.folder().join("cert.pem")).unwrap();
    let message = error(missing);
    assert!(message.contains("cannot read the certificate cert.pem: No such file"), "{message}");

    for (file, content, expected) in [
        ("cert.pem", "", "cert.pem contains no usable certificate in PEM format"),
        (
            "key.pem",
            "",
            "key.pem contains no usable private key in PEM format (a key with a passphrase is not supported)",
        ),
        ("key.pem", &*one.certificate, "key.pem contains no usable private key"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\nx", "key.pem is not in PEM format"),
        ("key.pem", &*other.key, "the key key.pem does not match the certificate cert.pem"),
    ] {
        let message = error(launch(&one).write(file, content));
        assert!(message.contains(expected), "{message}");
    }
    let half = Launch::serve("[]").args(["--tls-cert", "cert.pem"]).run();
    assert!(half.stderr.contains("--tls-key"), "{}", half.stderr);
}

#[test]
fn http2_without_tls_is_there_when_asked_for() {
    let launch = |args: &[&str]| {
        let apps = json!([{ "name": "probe", "path": "libprobe.so" }]);
        Launch::serve(apps).library("probe").args(args).start()
    };
    let host = launch(&["--h2c"]);
    assert_eq!(host.get("/apps/probe/get-only").text(), "got");
    run(async {
        let client = http2(TcpStream::connect(host.address()).await.unwrap()).await;
        let get = Request::builder().uri("http://localhost/apps/probe/seen/x");
        let seen = call(&client, get, b"").await.json();
        assert!(
            seen["headers"].as_array().unwrap().contains(&json!(["x-forwarded-proto", "http"])),
            "{seen}"
        );
    });
    let host = launch(&[]);
    let mut connection = host.connect();
    connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    assert_eq!(connection.receive("GET").unwrap().status, 400);
}

#[test]
fn http2_takes_no_authority_that_is_no_host() {
    let apps = json!([{ "name": "probe", "path": "libprobe.so" }]);
    let host = Launch::serve(apps).library("probe").args(["--h2c"]).start();
    run(async {
        let client = http2(TcpStream::connect(host.address()).await.unwrap()).await;
        let status = async |authority: &str, host: Option<&str>, path: &str| {
            let get = Request::builder().uri(format!("http://{authority}{path}"));
            let get = host.into_iter().fold(get, |get, host| get.header("host", host));
            call(&client, get, b"").await.status
        };
        let seen = "/apps/probe/seen/";
        assert_eq!(status("a.example:80", None, seen).await, 200);
        assert_eq!(status("a.example", Some("A.example"), seen).await, 200);
        for (authority, host) in [
            ("user@a.example", None),
            ("a.example:99999", None),
            ("a.example", Some("b.example")),
            ("a.example", Some("a b")),
        ] {
            assert_eq!(status(authority, host, seen).await, 400, "{authority} {host:?}");
        }
        assert_eq!(status("a", None, "/apps/probe/../probe/seen/").await, 400);
        assert_eq!(status("a", None, "/apps/probe").await, 308);
    });
}

#[test]
fn clients_get_the_certificate_for_their_name() {
    let (first, second) = (pair_for("one.example"), pair_for("*.two.example"));
    let host = launch(&first)
        .write("cert2.pem", &second.certificate)
        .write("key2.pem", &second.key)
        .args(["--tls-cert", "cert2.pem", "--tls-key", "key2.pem"])
        .start();
    run(async {
        let served = async |root: &CertificateDer<'static>, name: &'static str| {
            handshake(host.address(), config(root, BOTH).with_no_client_auth(), name).await
        };
        assert!(served(&first.root, "one.example").await.is_ok());
        assert!(served(&second.root, "a.two.example").await.is_ok());
        assert!(served(&second.root, "one.example").await.is_err(), "it gets the other one");
        // Without a name that is known, it is the first.
        let stream = served(&first.root, "other.example").await.unwrap_err();
        assert!(stream.to_string().contains("only valid for DnsName(\"one.example\")"), "{stream}");
        // A new one is used at once, as with one certificate.
        let new = pair_for("*.two.example");
        host.replace("key2.pem", &new.key);
        host.replace("cert2.pem", &new.certificate);
        host.wait_for_log(&["INFO", "reloaded the certificate cert.pem, cert2.pem"]);
        assert!(served(&new.root, "b.two.example").await.is_ok());
        assert!(served(&first.root, "one.example").await.is_ok());
    });
    let ended = launch(&first).args(["--tls-cert", "cert.pem"]).run();
    assert!(ended.stderr.contains("2 --tls-cert and 1 --tls-key: each certificate needs its key"));
}

#[test]
fn clients_need_a_certificate_of_the_authority() {
    let (server, client, stranger) = (pair(), pair_for("client.example"), pair_for("client.example"));
    let host = launch(&server)
        .write("clients.pem", &client.certificate)
        .args(["--tls-client-ca", "clients.pem"])
        .start();
    run(async {
        let with = |pair: &Pair| {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            config(&server.root, BOTH).with_client_auth_cert(vec![pair.root.clone()], key).unwrap()
        };
        let mut stream = handshake(host.address(), with(&client), "localhost").await.unwrap();
        let request = "GET /apps/probe/seen/x HTTP/1.0\r\nhost: localhost\r\nclient-cert: :bGll:\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let seen: Value = serde_json::from_str(body).unwrap();
        let headers = seen["headers"].as_array().unwrap();
        let certificates: Vec<_> = headers.iter().filter(|header| header[0] == "client-cert").collect();
        let expected = format!(":{}:", data_encoding::BASE64.encode(&client.root));
        assert_eq!(certificates, [&json!(["client-cert", expected])]);

        for config in [with(&stranger), config(&server.root, BOTH).with_no_client_auth()] {
            // In TLS 1.3 the client learns it with its first read.
            if let Ok(mut stream) = handshake(host.address(), config, "localhost").await {
                let _ = stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await;
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                assert_eq!(answer, b"");
            }
        }
        // Another authority is used at once.
        host.replace("clients.pem", &stranger.certificate);
        host.wait_for_log(&["INFO", "reloaded the certificate"]);
        let mut stream = handshake(host.address(), with(&stranger), "localhost").await.unwrap();
        assert!(get(&mut stream, "/healthz").await.starts_with("HTTP/1.1 200"));
    });
    let ended = launch(&server).write("none.pem", "").args(["--tls-client-ca", "none.pem"]).run();
    assert!(ended.stderr.contains("none.pem contains no usable client CA in PEM format"), "{}", ended.stderr);
}

#[test]
fn http_is_redirected_to_https() {
    let pair = pair();
    let host = launch(&pair).args(["--redirect-http", "127.0.0.1:0"]).start();
    let plain: SocketAddr = support::wait_for("the host names its addresses", || {
        let output = host.stdout();
        let (before, _) = output.split_once(" (redirects to HTTPS)")?;
        before.rsplit(", ").next()?.parse().ok()
    });
    let port = host.address().port();
    let mut connection = support::Connection::open(plain).unwrap();
    let reply = connection.call(&support::Call::post("/apps/probe/echo?a=b", "body")).unwrap();
    let location = format!("https://localhost:{port}/apps/probe/echo?a=b");
    assert_eq!((reply.status, reply.header("location")), (308, Some(location)));
    // Health checks of a load balancer are answered.
    assert_eq!(connection.call(&support::Call::get("/healthz")).unwrap().text(), "ok\n");
    assert_eq!(connection.call(&support::Call::get("/readyz")).unwrap().status, 200);
    let without = Launch::serve("[]").args(["--redirect-http", "127.0.0.1:0"]).run();
    assert!(without.stderr.contains("--tls-cert"), "{}", without.stderr);
}
