//! The example apps answer alike, however they are run: by `atoll serve`, by `atoll dev`, by `atoll call`, and alone.
//!
//! What differs is said in the book: alone an app's routes are at `/`, and `atoll call` starts the app for each request,
//! has no WebSockets, and nobody to talk to.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Call, Connection, EXAMPLES, Host, LIMIT, Launch, Load, Reply, wait_until};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const PICTURE: &[u8] = include_bytes!("fixtures/picture.png");

/// A way to run the apps.
enum Way {
    /// One host has them all, below `/apps`.
    Host(Host),
    /// Each is started for one request.
    Call(Folder),
    /// Each has a process of its own, at the root.
    Alone(Vec<(&'static str, Host)>),
}

/// A folder with a registry.
struct Folder(TempDir);

impl Folder {
    fn new(folder: TempDir, app_path: impl Fn(&str) -> PathBuf) -> Self {
        std::fs::write(folder.path().join("apps.json"), apps(folder.path(), app_path)).unwrap();
        Self(folder)
    }

    fn registry(&self) -> PathBuf {
        self.0.path().join("apps.json")
    }
}

/// The registry of all apps, with `folder` for their data.
fn apps(folder: &Path, app_path: impl Fn(&str) -> PathBuf) -> String {
    let apps = EXAMPLES.map(|name| {
        let mut app = json!({ "name": name, "path": app_path(name), "body_limit": 300_000 });
        match name {
            "notes" => app["env"] = json!({ "NOTES_DB": folder.join("notes.db") }),
            "thumbs" => {
                app["workers"] = json!(2);
                app["config"] = json!({ "max_bytes": 200_000, "max_pixels": 10_000 });
            }
            "chat" => app["config"] = json!({ "history": 5 }),
            _ => {}
        }
        app
    });
    json!(apps).to_string()
}

fn built(name: &str) -> PathBuf {
    support::examples().join(format!("lib{name}.so"))
}

/// A folder on the same file system as what is built.
fn folder() -> TempDir {
    tempfile::Builder::new().prefix("everywhere-").tempdir_in(support::programs()).unwrap()
}

/// An app's program and library in a folder, with the registry that is there.
fn alone(name: &str, folder: &Path) -> Host {
    std::fs::hard_link(support::programs().join(name), folder.join(name)).unwrap();
    std::fs::copy(built(name), folder.join(format!("lib{name}.so"))).unwrap();
    let launch = Launch::program(folder.join(name)).args(["--listen", "127.0.0.1:0", "--config"]);
    launch.arg(folder.join("apps.json")).start()
}

impl Way {
    fn serve() -> Self {
        let launch = Launch::command("serve").args(["--listen", "127.0.0.1:0"]);
        let apps = apps(launch.folder(), built);
        Self::Host(launch.write("apps.json", apps).start())
    }

    fn dev() -> Self {
        // What takes long is built without a limit on its time.
        support::examples();
        let mut launch = Launch::command("dev").args(["--listen", "127.0.0.1:0"]);
        for (name, value) in support::SMALL {
            launch = launch.env(name, value);
        }
        let launch = launch.env("CARGO_TARGET_DIR", support::fixtures_target().canonicalize().unwrap());
        let crates = support::workspace().canonicalize().unwrap().join("apps");
        let apps = apps(launch.folder(), |name| crates.join(name));
        Self::Host(launch.write("apps.json", apps).start())
    }

    fn call() -> Self {
        Self::Call(Folder::new(tempfile::tempdir().unwrap(), built))
    }

    fn address(&self, app: &str) -> Option<SocketAddr> {
        match self {
            Self::Host(host) => Some(host.address()),
            Self::Call(_) => None,
            Self::Alone(hosts) => hosts.iter().find(|(name, _)| *name == app).map(|(_, host)| host.address()),
        }
    }

    /// What comes before an app's own paths.
    fn prefix(&self, app: &str) -> String {
        if matches!(self, Self::Alone(_)) { String::new() } else { format!("/apps/{app}") }
    }

    fn connect(&self, app: &str) -> Option<Connection> {
        self.address(app).map(|address| Connection::open(address).unwrap())
    }

    fn send(&self, app: &str, call: &Call) -> Reply {
        match self {
            Self::Call(folder) => by_command(folder, app, call),
            _ => self.connect(app).unwrap().call(&call.clone().below(&self.prefix(app))).unwrap(),
        }
    }
}

/// `atoll call` for a request.
fn command(folder: &Folder, app: &str, call: &Call) -> Command {
    let mut command = Command::new(support::atoll());
    command.args(["call", app, call.target(), "-i", "-X", call.method(), "--config"]).arg(folder.registry());
    for (name, value) in call.headers() {
        command.arg("-H").arg(format!("{name}: {}", String::from_utf8_lossy(value)));
    }
    if let Some(content) = call.content() {
        let file = folder.0.path().join("body");
        std::fs::write(&file, content).unwrap();
        command.arg("-d").arg(format!("@{}", file.display()));
    }
    command.env("TMPDIR", folder.0.path()).env_remove("RUST_LOG");
    command
}

fn by_command(folder: &Folder, app: &str, call: &Call) -> Reply {
    let output = command(folder, app, call).output().unwrap();
    let mut stdout = &*output.stdout;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut reply = read_head(&mut stdout).unwrap_or_else(|| panic!("{call:?}: {said}"));
    assert_eq!(output.status.success(), reply.status < 400, "{call:?}: {said}");
    reply.body = stdout.to_vec();
    reply
}

/// A status and headers, as `atoll call -i` prints them.
fn read_head(stream: &mut impl BufRead) -> Option<Reply> {
    let mut lines = stream.lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let status = lines.next()?.get(9..12)?.parse().ok()?;
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.as_bytes().to_vec()))
    });
    Some(Reply { status, headers: headers.collect(), body: Vec::new() })
}

