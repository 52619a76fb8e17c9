//! The built library in a host.

use atoll_host::internal::lifecycle::Phase;
use atoll_host::testing::{TestHost, TestHostError};

#[test]
fn the_count_is_handed_over_from_library_to_library() -> Result<(), TestHostError> {
    let host = TestHost::builder().app("counter", ".").start()?;
    assert_eq!(host.app("counter")?.phase(), Phase::Cold);
    let url = host.url("counter", "/");
    let text = |answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>| {
        answer.unwrap().body_mut().read_to_string().unwrap()
    };
    for count in 1..=2 {
        assert_eq!(text(ureq::post(&url).send_empty()), format!(r#"{{"count":{count}}}"#));
    }
    assert_eq!(host.reload("counter")?, 2);
    assert_eq!(text(ureq::get(&url).call()), r#"{"count":2}"#);
    assert_eq!(host.app("counter")?.phase(), Phase::Serving);
    assert!(matches!(host.reload("counters"), Err(TestHostError::NoApp(name)) if name == "counters"));
    host.stop();
    assert!(ureq::get(&url).call().is_err(), "nobody listens any more");
    Ok(())
}
