use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::*;

/// The JSON examples of the protocol's description.
fn examples() -> Vec<&'static str> {
    include_str!("../../../docs/src/protocol.md").lines().filter(|line| line.starts_with('{')).collect()
}

fn params<'a, T: Deserialize<'a> + Serialize>(params: &'a RawValue) {
    let read: T = serde_json::from_str(params.get()).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written, serde_json::from_str::<Value>(params.get()).unwrap());
}

#[test]
fn the_examples_of_the_description_are_what_the_types_say() {
    let mut seen = Vec::new();
    for example in examples() {
        let incoming: Incoming<'_> = serde_json::from_str(example).unwrap();
        match (incoming.method.as_deref(), incoming.id) {
            (Some(method::START), Some(1)) => params::<Start>(incoming.params.unwrap()),
            (Some(method::HTTP), Some(3)) => params::<HttpRequest<'_>>(incoming.params.unwrap()),
            (Some(method::CANCEL), None) => params::<Cancel>(incoming.params.unwrap()),
            (Some(method::BACKGROUND), None) => params::<Background>(incoming.params.unwrap()),
            (Some(method::LOG_LEVEL), None) => params::<LogLevel>(incoming.params.unwrap()),
            (Some(method::BODY_CHUNK), None) => params::<Stream>(incoming.params.unwrap()),
            (Some(method::BODY_END), None) => params::<BodyEnd<'_>>(incoming.params.unwrap()),
            (Some(method::BODY_ERROR), None) => params::<BodyError<'_>>(incoming.params.unwrap()),
            (Some(method::BODY_CREDIT), None) => params::<Credit>(incoming.params.unwrap()),
            (Some(method::WS_MESSAGE), None) => params::<WsMessage>(incoming.params.unwrap()),
            (Some(method::WS_CLOSE), None) => params::<WsClose<'_>>(incoming.params.unwrap()),
            (Some(method::STATE_SAVE), Some(9)) | (Some(method::STOP), None) => {}
            (Some(method::CALL), Some(2)) => params::<RpcCall<'_>>(incoming.params.unwrap()),
            (Some(method::FETCH), Some(4)) => params::<Fetch<'_>>(incoming.params.unwrap()),
            (Some(own), Some(11)) => assert!(!method::is_reserved(own)),
            (None, Some(1)) => params::<Started>(incoming.result.unwrap()),
            (None, Some(3)) => match incoming.error {
                Some(error) => {
                    let data: ErrorData = serde_json::from_value(error.data.unwrap()).unwrap();
                    assert_eq!((error.code, data.status), (code::HANDLER_FAILED, 503));
                }
                None => params::<HttpResponse<'_>>(incoming.result.unwrap()),
            },
            (None, Some(4)) => params::<HttpResponse<'_>>(incoming.result.unwrap()),
            (None, Some(2 | 9 | 11)) => assert!(incoming.result.is_some()),
            other => panic!("{other:?} is not in this test: {example}"),
        }
        seen.push(incoming.method.map(Cow::into_owned));
    }
    let described = [
        method::START,
        method::HTTP,
        method::CANCEL,
        method::STATE_SAVE,
        method::STOP,
        method::BACKGROUND,
        method::LOG_LEVEL,
        method::BODY_CHUNK,
        method::BODY_END,
        method::BODY_ERROR,
        method::BODY_CREDIT,
        method::WS_MESSAGE,
        method::WS_CLOSE,
        method::CALL,
        method::FETCH,
    ];
    for name in described {
        assert!(seen.iter().flatten().any(|seen| seen == name), "no example of {name}");
    }
}

#[test]
fn any_bytes_of_a_header_come_through() {
    let bytes: Vec<u8> = (0..=255).collect();
    let text = header_text(&bytes).into_owned();
    assert_eq!(Header("x".into(), text.into()).value_bytes().unwrap(), bytes);
}