/// What an answer's body is.
enum Body {
    /// It is not looked at.
    Any,
    Empty,
    /// This JSON.
    Json(Value),
    /// JSON with these members, and others.
    Part(Value),
    /// A problem of the host's.
    Problem(&'static str),
    /// A page that begins so.
    Html,
    /// A PNG image of this size.
    Png(u32, u32),
    /// Bytes that begin so.
    Begins(&'static [u8]),
}

struct Case {
    app: &'static str,
    call: Call,
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: Body,
}

fn json_call(method: &str, target: &str, body: Value) -> Call {
    Call::new(method, target).header("content-type", "application/json").body(body.to_string())
}

fn form(image: &[u8]) -> Call {
    let mut form =
        b"--b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n".to_vec();
    form.extend_from_slice(image);
    form.extend_from_slice(b"\r\n--b--\r\n");
    Call::post("/?width=10", form).header("content-type", "multipart/form-data; boundary=b")
}

fn cases() -> Vec<Case> {
    const JSON: &[(&str, &str)] = &[("content-type", "application/json")];
    const PROBLEM: &[(&str, &str)] = &[("content-type", "application/problem+json")];
    const HTML: &[(&str, &str)] = &[("content-type", "text/html; charset=utf-8")];
    const PNG: &[(&str, &str)] = &[("content-type", "image/png")];
    let (get, post) = (Call::get, |target: &str, body: Value| json_call("POST", target, body));
    let put = |target: &str, body: Value| json_call("PUT", target, body);
    let image = |target: &str, body: &[u8]| Call::post(target, body).header("content-type", "image/png");
    let mut cases = Vec::new();
    let mut case = |app, call, status, headers, body| cases.push(Case { app, call, status, headers, body });

    let world = || Body::Json(json!({ "hello": "serverless world!" }));
    case("hello", get("/greet/tobe"), 200, JSON, Body::Json(json!({ "name": "tobe" })));
    case("hello", get("/greet/a%20b"), 200, JSON, Body::Json(json!({ "name": "a b" })));
    case("hello", get("/"), 200, JSON, world());
    case("hello", Call::new("DELETE", "/any/where?q=1"), 200, JSON, world());
    case("hello", Call::new("HEAD", "/"), 200, JSON, Body::Empty);

    case("counter", get("/"), 200, JSON, Body::Json(json!({ "count": 0 })));
    case("counter", post("/", json!({})), 200, JSON, Body::Json(json!({ "count": 1 })));
    case("counter", get("/nowhere"), 404, PROBLEM, Body::Problem("app-error"));
    case("counter", put("/", json!({})), 405, &[("allow", "GET, HEAD, POST")], Body::Any);

    let shells = || json!({ "title": "shells", "text": "white\nand small" });
    const MADE: &[(&str, &str)] = &[("content-type", "application/json"), ("location", "notes/1")];
    case("notes", get("/"), 200, HTML, Body::Html);
    case("notes", get("/notes"), 200, JSON, Body::Part(json!({ "notes": [], "total": 0, "pages": 1 })));
    case("notes", post("/notes", shells()), 201, MADE, Body::Part(shells()));
    case("notes", post("/notes", json!({ "title": "two" })), 201, JSON, Body::Part(json!({ "id": 2 })));
    case("notes", get("/notes/1"), 200, JSON, Body::Part(shells()));
    let links = json!({
        "first": "?page=1&per_page=1", "next": "?page=2&per_page=1", "last": "?page=2&per_page=1"
    });
    let page = json!({ "total": 2, "pages": 2, "links": links });
    case("notes", get("/notes?per_page=1"), 200, JSON, Body::Part(page));
    case(
        "notes",
        put("/notes/1", json!({ "title": "corals" })),
        200,
        JSON,
        Body::Part(json!({ "text": "" })),
    );
    case("notes", Call::new("DELETE", "/notes/1"), 204, &[], Body::Empty);
    let gone = json!({ "status": 404, "detail": "there is no note 1" });
    case("notes", get("/notes/1"), 404, PROBLEM, Body::Part(gone));
    case("notes", post("/notes", json!({ "title": "" })), 422, PROBLEM, Body::Part(json!({ "status": 422 })));
    case(
        "notes",
        get("/notes?page=0"),
        422,
        PROBLEM,
        Body::Part(json!({ "errors": { "page": "1 or more" } })),
    );
    case("notes", Call::new("PATCH", "/notes"), 405, &[("allow", "GET,HEAD,POST")], Body::Any);

    case("thumbs", get("/"), 200, HTML, Body::Html);
    case("thumbs", image("/?width=10&height=10", PICTURE), 200, PNG, Body::Png(10, 5));
    case("thumbs", image("/", PICTURE).chunked(100), 200, PNG, Body::Png(40, 20));
    case("thumbs", form(PICTURE), 200, PNG, Body::Png(10, 5));
    const WEBP: &[(&str, &str)] = &[("content-type", "image/webp")];
    case("thumbs", image("/?format=webp", PICTURE), 200, WEBP, Body::Begins(b"RIFF"));
    const JPEG: &[(&str, &str)] = &[("content-type", "image/jpeg")];
    case("thumbs", image("/?format=jpeg", PICTURE), 200, JPEG, Body::Begins(b"\xff\xd8\xff"));
    let large = json!({ "detail": "the body is larger than max_bytes = 200000" });
    case("thumbs", image("/", &[0; 250_000]), 413, PROBLEM, Body::Part(large.clone()));
    // Larger than `body_limit`, too, which is for bodies that a host has whole for an `Application`.
    case("thumbs", image("/", &[0; 400_000]).chunked(50_000), 413, PROBLEM, Body::Part(large));
    case("thumbs", image("/", b"no image"), 415, PROBLEM, Body::Part(json!({ "status": 415 })));
    case("thumbs", image("/?width=0", PICTURE), 400, PROBLEM, Body::Part(json!({ "status": 400 })));

    let hello = json!({ "name": "ann", "text": "hello" });
    let heard = json!({ "id": 1, "kind": "said", "name": "ann", "text": "hello" });
    case("chat", get("/"), 200, HTML, Body::Html);
    case("chat", post("/rooms/table/messages", hello.clone()), 201, JSON, Body::Part(heard));
    case("chat", get("/rooms/empty/messages"), 200, JSON, Body::Json(json!([])));
    let blank = json!({ "name": " ", "text": "a" });
    case("chat", post("/rooms/table/messages", blank), 422, PROBLEM, Body::Problem("app-error"));
    let long = json!({ "name": "ann", "text": "a".repeat(400_000) });
    case("chat", post("/rooms/table/messages", long.clone()), 413, PROBLEM, Body::Problem("body-too-large"));
    let chunked = post("/rooms/table/messages", long).chunked(50_000);
    case("chat", chunked, 413, PROBLEM, Body::Problem("body-too-large"));
    case("chat", get("/rooms/table/socket?name=ann"), 426, PROBLEM, Body::Problem("app-error"));
    cases
}

#[track_caller]
fn check(way: &Way) {
    for Case { app, call, status, headers, body } in cases() {
        let reply = way.send(app, &call);
        let what = format!("{app}: {} {}: {}", call.method(), call.target(), reply.text());
        assert_eq!(reply.status, status, "{what}");
        for (name, value) in headers {
            assert_eq!(reply.header(name).as_deref(), Some(*value), "{what}");
        }
        match body {
            Body::Any => {}
            Body::Empty => assert_eq!(reply.body, b"", "{what}"),
            Body::Json(expected) => assert_eq!(reply.json(), expected, "{what}"),
            Body::Part(expected) => {
                let found = reply.json();
                for (name, value) in expected.as_object().unwrap() {
                    assert_eq!(&found[name], value, "{name} in {what}");
                }
            }
            Body::Problem(kind) => _ = reply.problem(status, kind),
            Body::Html => assert!(reply.body.starts_with(b"<!doctype html>"), "{what}"),
            Body::Png(width, height) => {
                assert!(reply.body.starts_with(b"\x89PNG\r\n\x1a\n"), "{what}");
                let number = |at: usize| u32::from_be_bytes(reply.body[at..at + 4].try_into().unwrap());
                assert_eq!((number(16), number(20)), (width, height), "{what}");
            }
            Body::Begins(bytes) => assert!(reply.body.starts_with(bytes), "{what}"),
        }
    }
    if !matches!(way, Way::Call(_)) {
        converse(way);
    }
}

fn say(way: &Way, room: &str, text: &str) {
    let call = json_call("POST", &format!("/rooms/{room}/messages"), json!({ "name": "bob", "text": text }));
    assert_eq!(way.send("chat", &call).status, 201);
}

/// Server-sent events of a room, from the message after `seen` on.
fn listen(way: &Way, room: &str, seen: Option<u64>) -> Connection {
    let mut call = Call::get(&format!("{}/rooms/{room}/events", way.prefix("chat")));
    if let Some(seen) = seen {
        call = call.header("last-event-id", seen.to_string());
    }
    let mut connection = way.connect("chat").unwrap();
    connection.send(&call).unwrap();
    let head = connection.head().unwrap();
    assert_eq!((head.status, head.header("content-type").as_deref()), (200, Some("text/event-stream")));
    connection
}

/// The next event: its id, and its data.
#[track_caller]
fn event(events: &mut Connection) -> (u64, Value) {
    let text = String::from_utf8(events.chunk().unwrap().expect("the events go on")).unwrap();
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).expect(&text).to_owned();
    (field("id: ").parse().unwrap(), serde_json::from_str(&field("data: ")).unwrap())
}

type Socket = WebSocket<TcpStream>;

fn enter(way: &Way, room: &str, query: &str) -> Socket {
    let address = way.address("chat").unwrap();
    let url = format!("ws://{address}{}/rooms/{room}/socket?{query}", way.prefix("chat"));
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    tungstenite::client(url, stream).unwrap().0
}

#[track_caller]
fn hear(socket: &mut Socket) -> Value {
    serde_json::from_str(socket.read().unwrap().to_text().unwrap()).unwrap()
}

/// Who did what.
fn act(message: &Value) -> String {
    ["kind", "name", "text"].map(|field| message[field].as_str().unwrap_or_default()).join(" ")
}

/// One by WebSocket, one by server-sent events.
fn converse(way: &Way) {
    let mut ann = enter(way, "reef", "name=ann");
    assert_eq!(act(&hear(&mut ann)), "joined ann ");
    let mut events = listen(way, "reef", None);
    assert_eq!(act(&event(&mut events).1), "joined ann ");
    ann.send("hello".into()).unwrap();
    assert_eq!(act(&hear(&mut ann)), "said ann hello");
    let (seen, heard) = event(&mut events);
    assert_eq!(act(&heard), "said ann hello");
    drop(events);
    say(way, "reef", "hi ann");
    assert_eq!(act(&hear(&mut ann)), "said bob hi ann");
    ann.send(" ".into()).unwrap();
    assert_eq!(hear(&mut ann)["kind"], "error");
    ann.close(None).unwrap();
    while ann.read().is_ok() {}

    // One who comes back hears what was missed.
    let mut events = listen(way, "reef", Some(seen));
    assert_eq!(act(&event(&mut events).1), "said bob hi ann");
    assert_eq!(act(&event(&mut events).1), "left ann ");
    let mut ann = enter(way, "reef", &format!("name=ann&seen={seen}"));
    assert_eq!(act(&hear(&mut ann)), "said bob hi ann");
    assert_eq!(act(&hear(&mut ann)), "left ann ");
}

#[test]
fn by_serve() {
    check(&Way::serve());
}

#[test]
fn by_dev() {
    check(&Way::dev());
}

#[test]
fn by_call() {
    let way = Way::call();
    check(&way);
    let Way::Call(folder) = &way else { unreachable!() };
    let mut events = command(folder, "chat", &Call::get("/rooms/reef/events"));
    let mut events = events.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let head = read_head(&mut BufReader::new(events.stdout.take().unwrap())).unwrap();
    assert_eq!((head.status, head.header("content-type").as_deref()), (200, Some("text/event-stream")));
    events.kill().unwrap();
    events.wait().unwrap();

    let handshake = Call::get("/rooms/reef/socket?name=ann")
        .header("upgrade", "websocket")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let output = command(folder, "chat", &handshake).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("a WebSocket client"));
}

