use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::plain::{find_quote, is_plain};
use super::*;
use crate::{Body, BodyEnd, Credit, Header, HttpVersion, Request, Response, Stream, WsKind, WsMessage};

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    // Plain, with what must be escaped, and with anything.
    prop_oneof!["[a-z/*.:;= -]{0,20}", "[a-z\"\\\\\t\n\u{1}é]{0,8}", any::<String>()].prop_map(Cow::Owned)
}

fn headers() -> impl Strategy<Value = Vec<Header<'static>>> {
    vec((text(), text()).prop_map(|(name, value)| Header(name, value)), 0..5)
}

fn body() -> impl Strategy<Value = Option<Body>> {
    let one = prop_oneof![any::<usize>().prop_map(Body::Transfer), Just(Body::STREAM), Just(Body::WEBSOCKET)];
    option::of(one)
}

fn version() -> impl Strategy<Value = HttpVersion> {
    prop::sample::select(vec![HttpVersion::Http10, HttpVersion::Http11, HttpVersion::Http2])
}

prop_compose! {
    fn end()(id in any::<u64>(), trailers in headers()) -> BodyEnd<'static> {
        BodyEnd { id, trailers }
    }
}

prop_compose! {
    fn request()(
        (method, path, query, prefix) in (text(), text(), text(), text()),
        headers in headers(),
        (peer, request_id, traceparent) in (option::of(text()), text(), option::of(text())),
        version in version(),
        deadline_ms in any::<Option<u64>>(),
        body in body(),
    ) -> HttpRequest<'static> {
        HttpRequest { method, path, query, prefix, headers, peer, request_id, traceparent, version, deadline_ms, body }
    }
}

prop_compose! {
    fn response()(status in any::<u16>(), headers in headers(), body in body()) -> HttpResponse<'static> {
        HttpResponse { status, headers, body }
    }
}

fn kind() -> impl Strategy<Value = WsKind> {
    prop::sample::select(vec![WsKind::Text, WsKind::Binary, WsKind::Ping, WsKind::Pong])
}

/// What a notification's own reader makes of it, and the text of its parameters.
fn notification<T: serde::Serialize>(
    method: &str,
    params: T,
    message: Vec<u8>,
    read: impl FnOnce(&str) -> Option<T>,
) -> (Option<T>, String) {
    let message = String::from_utf8(message).unwrap();
    assert_eq!(message, serde_json::to_string(&Request::notification(method, &params)).unwrap());
    let Some(Head::Call { id: None, method: named, params }) = Head::of(message.as_bytes()) else {
        panic!("{message} is in another form")
    };
    assert_eq!(named, method.as_bytes());
    let params = std::str::from_utf8(params).unwrap();
    (read(params), params.to_owned())
}

/// A text with one character in another's place, or one more, or one less.
fn changed(text: &str, at: prop::sample::Index, by: char, how: u8) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    let at = at.index(characters.len());
    match how % 3 {
        0 => characters[at] = by,
        1 => characters.insert(at, by),
        _ => _ = characters.remove(at),
    }
    characters.into_iter().collect()
}

