//! A request and its answer as text, for apps that are not reached over HTTP.
//!
//! ```text
//! GET /greet/tobe            200
//! accept: */*                content-type: application/json
//!
//!                            {"name":"tobe"}
//! ```

use std::io::Write;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use anyhow::Context;
use serde::Serialize;

/// The text of a request without a body: all that an app may want to know of it.
pub fn request(path: &str, request: &HttpRequest) -> Vec<u8> {
    let mut text = Vec::with_capacity(1024);
    // Writing to a vector does not fail.
    let _ = writeln!(text, "{} {path}", request.method());
    for (name, value) in request.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.push(b'\n');
    }
    text.push(b'\n');
    text
}

/// The HTTP response that an app's answer stands for.
///
/// # Errors
/// It is not such a text.
pub fn response(answer: &[u8]) -> anyhow::Result<HttpResponse> {
    let end =
        answer.windows(2).position(|window| window == b"\n\n").context("the answer has no end of head")?;
    let head = std::str::from_utf8(&answer[..end]).context("the answer's head is not text")?;
    let mut lines = head.split('\n');
    let status = lines.next().unwrap_or_default();
    let status = StatusCode::from_bytes(status.as_bytes()).context("the answer has no status")?;
    let mut response = HttpResponse::build(status);
    for line in lines {
        response.append_header(line.split_once(": ").context("a header without a value")?);
    }
    Ok(response.body(answer[end + 2..].to_vec()))
}

/// The app itself in native code: the answer to the text of a request.
pub fn greet(request: &[u8]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Greeting<'a> {
        name: &'a str,
    }

    let line = request.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let name = std::str::from_utf8(line).ok().and_then(|line| line.strip_prefix("GET /greet/"));
    match name.filter(|name| !name.is_empty() && !name.contains('/')) {
        Some(name) => {
            let mut answer = b"200\ncontent-type: application/json\n\n".to_vec();
            // A text is always written, to a vector as well.
            let _ = serde_json::to_writer(&mut answer, &Greeting { name });
            answer
        }
        None => b"404\n\n".to_vec(),
    }
}
