//! The environment of an app: files, variables of the host and secrets.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};
use support::{Call, Connection, Host, Launch, contains, library, wait_until};

/// The app `probe` with these settings.
fn app(name: &str, settings: &Value) -> Value {
    let mut app = json!({ "name": name, "path": library("probe"), "inherit": [] });
    app.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    app
}

/// The environment that an app was started with.
#[track_caller]
fn environment(host: &Host, app: &str) -> Value {
    let reply = host.get(&format!("/apps/{app}/start"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["env"].clone()
}

fn generation(host: &Host, app: &str) -> Value {
    host.get(&format!("/apps/{app}/start")).json()["generation"].clone()
}

/// Runs a command that has to succeed in the folder of a host.
#[track_caller]
fn done(host: &Host, args: &[&str]) -> String {
    let (command, rest) = args.split_first().unwrap();
    let launch = Launch::command(command).args(rest).args(["--config", &host.path("apps.json")]);
    let ended = launch.env("TMPDIR", host.folder().join("tmp")).run();
    assert_eq!(ended.status.code(), Some(0), "{args:?}: {}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// `atoll serve` with a folder of credentials, and variables.
fn launch(apps: impl ToString) -> Launch {
    prepared(Launch::serve(apps))
}

fn prepared(launch: Launch) -> Launch {
    let launch = launch.env("HOST_NAME", "db.example").env("HOST_EMPTY", "").env("HOST_TOKEN", "t0ken");
    let folder = launch.folder().to_owned();
    for name in ["credentials", "secrets"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    launch.env("CREDENTIALS_DIRECTORY", folder.join("credentials"))
}

#[test]
fn an_environment_comes_from_files_variables_and_secrets() {
    check_all_forms(Launch::command("serve"));
}

#[test]
fn it_does_in_development_too() {
    check_all_forms(Launch::command("dev"));
}

fn check_all_forms(launch: Launch) {
    let settings = json!({
        "env_file": ["one.env", "two.env"],
        "env": {
            "OWN": "of apps.json",
            "URL": "postgres://${HOST_NAME}/${HOST_EMPTY:-shop}?${HOST_NONE:-}$$${HOST_EMPTY}$",
            "PASSWORD": { "file": "secrets/db" },
            "KEY": { "credential": "key" },
            "TOKEN": { "env": "HOST_TOKEN" },
        },
        "config": { "as it is": "${HOST_NAME}", "file": { "file": "secrets/db" } },
    });
    let launch = prepared(launch.args(["--listen", "127.0.0.1:0"]))
        .write("apps.json", json!([app("a", &settings)]).to_string())
        .write("one.env", "# the first\nONE=1\nBOTH=1\nOWN=1\n")
        .write("two.env", "export BOTH=\"2 ${HOST_NAME}\"\nTWO='$2' # the second\n")
        .write("secrets/db", "s3cret\n")
        .write("credentials/key", "-----BEGIN-----\nk3y\n-----END-----\n");
    let host = launch.start();
    let expected = json!({
        "ONE": "1",
        "BOTH": "2 ${HOST_NAME}",
        "TWO": "$2",
        "OWN": "of apps.json",
        "URL": "postgres://db.example/shop?$$",
        "PASSWORD": "s3cret",
        "KEY": "-----BEGIN-----\nk3y\n-----END-----",
        "TOKEN": "t0ken",
    });
    assert_eq!(environment(&host, "a"), expected);
    let config = host.get("/apps/a/start").json()["config"].clone();
    assert_eq!(config, json!({ "as it is": "${HOST_NAME}", "file": { "file": "secrets/db" } }));
}

#[test]
fn an_app_without_its_environment_says_why_and_no_other_fails() {
    let apps = [
        ("file", json!({ "env_file": "none.env" }), "cannot read the env_file "),
        ("line", json!({ "env_file": "bad.env" }), "bad.env:3: expected NAME=value"),
        ("unset", json!({ "env": { "A": "${HOST_NONE}" } }), "env.A: the variable HOST_NONE is not set in"),
        (
            "message",
            json!({ "env": { "A": "${HOST_EMPTY:?the name of the database}" } }),
            "HOST_EMPTY is not set or empty in the environment of the host: the name of the database",
        ),
        (
            "variable",
            json!({ "env": { "A": { "env": "HOST_NONE" } } }),
            "env.A: the variable HOST_NONE is not set",
        ),
        (
            "secret",
            json!({ "env": { "A": { "file": "secrets/none" } } }),
            "secrets/none: No such file or directory",
        ),
        (
            "folder",
            json!({ "env": { "A": { "file": "secrets" } } }),
            "secrets: expected a regular file, found a folder",
        ),
        ("nul", json!({ "env": { "A": { "file": "secrets/nul" } } }), "it contains NUL"),
        (
            "large",
            json!({ "env": { "A": { "file": "secrets/large" } } }),
            "found 131073 bytes, the limit is 131072",
        ),
        ("credential", json!({ "env": { "A": { "credential": "none" } } }), "credentials/none: No such file"),
    ];
    let entries = apps.iter().map(|(name, settings, _)| app(name, settings));
    let entries: Vec<_> = entries.chain([app("good", &json!({ "env": { "A": "1" } }))]).collect();
    let launch = launch(json!(entries))
        .write("bad.env", "A=1\n\nB=hunter2 hunter2\n")
        .write("secrets/nul", "hunter2\0")
        .write("secrets/large", "x".repeat(131_073));
    let host = launch.start();
    for (name, _, expected) in &apps {
        host.get(&format!("/apps/{name}/start")).problem(503, "unavailable");
        host.wait_for_log(&["ERROR", &format!("{name}: generation 1 failed to start: "), expected]);
    }
    for name in ["unset", "message", "variable", "secret", "nul", "credential"] {
        host.wait_for_log(&[
            "ERROR",
            &format!("{name}: generation 1 failed to start: "),
            "apps.json:1:",
            "].env.A: ",
        ]);
    }
    assert_eq!(environment(&host, "good"), json!({ "A": "1" }));
    assert!(!host.log().contains("hunter2"));
    // What is fixed starts with the next call.
    fs::write(host.folder().join("none.env"), "A=2\n").unwrap();
    wait_until("it starts", || host.get("/apps/file/start").status == 200);
    assert_eq!(environment(&host, "file"), json!({ "A": "2" }));
}

#[test]
fn without_credentials_the_setting_to_add_is_named() {
    let apps = json!([app("a", &json!({ "env": { "A": { "credential": "key" } } }))]);
    let host = Launch::serve(apps).start();
    host.get("/apps/a/start").problem(503, "unavailable");
    host.wait_for_log(&["ERROR", "a: generation 1 failed to start", "LoadCredential=key:PATH"]);
}

#[test]
fn a_changed_file_brings_a_new_generation_of_its_apps() {
    let secret = json!({ "env": { "A": { "file": "secrets/a" } } });
    let apps = json!([
        app("secret", &secret),
        app("file", &json!({ "env_file": "a.env" })),
        app("none", &json!({}))
    ]);
    let host = launch(apps).write("secrets/a", "1\n").write("a.env", "A=1\n").start();
    let value = |app: &str| environment(&host, app)["A"].clone();
    assert_eq!([value("secret"), value("file")], ["1", "1"]);
    assert_eq!(generation(&host, "none"), 1);

    fs::write(host.folder().join("secrets/a"), "2\n").unwrap();
    wait_until("the secret is another one", || value("secret") == "2");
    assert_eq!([generation(&host, "secret"), generation(&host, "file")], [2, 1]);
    // By a rename.
    host.replace("a.env", "A=3\n");
    wait_until("the file is another one", || value("file") == "3");
    assert_eq!([generation(&host, "secret"), generation(&host, "file")], [2, 2]);

    // The same content is no change.
    for name in ["secrets/a", "a.env"] {
        let content = fs::read(host.folder().join(name)).unwrap();
        host.replace(name, content);
    }
    for app in ["secret", "file"] {
        host.wait_for_log(&["INFO", &format!("{app}: the library and the environment are unchanged")]);
    }
    assert_eq!(
        [generation(&host, "secret"), generation(&host, "file"), generation(&host, "none")],
        [2, 2, 1]
    );

    // What cannot be read changes nothing for what serves.
    fs::remove_file(host.folder().join("secrets/a")).unwrap();
    host.wait_for_log(&[
        "ERROR",
        "secret: generation 4 failed to start: ",
        "secrets/a",
        "generation 2 keeps serving",
    ]);
    host.replace("a.env", "A\n");
    host.wait_for_log(&[
        "ERROR",
        "file: generation 4 failed to start: ",
        "a.env:1: ",
        "generation 2 keeps serving",
    ]);
    assert_eq!([value("secret"), value("file")], ["2", "3"]);
    let described = done(&host, &["describe", "secret"]);
    contains(&described, &["refused", "cannot read the secret "]);
    fs::write(host.folder().join("secrets/a"), "4").unwrap();
    host.replace("a.env", "A=4");
    wait_until("both are there again", || value("secret") == "4" && value("file") == "4");

    // A setting that names another file.
    let other = json!({ "env": { "A": { "file": "secrets/b" } } });
    fs::write(host.folder().join("secrets/b"), "5").unwrap();
    host.replace("apps.json", json!([app("secret", &other)]).to_string());
    wait_until("it has the other secret", || value("secret") == "5");
    let before = generation(&host, "secret");
    fs::write(host.folder().join("secrets/b"), "6").unwrap();
    wait_until("the other secret is watched", || value("secret") == "6");
    assert_ne!(generation(&host, "secret"), before);
}

/// As Kubernetes does it: the file is a link through the link `..data`, which is replaced.
#[test]
fn a_volume_of_kubernetes_that_is_updated_brings_a_new_generation() {
    let apps = json!([app("a", &json!({ "env": { "A": { "file": "secrets/a" } } }))]);
    let launch = launch(apps);
    let volume = launch.folder().join("secrets");
    let version = |number: u32, value: &str| {
        let folder = volume.join(format!("..{number}"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("a"), value).unwrap();
        symlink(format!("..{number}"), volume.join("..data_tmp")).unwrap();
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    };
    version(1, "1");
    symlink("..data/a", volume.join("a")).unwrap();
    let host = launch.start();
    assert_eq!(environment(&host, "a"), json!({ "A": "1" }));
    version(2, "2");
    wait_until("it has the other secret", || environment(&host, "a") == json!({ "A": "2" }));
    assert_eq!(generation(&host, "a"), 2);
    version(3, "2");
    host.wait_for_log(&["INFO", "a: the library and the environment are unchanged"]);
    assert_eq!(generation(&host, "a"), 2);
}

#[test]
fn a_secret_that_everybody_can_read_is_a_warning_once() {
    let apps = json!([app("a", &json!({ "env": { "A": { "file": "secrets/a" } } }))]);
    let launch = launch(apps).write("secrets/a", "1");
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let secret = launch.folder().join("secrets/a");
    set(launch.folder(), 0o755);
    set(&launch.folder().join("secrets"), 0o755);
    set(&secret, 0o644);
    let above = launch.folder().canonicalize().unwrap();
    let is_open = |folder: &Path| folder.metadata().unwrap().permissions().mode() & 0o001 != 0;
    assert!(above.ancestors().all(is_open), "the folder of the tests is open to all");
    let host = launch.start();
    environment(&host, "a");
    let warning = ["WARN", "a: every user can read the secret ", "chmod o-r"];
    host.wait_for_log(&warning);
    let doctor = done(&host, &["doctor", "--listen", &host.address().to_string()]);
    contains(
        &doctor,
        &["warning  environment of a: every user of this machine can read the secret", "-> run `chmod o-r"],
    );

    fs::write(&secret, "2").unwrap();
    wait_until("it has the other secret", || environment(&host, "a") == json!({ "A": "2" }));
    assert_eq!(host.log_lines(&warning).len(), 1);
    set(&secret, 0o640);
    let doctor = done(&host, &["doctor", "--listen", &host.address().to_string()]);
    contains(&doctor, &["ok       environment of a: 1 file"]);
    fs::remove_file(&secret).unwrap();
    let doctor = Launch::command("doctor").args(["--config", &host.path("apps.json")]).run();
    assert_eq!(doctor.status.code(), Some(1));
    contains(&doctor.stdout, &["problem  environment of a: ", "cannot read the secret "]);
}

#[test]
fn a_call_without_a_host_has_the_same_environment() {
    let settings = json!({
        "env_file": "a.env", "env": { "URL": "${HOST_NAME:-none}", "PASSWORD": { "file": "secrets/db" } },
    });
    let launch = Launch::command("call").args(["a", "/start"]).env("HOST_NAME", "db.example");
    fs::create_dir(launch.folder().join("secrets")).unwrap();
    let launch = launch.write("apps.json", json!([app("a", &settings)]).to_string());
    let ended = launch.write("a.env", "ONE=1").write("secrets/db", "s3cret").run();
    let started: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(started["env"], json!({ "ONE": "1", "URL": "db.example", "PASSWORD": "s3cret" }));

    let again = ended.again("call").args(["a", "/start"]);
    fs::remove_file(again.folder().join("secrets/db")).unwrap();
    let failed = again.run();
    assert_eq!(failed.status.code(), Some(1));
    contains(&failed.stderr, &["503", "cannot read the secret "]);
}

/// What a host shows of itself at its most verbose has no value of a secret.
#[test]
fn no_secret_is_shown() {
    const VALUES: [&str; 7] = [
        "n3ver-file",
        "n3ver-other",
        "n3ver-credential",
        "n3ver-env",
        "n3ver-dotenv",
        "n3ver-text",
        "n3ver-line",
    ];
    let settings = json!({
        "env_file": "a.env",
        "env": {
            "FILE": { "file": "secrets/a" }, "CREDENTIAL": { "credential": "key" }, "ENV": { "env": "HOST_SECRET" },
            "TEXT": "n3ver-text ${HOST_SECRET}",
        },
    });
    let apps = json!([app("a", &settings), app("bad", &json!({ "env_file": "bad.env" }))]);
    let launch = launch(&apps)
        .args(["--admin", "127.0.0.1:0"])
        .env("RUST_LOG", "trace")
        .env("HOST_SECRET", "n3ver-env")
        .write("a.env", "DOTENV=n3ver-dotenv\n")
        .write("bad.env", "A=n3ver-line n3ver-line\n")
        .write("secrets/a", "n3ver-file\n")
        .write("credentials/key", "n3ver-credential\n");
    let mut host = launch.start();
    let admin = host.admin();
    let get = |path: &str| Connection::open(admin).unwrap().call(&Call::get(path)).unwrap().text();
    // The stream of events, opened before the first change.
    let mut events = Connection::open(admin).unwrap();
    events.send(&Call::get("/api/v1/events")).unwrap();
    let started = environment(&host, "a");
    assert_eq!(started["TEXT"], "n3ver-text n3ver-env");
    let values: Vec<&str> = started.as_object().unwrap().values().filter_map(Value::as_str).collect();
    assert_eq!(values.len(), 5, "{values:?}");
    host.get("/apps/bad/start").problem(503, "unavailable");
    host.get("/apps/a/panic");
    fs::write(host.folder().join("secrets/a"), "n3ver-other").unwrap();
    wait_until("it has the other secret", || environment(&host, "a")["FILE"] == "n3ver-other");
    fs::write(host.folder().join("credentials/key"), b"n3ver-credential\0").unwrap();
    host.wait_for_log(&["ERROR", "a: generation 3 failed to start", "it contains NUL"]);

    let document: Value = serde_json::from_str(&get("/api/v1/openapi.json")).unwrap();
    let is_json = |item: &Value| !item["get"]["responses"]["200"]["content"]["application/json"].is_null();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(_, item)| is_json(item));
    let mut shown: Vec<(String, String)> = Vec::new();
    for (path, _) in paths {
        for app in ["a", "bad"] {
            let path = path.replace("{app}", app);
            shown.push((path.clone(), get(&path)));
        }
    }
    assert!(shown.len() > 8, "{}", shown.len());
    shown.push(("metrics".to_owned(), get("/metrics")));
    for args in [
        &["config", "show", "--format", "json"][..],
        &["config", "show"],
        &["describe", "a", "--format", "json"],
        &["describe", "bad", "--format", "json"],
        &["describe", "a"],
        &["ls", "--format", "json"],
        &["logs", "a"],
    ] {
        shown.push((args.join(" "), done(&host, args)));
    }
    let doctor = Launch::command("doctor").args(["--format", "json", "--config", &host.path("apps.json")]);
    shown.push(("doctor".to_owned(), doctor.env("TMPDIR", host.folder().join("tmp")).run().stdout));
    let stream = BufReader::new(events.into_stream());
    let told = stream.lines().map_while(Result::ok).take_while(|line| !line.contains("it contains NUL"));
    shown.push(("events".to_owned(), told.collect::<Vec<_>>().join("\n")));
    host.signal(libc::SIGTERM);
    let ended = host.ended();
    shown.push(("log".to_owned(), ended.stderr));
    shown.push(("output".to_owned(), ended.stdout));
    for (what, text) in &shown {
        assert!(!text.is_empty() || what == "logs a", "{what}");
        for value in VALUES {
            assert!(!text.contains(value), "{what} shows {value}: {text}");
        }
        // Nor its bytes, as a list of numbers.
        let bytes = format!("{:?}", "n3ver-".as_bytes());
        assert!(!text.contains(bytes.trim_end_matches(']')), "{what}");
    }
    let (_, config) = &shown.iter().find(|(what, _)| what == "config show --format json").unwrap();
    let config: Value = serde_json::from_str(config).unwrap();
    let env = &config["apps"][0]["settings"]["env"]["value"];
    assert_eq!(env["TEXT"], "***");
    assert_eq!(env["ENV"], json!({ "env": "HOST_SECRET" }));
    assert_eq!(env["CREDENTIAL"], json!({ "credential": "key" }));
    assert!(env["FILE"]["file"].as_str().unwrap().ends_with("/secrets/a"), "{env}");
}
