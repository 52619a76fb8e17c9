//! What reads bytes that the host did not write, for the fuzz targets in `host/fuzz/`. Each function takes any bytes, and panics
//! when something is wrong. It is no part of the library's interface.

use std::path::Path;
use std::str;

use atoll_plugin::Call;
use atoll_plugin::abi::Message;
use atoll_plugin::protocol::{BodyEnd, Head, HttpRequest, HttpResponse, Request, Response};
use atoll_port::WorkerMessage;
use atoll_port::answer::{self, AnswerError};

use crate::config::{Config, Route};
use crate::dispatch::routes::Routes;
use crate::library::stage::Staging;
use crate::memory::buffer;

fn message_of(bytes: &[u8]) -> Message {
    Message { json: buffer::from_vec(bytes.to_vec()), ..Message::default() }
}

/// A message of an app's.
pub fn message(bytes: &[u8]) {
    let _ = WorkerMessage::parse(message_of(bytes));
    atoll_port::check_agreement(bytes);
    let result: Result<serde_json::Value, AnswerError> = answer::result(Ok(message_of(bytes)));
    if let Ok(response) = answer::http(bytes) {
        assert!(result.is_ok(), "an HTTP response is a result");
        let raw = answer::raw_result(bytes).expect("an HTTP response is a result");
        let same: HttpResponse<'_> = serde_json::from_str(raw.get()).expect("it was read before");
        assert_eq!(response, same);
        let written = response.message(7);
        let expected = serde_json::to_vec(&Response::result(7, &response)).expect("it can be written");
        assert_eq!(str::from_utf8(&written), str::from_utf8(&expected));
        assert_eq!(answer::http(&written).expect("what is written can be read"), response);
    }
}

/// A message of the host's, which an app reads: the host's own are of this form, and a fault there is a fault in all apps.
pub fn request(bytes: &[u8]) {
    if let Ok(call) = Call::parse(message_of(bytes)) {
        let _ = call.params::<HttpRequest<'_>>();
    }
    let params = match Head::of(bytes) {
        Some(Head::Call { params, .. }) => params,
        _ => bytes,
    };
    let Ok(text) = str::from_utf8(params) else { return };
    let (end, same) = (BodyEnd::parse(text), serde_json::from_str::<BodyEnd<'_>>(text));
    assert_eq!(end.as_ref().ok(), same.as_ref().ok());
    if let Ok(end) = end {
        let expected =
            serde_json::to_vec(&Request::notification("body.end", &end)).expect("it can be written");
        assert_eq!(str::from_utf8(&end.message()), str::from_utf8(&expected));
    }
    let request = HttpRequest::parse(text, &[]);
    let same = serde_json::from_str::<HttpRequest<'_>>(text);
    assert_eq!(request.as_ref().ok(), same.as_ref().ok());
    let Ok(request) = request else { return };
    let mut written = request.message(7);
    let expected = serde_json::to_vec(&Request::new(7, "http", &request)).expect("it can be written");
    assert_eq!(str::from_utf8(&written.json), str::from_utf8(&expected));
    let Some(Head::Call { params, .. }) = Head::of(&written.json) else { panic!("it is in the usual form") };
    let params = str::from_utf8(params).expect("what is written is text");
    assert_eq!(HttpRequest::parse(params, &written.index).ok().as_ref(), Some(&request));
    assert_eq!(HttpRequest::set_deadline(&mut written.json, 5), request.deadline_ms.is_some());
    let deadline_ms = request.deadline_ms.map(|_| 5);
    assert_eq!(written, HttpRequest { deadline_ms, ..request }.message(7));
}

/// `apps.json`.
pub fn registry(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Config::parse(text, Path::new("/srv"), "apps.json") {
        Ok(config) => {
            for app in &config.apps {
                assert!(config.app(&app.name).is_some());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A library, in a folder where it may be staged.
///
/// # Panics
/// Also when the folder cannot be written to.
pub fn library(bytes: &[u8], folder: &Path) {
    let file = folder.join("libfuzz.so");
    std::fs::write(&file, bytes).expect("the folder can be written to");
    let staging = Staging::within(folder).expect("the folder can be used");
    if let Ok(staged) = staging.stage("fuzz", &file) {
        let _ = staged.inspect(None).map(|inspected| assert!(!inspected.stamp().name.is_empty()));
    }
}

/// What another host of a fleet sends.
#[cfg(feature = "fleet")]
pub fn frame(bytes: &[u8]) {
    crate::fleet::calls::check_frames(bytes);
}

/// The host and the path of a request: a line each.
pub fn target(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (host, path) = text.split_once('\n').unwrap_or(("", text));
    let route = |host: &str, prefix: &str| {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Route { host: some(host), path_prefix: some(prefix) }
    };
    let mut routes = Routes::default();
    for (number, (host, prefix)) in
        [("a.example", "/v1"), ("*.example", ""), ("", "/v1/deep"), ("", "/other")].into_iter().enumerate()
    {
        routes.add(&route(host, prefix), number);
    }
    for host in [None, Some(host)] {
        if let Some((number, length)) = routes.find(host, path) {
            let (prefix, rest) = path.split_at(*length);
            assert_eq!(prefix, ["/v1", "", "/v1/deep", "/other"][*number]);
            assert!(rest.is_empty() || rest.starts_with('/'), "a prefix ends with a segment");
        }
    }
    crate::http::check_target(host.as_bytes(), path);
}
