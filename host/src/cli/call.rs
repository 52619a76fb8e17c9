//! `atoll call`.

use std::fmt::Write;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode, Uri};
use actix_web::web::Bytes;
use anyhow::{Context, bail};
use atoll_host::config::Config;
use atoll_host::internal::exchange::{RequestBody, ResponseBody};
use atoll_host::internal::{Problem, Registrar, escape, exchange};
use atoll_host::logging;
use atoll_plugin::protocol::{Header, HttpRequest, HttpVersion, header_text};
use clap::Args;
use futures_util::StreamExt;
use log::LevelFilter;

use super::out;

pub(super) const EXAMPLES: &str = "\
Examples:
  atoll call hello /greet/ada
  atoll call hello '/search?q=reef' -i
  atoll call shop /orders -d '{\"item\": 7}'            POST, as application/json
  atoll call shop /orders/7 -X PUT -H 'if-match: \"3\"' -d @order.json
  jq -n '{item: 7}' | atoll call shop /orders -d -

The app is started for this one request and stopped afterwards, as are the apps that it calls. The response body is \
written to standard output. The exit code is 0 for a status below 400, else 1.";

const REQUEST_ID: &str = "call";

#[derive(Args, Clone, Debug)]
pub(super) struct CallArgs {
    /// The name of the app in apps.json.
    app: String,
    /// The path below the app, with an optional query.
    #[arg(default_value = "/")]
    path: String,
    /// The method [default: GET, or POST with --data].
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// A request header. Repeatable.
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The request body; `@FILE` reads it from a file, `-` or `@-` from standard input, without changes.
    #[arg(short = 'd', long, value_name = "DATA", allow_hyphen_values = true)]
    data: Option<String>,
    /// Print the response status and headers before the body.
    #[arg(short = 'i', long)]
    include: bool,
    /// The apps.json file.
    #[arg(long, value_name = "FILE", default_value = "apps.json")]
    config: PathBuf,
}

/// The head of an app's answer, taken out of the message it came in.
struct Head {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
}

/// Starts an app, sends it one request, prints the response and stops the app.
pub(super) fn run(args: &CallArgs) -> anyhow::Result<ExitCode> {
    logging::init_at(LevelFilter::Warn);
    let uri = parse_path(&args.path)?;
    let config = callable(Config::load(&args.config)?, args)?;
    let body = args.data.as_deref().map(read_data).transpose()?;
    actix_web::rt::System::new().block_on(async {
        let registrar = Registrar::builder().with_details(true).build()?;
        registrar.apply(&config);
        let app = registrar.registry().get(&args.app).context("the app is not registered")?;
        let prefix = format!("/apps/{}", args.app);
        let request = request(args, &uri, &prefix, body.as_deref());
        let method = request.method.clone();
        let body = body.map_or(RequestBody::None, |body| Bytes::from(body).into());
        let answer = exchange::http(&app, request, body, |_, head, body| {
            let headers = head
                .headers
                .iter()
                .map(|header| (header.0.to_string(), header.value_bytes().unwrap_or_default().into_owned()));
            (Head { status: head.status, headers: headers.collect() }, body)
        })
        .await;
        let printed = match answer {
            Ok((head, _)) if method == "HEAD" => {
                print(&head, ResponseBody::Whole(Bytes::new()), args.include).await
            }
            Ok((head, body)) => print(&head, body, args.include).await,
            Err(problem) => {
                let head = if args.include { print_problem(&problem) } else { Ok(()) };
                let what = problem.to_string();
                eprintln!("atoll: {}, {}", status_text(problem.kind().status()), escape::lines(&what));
                head.map(|()| ExitCode::FAILURE)
            }
        };
        registrar.close().await;
        printed
    })
}

