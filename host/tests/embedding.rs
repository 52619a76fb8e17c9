//! A host in a program of somebody else's: the example.

mod support;

use serde_json::json;
use support::{Call, Launch, example, library};

fn launch(apps: &serde_json::Value) -> Launch {
    Launch::program(example("embedding"))
        .write("apps.json", apps.to_string())
        .args(["apps.json", "127.0.0.1:0"])
}

#[test]
fn the_programs_pages_and_the_apps_answer_side_by_side() {
    let hello = json!({ "name": "hello", "path": library("hello"), "route": { "path_prefix": "/hi" } });
    let host = launch(&json!([hello])).start();
    assert_eq!(host.get("/").text(), "a page of the program's own\n");
    assert_eq!(host.get("/apps/hello/greet/tobe").json(), json!({ "name": "tobe" }));
    // The program is its own preflight process.
    host.wait_for_log(&["hello#1 is serving: it is ready; its preflight took "]);
    assert_eq!(host.get("/hi/greet/ada").json(), json!({ "name": "ada" }));
    assert_eq!(host.get("/readyz").status, 200);
    host.get("/apps/nothing/").problem(404, "unknown-app");
    let body = vec![b'x'; 3 << 20];
    assert_eq!(
        host.call(&Call::post("/apps/hello/greet/tobe", body)).status,
        405,
        "large bodies come as far as the app"
    );

    // The file is followed, and commands reach it.
    host.replace("apps.json", json!([hello, { "name": "counter", "path": library("counter") }]).to_string());
    host.wait_for_log(&["added counter"]);
    let ls = Launch::command("ls")
        .args(["--config".as_ref(), host.folder().join("apps.json").as_os_str()])
        .env("TMPDIR", host.folder().join("tmp"))
        .run();
    assert!(ls.stdout.contains("counter") && ls.status.success(), "{} {}", ls.stdout, ls.stderr);

    let ended = host.stop();
    assert_eq!(ended.status.code(), Some(0));
    let left = ended.temporary_files();
    assert!(left.iter().all(|file| file.ends_with(".lock")), "{left:?}");
}

#[test]
fn what_is_wrong_is_the_programs_error() {
    let ended = launch(&json!([{ "name": "a b", "path": "x" }])).run();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains("a b"), "{}", ended.stderr);
}

/// Runs in a separate process, which [`the_builders_limits_are_those_of_its_server`] starts.
#[test]
#[ignore = "it is started by another test"]
fn with_limits() {
    let limits = atoll_host::ServerLimits {
        header_timeout: std::time::Duration::from_secs(1),
        shutdown_delay: std::time::Duration::from_secs(2),
        ..Default::default()
    };
    actix_web::rt::System::new().block_on(async {
        let host = atoll_host::Host::builder("apps.json").with_limits(limits).start().unwrap();
        let addresses = ["127.0.0.1:0".parse().unwrap(), "unix:http.sock".parse().unwrap()];
        let server = host.server(&addresses, |_| {}).unwrap();
        println!("\nlistening on http://{}/", server.addresses()[0]);
        server.run().await.unwrap();
        host.close().await;
        let none = atoll_host::ServerLimits { max_connections: 0, ..limits };
        let error = atoll_host::Host::builder("apps.json").with_limits(none).start().err().unwrap();
        assert_eq!(error.to_string(), "max-connections must be from 1 to 1000000, not 0");
    });
}

#[test]
fn the_builders_limits_are_those_of_its_server() {
    let test = ["--ignored", "--exact", "with_limits", "--nocapture"];
    let launch = Launch::program(std::env::current_exe().unwrap()).args(test);
    let mut host = launch.write("apps.json", "[]").start();
    assert!(host.folder().join("http.sock").exists());
    let begun = std::time::Instant::now();
    assert!(host.connect().is_closed(), "it sends nothing");
    assert!(begun.elapsed() >= std::time::Duration::from_secs(1));
    host.signal(libc::SIGTERM);
    support::wait_until("it is not ready", || host.get("/readyz").status == 503);
    assert_eq!(host.get("/healthz").status, 200);
    assert!(host.ended().status.success());
}

/// Runs in a separate process, which [`a_host_that_is_dropped_without_being_closed`] starts: that a library is unmapped
/// under running threads would end it.
#[test]
#[ignore = "it is started by another test"]
fn dropped_without_being_closed() {
    let file = std::env::current_dir().unwrap().join("go");
    let serve = |lingers: bool, closes: bool| {
        let (file, before) = (file.clone(), atoll_host::internal::loaded::abandoned());
        actix_web::rt::System::new().block_on(async move {
            let host = std::sync::Arc::new(atoll_host::Host::builder("apps.json").start().unwrap());
            let apps = host.clone();
            let server = actix_web::HttpServer::new(move || actix_web::App::new().configure(apps.routes()))
                .workers(1)
                .bind("127.0.0.1:0")
                .unwrap();
            let address = server.addrs()[0];
            let server = server.run();
            let handle = server.handle();
            actix_web::rt::spawn(server);
            let asked = actix_web::rt::task::spawn_blocking(move || {
                let mut connection = support::Connection::open(address).unwrap();
                assert_eq!(connection.call(&Call::get("/apps/bad/")).unwrap().text(), "fine");
                if lingers {
                    let thread = format!("/apps/bad/thread/lingering?file={}", file.display());
                    assert_eq!(connection.call(&Call::post(&thread, "")).unwrap().text(), "started");
                }
            });
            asked.await.unwrap();
            handle.stop(false).await;
            if closes {
                host.close().await;
            }
        });
        atoll_host::internal::loaded::abandoned() - before
    };
    let mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains("/bad-");
    assert_eq!(serve(true, false), 1, "it was not closed");
    assert!(mapped());
    // Its thread still runs the library's code.
    std::fs::write(&file, "").unwrap();
    let lingers = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.any(|name| name.starts_with("lingering") || name.starts_with("bad#1.0"))
    };
    support::wait_until("its threads have ended", || !lingers());
    assert!(mapped(), "nobody unloads it any more");
    assert_eq!(serve(false, true), 0, "it was closed");
}

#[test]
fn a_host_that_is_dropped_without_being_closed() {
    let bad = json!([{ "name": "bad", "path": library("misbehave") }]);
    let test = ["--ignored", "--exact", "dropped_without_being_closed", "--nocapture"];
    let ended = Launch::program(std::env::current_exe().unwrap())
        .args(test)
        .write("apps.json", bad.to_string())
        .run();
    assert!(ended.status.success(), "{}\n{}\n{}", ended.status, ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("1 passed"), "{}", ended.stdout);
}
