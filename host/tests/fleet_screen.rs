//! A fleet on the screen: `atoll top --fleet`, and the page of the dashboard.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod browser;
mod installed;
mod nats;
mod support;
mod terminal;

use std::path::PathBuf;

use atoll_host::internal::fleet::nats::Fleet;
use atoll_host::internal::fleet::{Record, Release, Target};
use browser::Chromium;
use nats::Nats;
use serde_json::json;
use support::{Host, Launch, contains, versioned};
use terminal::Terminal;
use tokio::runtime::Runtime;

fn program() -> Option<PathBuf> {
    installed::all(["nats-server"]).map(|[program]| program)
}

/// Two hosts with version 1, of which the first one refuses the settings of a deployment that went back.
fn fleet(nats: &Nats) -> [Host; 2] {
    let tenants =
        json!({ "tenants": [{ "apps": ["app"], "settings": { "isolation": "thread", "queue": 9 } }] });
    let a = nats.launch("a", tenants).args(["--admin", "127.0.0.1:0"]).start();
    let b = nats.launch("b", json!({})).start();
    nats.wait_for_hosts(&a, &["a", "b"]);
    nats.deployed(versioned(1));
    let deploy = nats.deployer("deploy", versioned(2), json!({ "queue": 5 }));
    let refused = deploy.args(["--fleet", "--hold", "0"]).run();
    assert_eq!(refused.status.code(), Some(4), "{}{}", refused.stdout, refused.stderr);
    [a, b]
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Has the fleet ask for a version that no host can have.
async fn ask_for_a_missing_version(nats: &Nats) {
    let fleet = Fleet::connect(&nats.settings()).await.unwrap();
    let (record, revision) = fleet.record("app").await.unwrap().unwrap();
    let Target::Version(release) = record.target.clone() else { panic!("{record:?}") };
    let missing = Release { version: "f".repeat(12), library: "f".repeat(64), ..release };
    let missing = Record { target: Target::Version(missing), ..record };
    fleet.publish("app", &missing, Some(revision)).await.unwrap();
}

#[test]
fn a_terminal_shows_the_fleet_live() {
    let Some(program) = program() else { return };
    let nats = Nats::start(&program);
    let [a, b] = fleet(&nats);
    let mut top = Terminal::start(&a, &["top", "--fleet"], &[]);
    // What is a space already is not written.
    for text in ["default", "zone=z", &b.address().to_string(), "serving", "operator's", "scroll"] {
        top.wait_for(text);
    }
    assert!(!top.shown().contains("ffffffffffff"));
    runtime().block_on(ask_for_a_missing_version(&nats));
    top.wait_for("ffffffffffff");
    top.wait_for("store");
    top.press("q");
    assert_eq!(top.ended().code(), Some(0));

    // Where there is no terminal, it prints once.
    let once = a.again("top").arg("--fleet").run();
    assert!(once.status.success(), "{}", once.stderr);
    contains(&once.stdout, &["HOST", "zone=z", "STATE", "out of date"]);
    let alone = Launch::serve("[]").start();
    contains(&alone.again("top").arg("--fleet").run().stderr, &["in no fleet"]);
}

#[test]
fn the_dashboard_has_a_page_of_the_fleet() {
    let (Some(program), Some(chromium)) = (program(), Chromium::installed()) else { return };
    let nats = Nats::start(&program);
    let [a, b] = fleet(&nats);
    let alone = Launch::serve("[]").args(["--admin", "127.0.0.1:0"]).start();
    chromium.drive(async |browser| {
        browser.goto(&format!("http://{}/", alone.admin())).await;
        browser.says("#host", "process").await;
        assert_eq!(browser.run("return document.querySelector('#fleet').hidden").await, true);

        browser.goto(&format!("http://{}/", a.admin())).await;
        browser.says("#fleet", "Fleet default").await;
        browser.click("#fleet").await;
        browser.says("h1", "Fleet default").await;
        let rows = |of: &str| format!("[...document.querySelectorAll('.fleet {of} tr[data-host]')]");
        browser.until(&format!("{}.length === 4", rows("tbody"))).await;
        browser.says("tbody tr[data-host=b]", &format!("http://{}", b.address())).await;
        browser.says("tbody tr[data-host=b]", "zone=z").await;
        // The titles are above the rows.
        let edge = |of: &str| format!("document.querySelector('.fleet {of}').getBoundingClientRect()");
        browser.until(&format!("{}.bottom <= {}.top", edge("thead"), edge("tbody"))).await;
        browser.says("tbody[data-app=app] .group", "went back").await;
        browser.says("tbody[data-app=app] .group .refused", "`queue` is the operator's to decide").await;
        browser
            .until(&format!("{}.every((row) => row.innerText.includes('serving'))", rows("tbody[data-app]")))
            .await;

        ask_for_a_missing_version(&nats).await;
        browser.says("tbody[data-app=app] .group .phase", "out of date").await;
        for host in ["a", "b"] {
            let row = format!("tbody[data-app=app] tr[data-host={host}] .refused");
            browser.says(&row, "is not in the object store").await;
        }
        browser
            .until(&format!(
                "{}.every((row) => row.cells[6].innerText === '1')",
                rows("tbody:not([data-app])")
            ))
            .await;
    });
}
