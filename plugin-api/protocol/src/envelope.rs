//! The envelope of a message: requests, notifications and responses of JSON-RPC 2.0.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Any message as it comes from the other side: a request, a notification or a response.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// The request's number; absent in a notification.
    pub id: Option<u64>,
    /// The method; absent in a response.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The method's parameters, unparsed.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// A response's result, unparsed.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// A response's error.
    #[serde(borrow, default)]
    pub error: Option<ErrorObject<'a>>,
}

/// The `error` of a response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorObject<'a> {
    /// One of [`code`](super::code), or an app's own.
    pub code: i64,
    /// One sentence for people.
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    /// Machine-readable data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// The `data` of a [`code::HANDLER_FAILED`](super::code::HANDLER_FAILED) error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorData {
    /// The HTTP status that the error stands for.
    pub status: u16,
}

/// A request or, without an `id`, a notification, to be written.
#[derive(Debug, Serialize)]
pub struct Request<'a, P> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'a str,
    params: P,
}

impl<'a, P: Serialize> Request<'a, P> {
    /// A request with a number, which will be answered.
    ///
    /// ```
    /// use atoll_plugin::protocol::Request;
    /// let text = serde_json::to_string(&Request::new(7, "add", [1, 2])).unwrap();
    /// assert_eq!(text, r#"{"jsonrpc":"2.0","id":7,"method":"add","params":[1,2]}"#);
    /// ```
    pub fn new(id: u64, method: &'a str, params: P) -> Self {
        Self { jsonrpc: "2.0", id: Some(id), method, params }
    }

    /// A notification, which will not be answered.
    pub fn notification(method: &'a str, params: P) -> Self {
        Self { jsonrpc: "2.0", id: None, method, params }
    }
}

/// A response to be written.
#[derive(Debug, Serialize)]
pub struct Response<'a, R> {
    jsonrpc: &'static str,
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject<'a>>,
}

impl<R: Serialize> Response<'_, R> {
    /// The answer to request `id`.
    pub fn result(id: u64, result: R) -> Self {
        Self { jsonrpc: "2.0", id, result: Some(result), error: None }
    }
}

impl<'a> Response<'a, ()> {
    /// The answer to request `id` that it failed.
    pub fn error(id: u64, error: ErrorObject<'a>) -> Self {
        Self { jsonrpc: "2.0", id, result: None, error: Some(error) }
    }
}
