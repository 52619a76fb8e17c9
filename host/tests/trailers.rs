//! The fields after a body, in both directions (RFC 9110, section 6.5).

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use serde_json::{Value, json};
use support::{Host, Launch};

fn start(settings: Value) -> Host {
    let launch =
        Launch::serve(json!({ "defaults": settings, "apps": [{ "name": "a", "path": "libaxum-app.so" }] }));
    launch.library("axum-app").arg("--h2c").start()
}

/// All that comes back for these bytes in HTTP/1, up to the end of the connection.
fn exchange(host: &Host, request: &str) -> String {
    let mut connection = TcpStream::connect(host.address()).unwrap();
    connection.set_read_timeout(Some(support::LIMIT)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answers = Vec::new();
    // Where it is broken off, what came before matters.
    let _ = connection.read_to_end(&mut answers);
    String::from_utf8(answers).unwrap()
}

fn post(path: &str, headers: &str, chunks: &str) -> String {
    format!("POST /apps/a/{path} HTTP/1.1\r\nhost: a\r\n{headers}transfer-encoding: chunked\r\n\r\n{chunks}")
}

const CLOSE: &str = "connection: close\r\n";

#[test]
fn trailers_of_http1_come_and_go() {
    let host = start(json!({}));
    let chunks = "3\r\none\r\n0\r\nx-late: 1\r\nX-More:  2 \r\nx-late: 3\r\nContent-Length: 5\r\n\
        x-request-id: mine\r\n\r\n";
    let wants = "connection: te\r\nte: trailers\r\n";
    let answers = exchange(&host, &(post("mirror", wants, chunks) + &post("mirror", CLOSE, chunks)));
    let bodies: Vec<&str> = answers
        .split("HTTP/1.1 200 OK\r\n")
        .skip(1)
        .map(|answer| answer.split_once("\r\n\r\n").unwrap().1)
        .collect();
    // Only a client that takes them gets them.
    let expected = ["3\r\none\r\n0\r\nx-late: 1\r\nx-late: 3\r\nx-more: 2\r\n\r\n", "3\r\none\r\n0\r\n\r\n"];
    assert_eq!(bodies, expected, "{answers}");

    // Without data.
    let answer =
        exchange(&host, &post("mirror", &format!("{CLOSE}te: trailers\r\n"), "0\r\nx-late: 1\r\n\r\n"));
    assert!(answer.ends_with("\r\n\r\n0\r\nx-late: 1\r\n\r\n"), "{answer}");
    // A body whose length is in the head has no place for them, nor has HTTP/1.0.
    let answer = exchange(
        &host,
        "GET /apps/a/trailers-without-data/3 HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.contains("content-length: 0\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = exchange(&host, "GET /apps/a/trailers/3 HTTP/1.0\r\nhost: a\r\nte: trailers\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\n"), "{answer}");
    // What reads a body as a whole has no use for them.
    let answer = exchange(&host, &post("flip", CLOSE, "0\r\nx-late: 1\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
}

#[test]
fn trailers_that_are_no_fields_break_the_body() {
    let host = start(json!({}));
    for trailers in ["x late: 1\r\n", "x-late\r\n", "x-late: \u{1}\r\n", &"x: 1\r\n".repeat(97)] {
        let answer = exchange(&host, &post("echo", CLOSE, &format!("3\r\none\r\n0\r\n{trailers}\r\n")));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{trailers}: {answer}");
    }
    let answer = exchange(&host, &post("echo", CLOSE, &format!("0\r\n{}\r\n", "x: 1\r\n".repeat(96))));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Runs a client of HTTP/2 with prior knowledge, with a limit on how long it may wait.
fn run(host: &Host, client: impl AsyncFnOnce(SendRequest<Bytes>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let work = async {
        let stream = tokio::net::TcpStream::connect(host.address()).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::task::spawn_local(connection);
        tokio::time::timeout(support::LIMIT, client(sender)).await.expect("the host answers");
    };
    runtime.block_on(tokio::task::LocalSet::new().run_until(work));
}

fn request(method: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://a/apps/a/{path}"));
    request.version(Version::HTTP_2).body(()).unwrap()
}

fn fields<const N: usize>(fields: [(&'static str, &str); N]) -> HeaderMap {
    let field = |(name, value): (&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
    HeaderMap::from_iter(fields.map(field))
}

/// A body's data, and its trailers.
async fn rest(body: &mut h2::RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut data = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        data.extend_from_slice(&piece);
    }
    Ok((data, body.trailers().await?))
}

#[test]
fn trailers_of_http2_come_and_go() {
    let host = start(json!({}));
    run(&host, async |client| {
        // They come long after the data, and then with it.
        for early in [false, true] {
            let mut client = client.clone().ready().await.unwrap();
            let (response, mut sending) = client.send_request(request("POST", "mirror"), false).unwrap();
            let trailers =
                fields([("x-late", "1"), ("x-forwarded-for", "10.0.0.1"), ("content-length", "3")]);
            sending.send_data("one".into(), false).unwrap();
            if early {
                sending.send_trailers(trailers.clone()).unwrap();
            }
            let (head, mut body) = response.await.unwrap().into_parts();
            assert_eq!(head.headers["x-version"], "HTTP/2.0");
            if !early {
                assert_eq!(body.data().await.unwrap().unwrap(), "one");
                sending.send_trailers(trailers).unwrap();
            }
            let (data, trailers) = rest(&mut body).await.unwrap();
            assert_eq!((data.len(), trailers), (if early { 3 } else { 0 }, Some(fields([("x-late", "1")]))));
        }

        // Without data.
        let mut ready = client.clone().ready().await.unwrap();
        let (response, mut sending) = ready.send_request(request("POST", "mirror"), false).unwrap();
        sending.send_trailers(fields([("x-late", "1")])).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(rest(&mut body).await.unwrap(), (Vec::new(), Some(fields([("x-late", "1")]))));

        // A client need not announce that it takes them.
        for path in ["trailers/3", "trailers-without-data/3"] {
            let mut ready = client.clone().ready().await.unwrap();
            let (response, _) = ready.send_request(request("GET", path), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let expected = (Vec::new(), Some(fields([("x-filler", "xxx")])));
            assert_eq!(rest(&mut body).await.unwrap(), expected, "{path}");
        }

        // To HEAD, the head is all.
        let mut ready = client.clone().ready().await.unwrap();
        let (response, _) = ready.send_request(request("HEAD", "trailers/3"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(rest(&mut body).await.unwrap(), (Vec::new(), None));
    });
}

#[test]
fn trailers_of_a_request_have_the_limits_of_its_headers() {
    let host = start(json!({}));
    run(&host, async |client| {
        let large = fields([("x-late", &*"x".repeat(70_000))]);
        let mut many = HeaderMap::new();
        for number in 0..97 {
            many.insert(HeaderName::try_from(format!("x-{number}")).unwrap(), HeaderValue::from_static("1"));
        }
        for trailers in [large, many] {
            let mut client = client.clone().ready().await.unwrap();
            let (response, mut sending) = client.send_request(request("POST", "count"), false).unwrap();
            sending.send_data("one".into(), false).unwrap();
            sending.send_trailers(trailers).unwrap();
            // By the host if they come with the head, and otherwise by the app, whose body is broken.
            let status = response.await.unwrap().status().as_u16();
            assert!([400, 431, 500].contains(&status), "{status}");
        }
        let mut client = client.clone().ready().await.unwrap();
        let (response, mut sending) = client.send_request(request("POST", "mirror"), false).unwrap();
        let fits = fields([("x-late", &*"x".repeat(60_000))]);
        sending.send_trailers(fits.clone()).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert_eq!(rest(&mut body).await.unwrap().1, Some(fits));
    });
}

#[test]
fn trailers_of_an_answer_have_the_limit_of_its_head() {
    let host = start(json!({ "head_limit": 5000 }));
    let get = |length| {
        let head = "HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n\r\n";
        exchange(&host, &format!("GET /apps/a/trailers/{length} {head}"))
    };
    let fits = get(4900);
    assert!(fits.ends_with(&format!("\r\n0\r\nx-filler: {}\r\n\r\n", "x".repeat(4900))), "{fits}");
    let cut = get(5000);
    assert!(cut.is_empty() || cut.starts_with("HTTP/1.1 200") && !cut.contains("\r\n0\r\n"), "{cut}");
    host.wait_for_log(&["incomplete response", "more than head_limit = 5000"]);
    run(&host, async |client| {
        let mut client = client.ready().await.unwrap();
        let (response, _) = client.send_request(request("GET", "trailers/5000"), true).unwrap();
        let broken = match response.await {
            Ok(response) => rest(&mut response.into_body()).await.map(|_| ()),
            Err(error) => Err(error),
        };
        broken.unwrap_err();
    });
}

#[test]
fn an_app_knows_the_version_of_http() {
    let host = start(json!({}));
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let head = format!(
            "POST /apps/a/mirror {version}\r\nhost: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = exchange(&host, &head);
        assert!(answer.contains(&format!("x-version: {version}\r\n")), "{answer}");
    }
}