#[test]
fn by_itself() {
    let folder = Folder::new(folder(), built);
    let way = Way::Alone(EXAMPLES.map(|name| (name, alone(name, folder.0.path()))).into());
    check(&way);
}

/// Makes an app's library another one, which does the same, and waits until it serves.
fn reload(host: &Host, library: &Path, generation: usize) {
    let mut bytes = std::fs::read(library).unwrap();
    bytes.push(0);
    let new = library.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, library).unwrap();
    host.wait_for_log(&[&format!("#{generation} is serving")]);
}

/// One app in a host, with its library in the host's folder; or alone.
fn one(name: &'static str, by_itself: bool) -> (Way, PathBuf, Option<Folder>) {
    if by_itself {
        let folder = Folder::new(folder(), built);
        let library = folder.0.path().join(format!("lib{name}.so"));
        let host = alone(name, folder.0.path());
        return (Way::Alone(vec![(name, host)]), library, Some(folder));
    }
    let launch = Launch::command("serve").args(["--listen", "127.0.0.1:0"]);
    let library = launch.folder().join(format!("lib{name}.so"));
    std::fs::copy(built(name), &library).unwrap();
    let apps = apps(launch.folder(), |found| if found == name { library.clone() } else { built(found) });
    (Way::Host(launch.write("apps.json", apps).start()), library, None)
}

