//! What an app asks of other apps.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::http::HttpRequest;

/// The parameters of [`method::CALL`](super::method::CALL).
#[derive(Debug, Serialize, Deserialize)]
pub struct RpcCall<'a> {
    /// The name of the app that is called.
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    /// The method that is called.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The method's parameters.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub params: Option<&'a RawValue>,
    /// The number of the host's request on whose behalf this is: its deadline and id are carried on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
}

/// The parameters of [`method::FETCH`](super::method::FETCH).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fetch<'a> {
    /// The name of the app that is asked.
    #[serde(borrow)]
    pub app: Cow<'a, str>,
    /// The request. Its prefix, peer, id, trace context and deadline are the host's to set.
    #[serde(borrow)]
    pub request: HttpRequest<'a>,
    /// The number of the host's request on whose behalf this is: its deadline and id are carried on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
}
