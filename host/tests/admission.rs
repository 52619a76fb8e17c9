//! How much an app takes: at once, in a second, and in its heap.

mod support;

use serde_json::json;
use support::{Call, Connection, Host, library, wait_until};

#[test]
fn one_request_more_than_may_be_in_flight_is_refused_at_once() {
    let app = json!({ "name": "probe", "path": library("probe"), "max_concurrency": 2 });
    let host = Host::start(json!([app]), &["--admin", "127.0.0.1:0"]);
    let mut waiting: Vec<_> = (0..2).map(|_| host.connect()).collect();
    for (number, connection) in waiting.iter_mut().enumerate() {
        connection.send(&Call::get(&format!("/apps/probe/wait/{number}"))).unwrap();
    }
    // The admin listener is asked, as a request to the app could take the place of the second.
    let app = Call::get("/api/v1/apps/probe");
    wait_until("both are in flight", || {
        Connection::open(host.admin()).unwrap().call(&app).unwrap().json()["serving"]["in_flight"] == 2
    });
    let refused = host.get("/apps/probe/start");
    assert!(refused.header("retry-after").is_some());
    let problem = refused.problem(503, "overloaded");
    assert!(problem["detail"].as_str().unwrap().contains("max_concurrency = 2"), "{problem}");
    drop(waiting.pop());
    wait_until("there is room again", || host.get("/apps/probe/start").status == 200);
}

#[test]
fn what_comes_too_fast_is_refused_with_the_time_to_wait() {
    let app = json!({ "name": "probe", "path": library("probe"), "rate": 5 });
    let host = Host::start(json!([app]), &[]);
    let replies: Vec<_> = (0..30).map(|_| host.get("/apps/probe/start")).collect();
    assert!(replies[..5].iter().all(|reply| reply.status == 200));
    let refused =
        replies.iter().find(|reply| reply.status == 429).expect("30 at once are more than 5 a second");
    assert_eq!(refused.header("retry-after").as_deref(), Some("1"));
    assert!(refused.problem(429, "rate-limited")["detail"].as_str().unwrap().contains("rate = 5"));
    wait_until("it takes requests again", || host.get("/apps/probe/start").status == 200);
}

#[test]
fn a_heap_above_its_limit_is_replaced_and_no_request_is_lost() {
    let app = json!({ "name": "counter", "path": library("counter"), "heap_soft_limit": 1 });
    let host = Host::start(json!([app]), &[]);
    assert_eq!(host.post("/apps/counter/", "").json(), json!({ "count": 1 }));
    host.wait_for_log(&["WARN", "counter#1", "heap_soft_limit = 1"]);
    host.wait_for_log(&["counter#2 is serving"]);
    assert_eq!(host.post("/apps/counter/", "").json(), json!({ "count": 2 }), "its state is handed over");
}

#[test]
fn the_calls_of_a_batch_count_one_by_one_and_preflights_do_not() {
    let app = json!({ "name": "rpc", "path": library("rpc"), "rate": 10 });
    let host = Host::start(json!([app]), &[]);
    let call = json!({ "jsonrpc": "2.0", "method": "subtract", "params": [3, 1], "id": 1 });
    let send = |body: &serde_json::Value| {
        host.call(&Call::post("/rpc/rpc", body.to_string()).header("content-type", "application/json"))
    };
    assert_eq!(send(&call).json()["result"], 2);
    let answers = send(&json!(vec![call.clone(); 100])).json();
    let done = answers.as_array().unwrap().iter().filter(|answer| answer["result"] == 2).count();
    let refused: Vec<_> =
        answers.as_array().unwrap().iter().filter(|answer| answer["error"].is_object()).collect();
    assert!((5..60).contains(&done) && done + refused.len() == 100, "{done} of 100 were done");
    for answer in refused {
        assert_eq!(answer["error"]["code"], -32004, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains("rate = 10"), "{answer}");
        assert!(answer["error"]["data"]["retry_after_ms"].is_u64(), "{answer}");
    }
    wait_until("it takes calls again", || send(&call).status == 200);

    let app = json!({ "name": "probe", "path": library("probe"), "rate": 1 });
    let host = Host::start(json!([app]), &[]);
    let preflight = Call::new("OPTIONS", "/apps/probe/echo").header("origin", "https://a.example");
    let preflight = preflight.header("access-control-request-method", "POST");
    for _ in 0..20 {
        assert_eq!(host.call(&preflight).status, 200);
    }
    let plain =
        (0..20).filter(|_| host.call(&Call::new("OPTIONS", "/apps/probe/echo")).status == 429).count();
    assert!(plain > 5, "{plain}");
}