impl Way {
    fn host(&self) -> &Host {
        match self {
            Self::Host(host) => host,
            Self::Alone(hosts) => &hosts[0].1,
            Self::Call(_) => panic!("there is no host"),
        }
    }
}

#[test]
fn a_chat_goes_on_over_a_reload() {
    for by_itself in [false, true] {
        let (way, library, _folder) = one("chat", by_itself);
        let mut ann = enter(&way, "reef", "name=ann");
        hear(&mut ann);
        let mut events = listen(&way, "reef", None);
        event(&mut events);
        say(&way, "reef", "before");
        let seen = hear(&mut ann)["id"].as_u64().unwrap();
        assert_eq!(event(&mut events).0, seen);

        // It does not wait for clients to answer.
        reload(way.host(), &library, 2);
        // A WebSocket is told to come back; events just end.
        let closed = std::iter::from_fn(|| Some(ann.read().unwrap())).find(Message::is_close).unwrap();
        let Message::Close(Some(frame)) = closed else { panic!("a close without a code") };
        assert_eq!(u16::from(frame.code), 1012);
        assert_eq!(events.chunk().unwrap(), None);

        say(&way, "reef", "after");
        let mut events = listen(&way, "reef", Some(seen));
        assert_eq!(act(&event(&mut events).1), "said bob after");
        let mut ann = enter(&way, "reef", &format!("name=ann&seen={seen}"));
        assert_eq!(act(&hear(&mut ann)), "said bob after");
        let messages = way.send("chat", &Call::get("/rooms/reef/messages")).json();
        let acts: Vec<_> = messages.as_array().unwrap().iter().map(act).collect();
        assert_eq!(acts, ["joined ann ", "said bob before", "said bob after"]);
        assert!(way.host().log_lines(&["still running"]).is_empty());
    }
}