proptest! {
    #[test]
    fn a_request_is_written_and_read_as_serde_json_does(request in request(), id in any::<u64>()) {
        let IndexedText { json, index } = request.message(id);
        let message = String::from_utf8(json).unwrap();
        prop_assert_eq!(&message, &serde_json::to_string(&Request::new(id, "http", &request)).unwrap());
        let Some(Head::Call { id: Some(read), method: b"http", params }) = Head::of(message.as_bytes()) else {
            panic!("{message} is in another form")
        };
        prop_assert_eq!(read, id);
        // Without serde_json's help.
        let text = std::str::from_utf8(params).unwrap();
        let by_index = Reader::with(text, &index).and_then(HttpRequest::read);
        prop_assert_eq!(by_index.as_ref(), Some(&request));
        prop_assert_eq!(HttpRequest::read(Reader::of(text).unwrap()), Some(request));
    }

    #[test]
    fn a_deadline_is_changed_wherever_it_is(request in request(), id in any::<u64>(), ms in any::<u64>()) {
        let mut message = request.message(id);
        let changes = HttpRequest::set_deadline(&mut message.json, ms);
        prop_assert_eq!(changes, request.deadline_ms.is_some());
        let expected = HttpRequest { deadline_ms: request.deadline_ms.map(|_| ms), ..request };
        prop_assert_eq!(message, expected.message(id));
    }

    #[test]
    fn a_response_is_written_and_read_as_serde_json_does(response in response(), id in any::<u64>()) {
        let message = String::from_utf8(response.message(id)).unwrap();
        prop_assert_eq!(&message, &serde_json::to_string(&Response::result(id, &response)).unwrap());
        let Some(Head::Result { id: read, result }) = Head::of(message.as_bytes()) else {
            panic!("{message} is in another form")
        };
        prop_assert_eq!(read, id);
        prop_assert_eq!(HttpResponse::read(Reader::of(std::str::from_utf8(result).unwrap()).unwrap()), Some(response));
    }

    #[test]
    fn an_index_that_does_not_fit_is_no_danger(
        request in request(),
        entries in prop::collection::vec(any::<(u16, bool)>(), 0..40),
        cut in 0..4_usize,
        at in any::<prop::sample::Index>(),
    ) {
        // Any entries, and the right ones but for one bit.
        let mut any = Vec::new();
        entries.iter().for_each(|&(length, is_escaped)| index::note(&mut any, length.into(), is_escaped));
        any.truncate(any.len().saturating_sub(cut));
        let mut changed = request.message(1).index;
        let byte = at.index(changed.len());
        changed[byte] ^= 1 << (byte % 8);
        let text = serde_json::to_string(&request).unwrap();
        for index in [&any, &changed] {
            prop_assert!(HttpRequest::parse(&text, index).is_ok());
        }
    }

    #[test]
    fn notifications_of_streams_are_written_and_read_as_serde_json_does(
        (id, bytes, kind) in (any::<u64>(), any::<u64>(), kind()),
        at in any::<prop::sample::Index>(),
        by in prop::sample::select(vec!['"', '\\', ',', '}', ']', '0', '-', '.', ' ', '\n', 'e', 'i']),
        how in any::<u8>(),
    ) {
        let stream = Stream { id };
        let (read, text) = notification("body.chunk", stream, stream.chunk_message(), |text| Stream::read(Reader::plain(text)));
        prop_assert_eq!(read, Some(stream));
        let text = changed(&text, at, by, how);
        prop_assert_eq!(Stream::parse(&text).ok(), serde_json::from_str(&text).ok());

        let credit = Credit { id, bytes };
        let (read, text) = notification("body.credit", credit, credit.message(), |text| Credit::read(Reader::plain(text)));
        prop_assert_eq!(read, Some(credit));
        let text = changed(&text, at, by, how);
        prop_assert_eq!(Credit::parse(&text).ok(), serde_json::from_str(&text).ok());

        let message = WsMessage { id, kind };
        let (read, text) = notification("ws.message", message, message.message(), |text| WsMessage::read(Reader::plain(text)));
        prop_assert_eq!(read, Some(message));
        let text = changed(&text, at, by, how);
        prop_assert_eq!(WsMessage::parse(&text).ok(), serde_json::from_str(&text).ok());
    }

    #[test]
    fn the_end_of_a_body_is_written_and_read_as_serde_json_does(
        end in end(),
        at in any::<prop::sample::Index>(),
        by in prop_oneof![prop::sample::select(vec!['"', '\\', ',', ']', '0', ' ', '\n']), any::<char>()],
        how in any::<u8>(),
    ) {
        let message = end.message();
        // What borrows from the text is compared before the text is gone.
        let read = |text: &str| BodyEnd::read(Reader::of(text)?).map(|end| BodyEnd {
            id: end.id,
            trailers: end.trailers.into_iter().map(Header::into_owned).collect(),
        });
        let (read, text) = notification("body.end", end.clone(), message, read);
        prop_assert_eq!(read, Some(end));
        let text = changed(&text, at, by, how);
        prop_assert_eq!(BodyEnd::parse(&text).ok(), serde_json::from_str(&text).ok());
    }

    #[test]
    fn a_text_that_is_changed_reads_as_serde_json_reads_it(
        (request, response) in (request(), response()),
        at in any::<prop::sample::Index>(),
        by in prop_oneof![prop::sample::select(vec!['"', '\\', ',', '}', ']', '0', '-', '.', ' ', '\n', 'e']), any::<char>()],
        how in any::<u8>(),
    ) {
        let text = changed(&serde_json::to_string(&request).unwrap(), at, by, how);
        if let Some(read) = Reader::of(&text).and_then(HttpRequest::read) {
            prop_assert_eq!(read, serde_json::from_str(&text).unwrap());
        }
        let text = changed(&serde_json::to_string(&response).unwrap(), at, by, how);
        if let Some(read) = Reader::of(&text).and_then(HttpResponse::read) {
            prop_assert_eq!(read, serde_json::from_str(&text).unwrap());
        }
    }
}

