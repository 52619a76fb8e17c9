//! What apps log, with `log` and with `tracing`, is in the host's log with its fields and spans, whatever logger they set.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Host, IN_PROCESSES, Launch, patched, wait_for, wait_until};

/// The app `shop`, which sets up what `setup` names, in a host that logs in JSON.
fn start(setup: &str) -> Host {
    start_with(setup, &["--log-format", "json"])
}

fn start_with(setup: &str, arguments: &[&str]) -> Host {
    let app = json!({ "name": "shop", "path": "libevents.so", "env": { "RUST_LOG": "info" } });
    let launch = Launch::serve(json!([app])).write("libevents.so", patched("events", setup));
    launch.args(arguments).start()
}

fn post(host: &Host, path: &str) {
    let reply = host.post(&format!("/apps/shop/{path}"), "");
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
}

/// The records in the log whose text contains a message, without their times.
fn records(host: &Host, message: &str) -> Vec<Value> {
    let lines = host.log_lines(&[message]);
    let records = lines.iter().map(|line| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("time").unwrap();
        record
    });
    records.collect()
}

/// The only record with this message.
#[track_caller]
fn record(host: &Host, message: &str) -> Value {
    let mut records = wait_for(message, || Some(records(host, message)).filter(|found| !found.is_empty()));
    assert_eq!(records.len(), 1, "{records:#?}");
    records.remove(0)
}

