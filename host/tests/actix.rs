//! A program for actix-web as an app.

mod support;

use std::net::TcpStream;

use serde_json::json;
use support::{Call, Host, Launch, Load, library, patched, wait_until};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

fn host() -> Host {
    Host::start(json!([{ "name": "actix-app", "path": library("actix-app") }]), &[])
}

fn path(path: &str) -> String {
    format!("/apps/actix-app{path}")
}

fn json_body(target: &str, body: &str) -> Call {
    Call::post(&path(target), body).header("content-type", "application/json")
}

#[test]
fn extractors_and_responders_work() {
    let host = host();
    let get = |target: &str| host.get(&path(target));
    let greeting = get("/greet/b%20c");
    assert_eq!((greeting.status, greeting.text().as_str()), (200, "hello, b c\n"));
    assert_eq!(greeting.header("x-by").as_deref(), Some("actix"), "a middleware adds it");
    assert_eq!(greeting.header("content-length").as_deref(), Some("11"));
    assert_eq!(get("/query?a=1&b=two").json(), json!({ "a": "1", "b": "two" }));
    assert_eq!(host.call(&json_body("/json", r#"{"x":[1,null]}"#)).json(), json!({ "x": [1, null] }));
    assert_eq!(host.call(&json_body("/json", "{")).status, 400);
    let form = Call::post(&path("/form"), "a=1&b=%C3%A4")
        .header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(host.call(&form).json(), json!({ "a": "1", "b": "ä" }));
    for n in 0..3 {
        assert_eq!(get("/count").text(), n.to_string());
    }
    let nothing = get("/nowhere");
    assert_eq!((nothing.status, nothing.text().as_str()), (404, "nothing here"));
    assert_eq!(get("/json").status, 404, "as in actix-web, where no route of the service is for GET");
}

#[test]
fn a_request_is_what_the_client_has_sent() {
    let host = host();
    for (method, body) in [("GET", ""), ("PUT", "12345"), ("DELETE", "")] {
        let call =
            Call::new(method, &path("/request")).body(body).header("x-test", "1").header("x-test", "2");
        let expected = json!({
            "method": method, "path": "/request", "peer": "127.0.0.1", "header": ["1", "2"],
            "body": body.len(), "has_host": true,
        });
        assert_eq!(host.call(&call).json(), expected);
    }
    let head = host.call(&Call::new("HEAD", &path("/greet/reef")));
    assert_eq!(
        (head.status, head.header("content-length").as_deref()),
        (404, Some("12")),
        "there is no route for HEAD"
    );
}

#[test]
fn cookies_and_redirects_stay_below_the_apps_prefix() {
    let host = host();
    let first = host.get(&path("/cookies"));
    assert_eq!(first.json(), json!(null));
    let cookies: Vec<_> = first.header_bytes("set-cookie").iter().map(|value| value.to_vec()).collect();
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    let again = host.call(&Call::get(&path("/cookies")).header("cookie", "seen=yes"));
    assert_eq!(again.json(), json!("yes"));
    let moved = host.get(&path("/old"));
    assert_eq!((moved.status, moved.header("location").as_deref()), (303, Some("/apps/actix-app/greet/new")));
}

#[test]
fn errors_and_panics_are_answers() {
    let host = host();
    let refused = host.get(&path("/refuse"));
    assert_eq!((refused.status, refused.text().as_str()), (422, "not this one"));
    let refused = host.call(&Call::get(&path("/")).header("x-refuse", "1"));
    assert_eq!((refused.status, refused.text().as_str()), (403, "refused by a middleware"));
    host.get(&path("/panic")).problem(500, "app-panicked");
    host.wait_for_log(&["a handler of actix-web"]);
    assert_eq!(host.get(&path("/greet/x")).status, 200);
    let mut connection = host.connect();
    connection.send(&Call::get(&path("/broken"))).unwrap();
    assert_eq!(connection.head().unwrap().status, 200);
    assert_eq!(connection.chunk().unwrap().unwrap(), b"a");
    assert!(connection.chunk().is_err(), "the body is not complete");
    host.wait_for_log(&["incomplete response", "no more"]);
}

#[test]
fn bodies_of_any_size_pass_in_pieces() {
    let host = host();
    assert_eq!(host.get(&path("/pieces")).text(), "abc");
    let body: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    for call in
        [Call::post(&path("/echo"), body.clone()), Call::post(&path("/echo"), body.clone()).chunked(70_000)]
    {
        let reply = host.call(&call);
        assert_eq!(reply.status, 200);
        assert!(reply.body == body);
    }
}

#[test]
fn a_handler_takes_a_connection_over() {
    let host = host();
    let stream = TcpStream::connect(host.address()).unwrap();
    stream.set_read_timeout(Some(support::LIMIT)).unwrap();
    let url = format!("ws://{}{}", host.address(), path("/ws"));
    let (mut socket, response) = tungstenite::client(url, stream).unwrap();
    assert_eq!(response.headers()["x-by"], "actix", "a middleware adds it");
    for text in ["", "hello", "żółw 🐢", &"x".repeat(60_000)] {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(text));
    }
    for size in [0, 1, 126, 60_000] {
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        socket.send(Message::binary(bytes.clone())).unwrap();
        assert!(socket.read().unwrap() == Message::binary(bytes), "{size}");
    }
    socket.send(Message::Ping("p".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("p".into()));
    let close = CloseFrame { code: 4321.into(), reason: "enough".into() };
    socket.close(Some(close.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(close)));
    while socket.read().is_ok() {}
    // No handshake of a WebSocket: the handler answers, and the connection stays what it is.
    let refused =
        host.call(&Call::get(&path("/ws")).header("connection", "upgrade").header("upgrade", "other"));
    assert_eq!(refused.status, 400);
}

#[test]
fn tasks_and_blocking_work_run_beside() {
    assert_eq!(host().get(&path("/elsewhere")).text(), "42");
}

#[test]
fn workers_are_served_by_their_own_application_with_common_data() {
    let app = json!([{ "name": "actix-app", "path": library("actix-app"), "workers": 3 }]);
    let host = Host::start(app, &[]);
    let load = Load::start(host.address(), &[&*path("/greet/x"); 4]);
    let counted: usize = (0..30).map(|_| host.get(&path("/count")).text().parse::<usize>().unwrap()).sum();
    assert_eq!(counted, (0..30).sum::<usize>());
    assert!(load.stop().into_iter().flatten().all(|reply| reply.status == 200));
}

#[test]
fn reloads_lose_no_request_and_leave_nothing_behind() {
    let app = json!([{ "name": "actix-app", "path": "libactix-app.so" }]);
    let host = Launch::serve(app).write("libactix-app.so", patched("actix-app", "1")).start();
    assert!(host.get(&path("/")).text().ends_with('1'));
    let load = Load::start(host.address(), &[&*path("/pieces"), &*path("/greet/x"), &*path("/elsewhere")]);
    for version in 2..12 {
        host.replace("libactix-app.so", patched("actix-app", &version.to_string()));
        host.wait_for_log(&[&format!("actix-app#{version} is serving")]);
    }
    for reply in load.stop().into_iter().flatten() {
        assert_eq!(reply.status, 200);
    }
    wait_until("one library is left", || host.mapped().len() == 1);
    assert!(host.log_lines(&["pinned"]).is_empty(), "{}", host.log());
}