#[test]
fn other_forms_of_json_are_read_as_well() {
    let request = HttpRequest::parse(r#" { "path": "/", "method": "G\u0045T" } "#, &[]).unwrap();
    assert_eq!((&*request.method, &*request.path, request.deadline_ms), ("GET", "/", None));
    assert_eq!(HttpResponse::parse(r#"{"body":null, "status":200}"#).unwrap().status, 200);
    assert!(HttpRequest::parse(r#"{"method":"GET"}"#, &[]).is_err());
    assert!(HttpResponse::parse(r#"{"status":200,"headers":[],"body":null}}"#).is_err());
    assert!(HttpResponse::parse(r#"{"status":65536,"headers":[],"body":null}"#).is_err());
}

#[test]
fn versions_of_http_are_read_in_any_form() {
    let version = |text: &str| {
        HttpRequest::parse(&format!(r#"{{"method":"GET","path":"/"{text}}}"#), &[]).map(|it| it.version)
    };
    assert_eq!(version("").unwrap(), HttpVersion::Http11);
    for (text, expected) in
        [("1.0", HttpVersion::Http10), ("1.1", HttpVersion::Http11), ("2", HttpVersion::Http2)]
    {
        assert_eq!(version(&format!(r#","version":"{text}""#)).unwrap(), expected);
        assert_eq!(expected.as_str(), text);
    }
    assert!(version(r#","version":"4""#).is_err());
}

#[test]
fn heads_in_another_form_are_not_guessed() {
    for text in [
        "",
        "}",
        r#"{"jsonrpc":"2.0","id":07,"result":1}"#,
        r#"{"jsonrpc":"2.0","id":1.5,"result":1}"#,
        r#"{"jsonrpc":"2.0","id":-1,"result":1}"#,
        r#"{"jsonrpc":"2.0","id":1 ,"result":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"no"}}"#,
        r#"{"jsonrpc":"2.0","result":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"\u0061","params":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#,
    ] {
        assert_eq!(Head::of(text.as_bytes()), None, "{text}");
    }
    let head = Head::of(br#"{"jsonrpc":"2.0","method":"stop","params":null}"#);
    assert_eq!(head, Some(Head::Call { id: None, method: b"stop", params: b"null" }));
}

#[test]
fn what_must_be_escaped_is_found_wherever_it_is() {
    for length in 0..80 {
        let plain = " !#[]~\u{7f}".chars().cycle().take(length).collect::<String>();
        assert!(is_plain(&plain), "{plain:?}");
        assert_eq!(find_quote(plain.as_bytes()), None, "{plain:?}");
        for (at, special) in
            (0..length).flat_map(|at| ['"', '\\', '\n', '\u{1f}'].map(|special| (at, special)))
        {
            let mut text = plain.clone();
            text.replace_range(at..=at, special.encode_utf8(&mut [0; 4]));
            assert!(!is_plain(&text), "{text:?}");
            let quote = ['"', '\\'].contains(&special).then_some(at);
            assert_eq!(find_quote(text.as_bytes()), quote, "{text:?}");
        }
    }
    assert!(is_plain("é") && is_plain("\u{80}\u{ff}") && is_plain("größer als vorher"));
}