/// Prints what a server would answer.
fn print_problem(problem: &Problem) -> anyhow::Result<()> {
    let mut headers = vec![("content-type".to_owned(), b"application/problem+json".to_vec())];
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.push(("retry-after".to_owned(), seconds.to_string().into_bytes()));
    }
    print_head(&Head { status: problem.kind().status(), headers })?;
    Ok(out::print(problem.to_json(REQUEST_ID) + "\n")?)
}

fn print_head(head: &Head) -> anyhow::Result<()> {
    let mut text = format!("HTTP/1.1 {}\r\n", status_text(head.status)).into_bytes();
    for (name, value) in &head.headers {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Ok(out::print(text)?)
}

/// Prints an answer, a streamed body as it comes.
async fn print(answer: &Head, body: ResponseBody, include: bool) -> anyhow::Result<ExitCode> {
    if include {
        print_head(answer)?;
    }
    match body {
        ResponseBody::Whole(bytes) => out::print(&bytes)?,
        ResponseBody::Stream(mut download) => {
            while let Some(chunk) = download.next().await {
                out::print(&chunk.context("the response is incomplete")?)?;
            }
        }
        ResponseBody::WebSocket(_) => {
            bail!("the app opened a WebSocket; use `atoll serve` and a WebSocket client")
        }
    }
    if answer.status < 400 {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("atoll: the app answered {}", status_text(answer.status));
    Ok(ExitCode::FAILURE)
}

/// `404 Not Found`.
fn status_text(status: u16) -> String {
    let mut text = status.to_string();
    if let Some(reason) = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        // Writing to a string does not fail.
        let _ = write!(text, " {reason}");
    }
    text
}

/// The apps of a registry that has the one that is asked for. None starts before it is called.
fn callable(mut config: Config, args: &CallArgs) -> anyhow::Result<Config> {
    if config.apps.iter().any(|app| app.name == args.app) {
        config.apps.iter_mut().for_each(|app| app.settings.preload = false);
        return Ok(config);
    }
    bail!("{}: {}", args.config.display(), config.no_such_app(&args.app))
}

fn request<'a>(args: &'a CallArgs, uri: &'a Uri, prefix: &'a str, body: Option<&[u8]>) -> HttpRequest<'a> {
    let method = match (&args.method, body) {
        (Some(method), _) => method.as_str(),
        (None, Some(_)) => "POST",
        (None, None) => "GET",
    };
    let given = |wanted: &str| args.headers.iter().any(|(name, _)| name.as_str() == wanted);
    let mut headers: Vec<Header<'a>> = Vec::new();
    let mut default = |name: &'static str, value: String| {
        if !given(name) {
            headers.push(Header(name.into(), value.into()));
        }
    };
    default("host", "localhost".to_owned());
    default("accept", "*/*".to_owned());
    if let Some(body) = body {
        default("content-type", content_type(body).to_owned());
        default("content-length", body.len().to_string());
    }
    let given = args.headers.iter();
    headers.extend(given.map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes()))));
    let traceparent = headers.iter().find(|header| header.0 == "traceparent").map(|header| header.1.clone());
    HttpRequest {
        method: method.into(),
        path: uri.path().into(),
        query: uri.query().unwrap_or("").into(),
        prefix: prefix.into(),
        headers,
        peer: None,
        request_id: REQUEST_ID.into(),
        traceparent,
        version: HttpVersion::default(),
        deadline_ms: None,
        body: None,
    }
}

/// JSON, if it is an object or a list; else what an HTML form sends, as curl has it.
fn content_type(body: &[u8]) -> &'static str {
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    if is_json { "application/json" } else { "application/x-www-form-urlencoded" }
}

fn parse_path(path: &str) -> anyhow::Result<Uri> {
    let rooted = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    rooted.parse().with_context(|| {
        format!("the path {path:?} is invalid; percent-encode spaces (%20) and non-ASCII characters")
    })
}

fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE, as in `accept: text/html`")?;
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| format!("invalid header name {name:?}: expected letters, digits and -"))?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes())
        .map_err(|_| format!("invalid header value {value:?}: it contains control characters"))?;
    Ok((name, value))
}

