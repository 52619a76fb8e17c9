//! An app that has its port to itself.

mod support;

use serde_json::json;
use support::{Call, Host, library, wait_until};

#[test]
fn a_main_of_its_own_serves_its_port() {
    let host = Host::start(json!([{ "name": "raw", "path": library("raw"), "idle_timeout_ms": 100 }]), &[]);
    let reply = host.call(&Call::new("BREW", "/apps/raw/tea?x=1"));
    assert_eq!((reply.status, reply.text()), (200, "BREW /tea in person".to_owned()));
    assert_eq!(reply.header("content-type").as_deref(), Some("text/plain"));
    // It goes when it is told to, and comes again.
    wait_until("it is idle and gone", || host.mapped().is_empty());
    assert_eq!(host.get("/apps/raw/").text(), "GET / in person");
    assert!(host.log_lines(&["pinned"]).is_empty());
}