/// A command on the app, which has to succeed; what it prints.
#[track_caller]
fn command(host: &Host, arguments: &[&str]) -> String {
    let launch =
        Launch::command(arguments[0]).args(&arguments[1..]).args(["--config", &host.path("apps.json")]);
    let ended = launch.env("TMPDIR", host.folder().join("tmp")).run();
    assert!(ended.status.success(), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// The records of an order, in the order of the log.
fn expected(generation: u64) -> [Value; 4] {
    let request = json!({ "name": "request", "method": "POST", "fields.name": "orders" });
    let order = json!({ "name": "order", "id": 7, "paid": true });
    let record = |level: &str, message: &str, rest: Value| {
        let mut record = json!({
            "level": level, "target": "events", "message": message, "app": "shop", "generation": generation,
        });
        record.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        record
    };
    let paid = json!({
        "user": 7, "amount": 2.5, "plan": "Some(\"pro\")", "type": "card", "spans": [request, order],
    });
    [
        record("info", "order 7 is paid", paid),
        record("warn", "order 7 is sent by another thread", json!({ "spans": [request, order] })),
        record(
            "warn",
            "order 7 is on its way",
            json!({ "parcels": 2, "fields.level": "high", "spans": [request, order] }),
        ),
        record("error", "order 7 is done", json!({ "spans": [request] })),
    ]
}

#[test]
fn events_of_tracing_have_their_fields_and_spans() {
    for setup in ["-", "fmt", "json", "layers", "env_logger"] {
        let host = start(setup);
        post(&host, "orders/7");
        record(&host, "order 7 is done");
        let generation = record(&host, "order 7 is done")["generation"].as_u64().unwrap();
        assert_eq!(records(&host, "order 7"), expected(generation), "{setup}");
        let started = records(&host, "it starts");
        assert_eq!(started.last().unwrap()["step"], 1, "{setup}: {started:?}");
        // Neither do spans make records, nor does what the app's subscriber prints.
        assert_eq!(host.log_lines(&["\"stdout\""]), [""; 0], "{setup}");
        assert_eq!(records(&host, "\"request\"").len(), 4, "{setup}");
        assert_eq!(host.log_lines(&["panicked"]), [""; 0], "{setup}");
        assert!(host.stop().status.success());
    }
}

#[test]
fn records_of_log_have_their_fields() {
    let host = start("-");
    post(&host, "records");
    let common = json!({ "target": "events", "app": "shop", "generation": 1 });
    let mut with = common.clone();
    with.as_object_mut().unwrap().extend(
        json!({
            "level": "info", "message": "a record with fields", "user": 7, "plan": "pro", "paid": true, "share": 0.5,
            "fields.app": "another",
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    assert_eq!(record(&host, "a record with fields"), with);
    let mut without = common;
    without.as_object_mut().unwrap().extend(
        json!({ "level": "warn", "message": "a record without fields" }).as_object().unwrap().clone(),
    );
    assert_eq!(record(&host, "a record without fields"), without);
}

#[test]
fn records_of_log_that_a_subscriber_takes_are_there_once() {
    for setup in ["fmt", "layers"] {
        let host = start(setup);
        post(&host, "records");
        record(&host, "it has a logger");
        record(&host, "a record without fields");
        let record = record(&host, "a record with fields");
        assert_eq!((&record["target"], &record["level"]), (&json!("events"), &json!("info")), "{setup}");
        assert_eq!(record.get("log.target"), None, "{record}");
    }
}

#[test]
fn the_filter_of_the_apps_subscriber_holds() {
    let host = start("warn");
    post(&host, "orders/7");
    record(&host, "order 7 is done");
    assert!(records(&host, "order 7 is paid").is_empty());
    // Its filter has excluded the spans, too.
    let sent = record(&host, "order 7 is on its way");
    assert_eq!((&sent["parcels"], sent.get("spans")), (&json!(2), None), "{sent}");
}

#[test]
fn layers_of_the_apps_subscriber_get_everything() {
    let host = start("layers");
    post(&host, "orders/7");
    post(&host, "detail");
    let file = fs::read_to_string(host.folder().join("events.log")).unwrap();
    for text in [
        "INFO events: it has a logger",
        "INFO events: it starts step=1",
        r#"request{method="POST" name="orders"}:order{id=7 paid=true}: events: order 7 is paid user=7"#,
        r#"request{method="POST" name="orders"}:order{id=7 paid=true}: events: order 7 is on its way parcels=2"#,
        r#"request{method="POST" name="orders"}: events: order 7 is done"#,
        "DEBUG events: a detail n=1",
    ] {
        assert_eq!(file.matches(text).count(), 1, "{text}: {file}");
    }
    // The host wants none of these.
    assert_eq!(host.log_lines(&["a detail"]), [""; 0]);
    // What layers look up by their spans is found.
    let spans = host.get("/apps/shop/spans").text();
    assert!(spans.contains("events::outer") && spans.contains("id=3"), "{spans}");
}

#[test]
fn a_subscriber_may_be_set_at_any_time() {
    let host = start("-");
    assert_eq!(host.post("/apps/shop/late", "").text(), "set");
    let after = record(&host, "after it");
    assert_eq!(after["spans"], json!([{ "name": "before" }, { "name": "after" }]));
    record(&host, "before the subscriber");
    post(&host, "orders/7");
    record(&host, "order 7 is done");
    assert_eq!(records(&host, "order 7"), expected(1));
    assert_eq!(host.log_lines(&["\"stdout\""]), [""; 0]);
}

#[test]
fn the_level_of_an_app_can_be_changed() {
    let host = start("-");
    post(&host, "detail");
    command(&host, &["log-level", "shop", "debug"]);
    // The app is notified in the order of its requests.
    post(&host, "detail");
    assert_eq!(record(&host, "a detail")["n"], 1);
    assert_eq!(record(&host, "another detail")["n"], 2);
    command(&host, &["log-level", "shop", "warn"]);
    post(&host, "orders/7");
    record(&host, "order 7 is done");
    assert!(records(&host, "order 7 is paid").is_empty());
}

#[test]
fn fields_are_shown_to_people() {
    let host = start_with("-", &[]);
    post(&host, "orders/7");
    post(&host, "records");
    let fields = r#"amount=2.5 plan=Some("pro") type=card user=7 spans=request{fields.name=orders method=POST}:order{id=7 paid=true}"#;
    let line = host.wait_for_log(&["order 7 is paid"]);
    assert!(line.contains("app=shop generation=1") && line.contains(fields), "{line}");
    host.wait_for_log(&["a record with fields", "fields.app=another", "paid=true", "plan=pro", "user=7"]);
    let logs = command(&host, &["logs", "shop"]);
    assert!(logs.contains(&format!("#1 events: order 7 is paid {fields}\n")), "{logs}");
    let logs = command(&host, &["logs", "shop", "--format", "json"]);
    let paid = logs.lines().find(|line| line.contains("order 7 is paid")).unwrap();
    let paid: Value = serde_json::from_str(paid).unwrap();
    assert_eq!(paid["fields"], json!({ "user": 7, "amount": 2.5, "plan": "Some(\"pro\")", "type": "card" }));
    assert_eq!(paid["spans"][1], json!({ "name": "order", "id": 7, "paid": true }));
}

#[test]
fn spans_that_have_ended_take_no_memory() {
    for setup in ["-", "layers"] {
        let host = start(setup);
        let live = || {
            post(&host, "many");
            let description: Value =
                serde_json::from_str(&command(&host, &["describe", "shop", "--format", "json"])).unwrap();
            description["serving"]["live_bytes"].as_u64().unwrap()
        };
        let before = live();
        let after = live();
        // As many spans as were made would take megabytes.
        assert!(before > 0 && after < before + 500_000, "{setup}: {before} {after}");
    }
}

#[test]
fn libraries_that_trace_are_unloaded() {
    for setup in ["-", "layers", "color_eyre"] {
        let host = start(setup);
        for generation in 1..4 {
            post(&host, "orders/7");
            host.replace(
                "libevents.so",
                patched("events", setup).into_iter().chain([generation]).collect::<Vec<_>>(),
            );
            host.wait_for_log(&[&format!("shop#{} is serving", generation + 1)]);
        }
        if !IN_PROCESSES {
            wait_until("the old libraries are unmapped", || host.mapped().len() == 1);
        }
        wait_until("their files are gone", || host.staged().len() <= 1);
        assert_eq!(host.log_lines(&["pinned"]), [""; 0], "{setup}");
    }
}

#[test]
fn reports_of_color_eyre_are_installed() {
    let host = start("color_eyre");
    host.get("/apps/shop/panic").problem(500, "app-panicked");
    let panic = record(&host, "panicked at");
    assert_eq!((&panic["level"], &panic["app"]), (&json!("error"), &json!("shop")));
    assert!(panic["message"].as_str().unwrap().contains("this handler panics"), "{panic}");
    // The report of the app, behind that of the host.
    host.wait_for_log(&["\"stderr\"", "The application panicked (crashed)."]);
    host.wait_for_log(&["\"stderr\"", "Message:  this handler panics"]);
    post(&host, "orders/7");
    record(&host, "order 7 is done");

    let host = start("fails");
    let reply = host.post("/apps/shop/records", "");
    assert_ne!(reply.status, 200);
    host.wait_for_log(&["the app cannot start"]);
}

#[test]
fn a_logger_that_cannot_be_set_twice_is_set() {
    let host = start("env_logger-try");
    post(&host, "records");
    let line = wait_for("the line of the logger", || {
        host.log_lines(&["\"stderr\"", "a record with fields"]).into_iter().next()
    });
    assert!(line.contains("user=7"), "{line}");
    post(&host, "orders/7");
    record(&host, "order 7 is done");
    assert_eq!(host.log_lines(&["failed to start"]), [""; 0]);
}