fn read_data(data: &str) -> anyhow::Result<Vec<u8>> {
    let source = match data.strip_prefix('@') {
        Some(source) => source,
        None if data == "-" => "-",
        None => return Ok(data.into()),
    };
    match source {
        "-" => {
            let mut body = Vec::new();
            io::stdin().lock().read_to_end(&mut body).context("cannot read standard input")?;
            Ok(body)
        }
        file => std::fs::read(file).with_context(|| format!("cannot read the body from {file}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        call: CallArgs,
    }

    fn args(arguments: &[&str]) -> Result<CallArgs, String> {
        Command::try_parse_from(["call"].iter().chain(arguments))
            .map(|command| command.call)
            .map_err(|error| error.to_string())
    }

    fn sent(arguments: &[&str]) -> HttpRequest<'static> {
        let args = args(arguments).unwrap();
        let uri = parse_path(&args.path).unwrap();
        let body = args.data.as_deref().map(|data| read_data(data).unwrap());
        let request = request(&args, &uri, "/apps/x", body.as_deref());
        serde_json::from_str(Box::leak(serde_json::to_string(&request).unwrap().into_boxed_str())).unwrap()
    }

    fn header(request: &HttpRequest<'_>, name: &str) -> Option<String> {
        request.headers.iter().find(|header| header.0 == name).map(|header| header.1.to_string())
    }

    #[test]
    fn a_path_and_a_query_are_sent_as_they_are() {
        let request = sent(&["x", "a%20b/c?q=1&r=%26"]);
        assert_eq!((&*request.method, &*request.path, &*request.query), ("GET", "/a%20b/c", "q=1&r=%26"));
        assert_eq!(sent(&["x"]).path, "/");
        assert_eq!(header(&request, "content-length"), None);
        let error = parse_path("/a b").unwrap_err();
        assert!(error.to_string().contains("percent-encode spaces (%20)"), "{error}");
    }

    #[test]
    fn data_makes_a_post() {
        let request = sent(&["x", "/", "-d", r#"{"a": 1}"#]);
        assert_eq!(request.method, "POST");
        assert_eq!(header(&request, "content-type").as_deref(), Some("application/json"));
        assert_eq!(header(&request, "content-length").as_deref(), Some("8"));
        let form = sent(&["x", "/", "-d", "{a=1", "-X", "PATCH"]);
        assert_eq!(form.method, "PATCH");
        assert_eq!(header(&form, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    }

    #[test]
    fn headers_are_given_by_name_and_value() {
        let request = sent(&[
            "x",
            "/",
            "-H",
            "Accept: text/html",
            "-H",
            "x-a:",
            "-H",
            "traceparent: 00-1-2-01",
            "-d",
            "-1",
        ]);
        assert_eq!(header(&request, "accept").as_deref(), Some("text/html"));
        assert_eq!(header(&request, "x-a").as_deref(), Some(""));
        assert_eq!(request.traceparent.as_deref(), Some("00-1-2-01"));
        assert_eq!(request.headers.iter().filter(|header| header.0 == "accept").count(), 1);
        assert!(args(&["x", "/", "-H", "none"]).unwrap_err().contains("expected NAME:VALUE"));
        assert!(args(&["x", "/", "-H", "a b: c"]).unwrap_err().contains("invalid header name"));
        assert!(args(&["x", "/", "-X", "A B"]).is_err());
    }

    #[test]
    fn data_comes_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("body");
        std::fs::write(&file, "a\nb\n").unwrap();
        assert_eq!(read_data(&format!("@{}", file.display())).unwrap(), b"a\nb\n");
        assert_eq!(read_data("a@b").unwrap(), b"a@b");
        assert!(read_data("@/nowhere").unwrap_err().to_string().contains("/nowhere"));
    }
}