#[test]
fn notes_are_kept_over_reloads() {
    for by_itself in [false, true] {
        let (way, library, folder) = one("notes", by_itself);
        let data = folder.as_ref().map_or_else(|| way.host().folder(), |folder| folder.0.path());
        let database = data.join("notes.db");
        let call = json_call("POST", "/notes", json!({ "title": "a note" })).below(&way.prefix("notes"));
        assert_eq!(way.host().call(&call).status, 201);
        let load = Load::of(way.host().address(), vec![call; 3]);
        let generations = 8;
        for generation in 2..=generations {
            reload(way.host(), &library, generation);
            let written = load.answered();
            wait_until("the new generation writes", || load.answered() > written + 30);
        }
        let replies = load.stop().concat();
        for reply in &replies {
            assert_eq!(reply.status, 201, "{}", reply.text());
        }
        let list = way.send("notes", &Call::get("/notes?per_page=1")).json();
        assert_eq!(list["total"], replies.len() + 1);
        // All that the earlier generations had open is closed.
        wait_until("the database is open once", || open_files(way.host(), &database) == 1);
        wait_until("one library is left", || way.host().mapped().len() == 1);
        if let Way::Host(host) = way {
            assert!(host.stop().status.success());
        }
    }
}

/// How many descriptors of this file the process has.
fn open_files(host: &Host, file: &Path) -> usize {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap();
    let targets = descriptors.flatten().filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target == file).count()
}
