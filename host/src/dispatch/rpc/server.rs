//! A JSON-RPC 2.0 server for an app's methods: <https://www.jsonrpc.org/specification>.

use std::cell::Cell;
use std::fmt;

use atoll_plugin::protocol::{ErrorData, ErrorObject, code};
use atoll_port::CallContext;
use futures_util::future::join_all;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{call, from_problem};
use crate::app::handle::App;
use crate::dispatch::admission;
use crate::observe::timing::Taken;

/// The most members that a batch may have.
pub(crate) const BATCH_LIMIT: usize = 1_000;

/// How many bytes the results of a batch may have in all: they are in memory until the last one is there. Calls whose
/// results come beyond it fail.
pub(crate) const BATCH_RESULTS_LIMIT: usize = 64 * 1024 * 1024;

/// A request or a notification, as it was sent.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// A `null` that is there is not the same as nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The members of a batch. One with too many is not read to its end, as each takes more memory than its text.
struct Batch<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a batch")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = sequence.next_element()? {
            if members.len() == BATCH_LIMIT {
                return Err(A::Error::custom(format_args!("a batch can have at most {BATCH_LIMIT} members")));
            }
            members.push(member);
        }
        Ok(Batch(members))
    }
}

/// What is sent back for one request.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject<'static>>,
    id: &'a RawValue,
}

/// A request that can be carried out.
#[derive(Debug)]
struct Call<'a> {
    method: String,
    params: Option<&'a RawValue>,
    /// `None`: a notification.
    id: Option<&'a RawValue>,
}

/// Carries out what a body asks for: one call, or a batch of them side by side. The text of the answer, `None` when all
/// were notifications; and who had the call that took longest.
///
/// The caller has had the app admit the first call. The others of a batch are admitted one by one.
pub(crate) async fn answer(
    app: &App,
    body: &[u8],
    context: &CallContext,
) -> (Option<Vec<u8>>, Option<Taken>) {
    let slowest = Cell::new(None);
    let note = |taken: Taken| {
        let total = |taken: Taken| taken.times.queue + taken.times.handler;
        if slowest.get().is_none_or(|before| total(before) < total(taken)) {
            slowest.set(Some(taken));
        }
    };
    let answer = all(app, body, context, &note).await;
    (answer, slowest.get())
}

async fn all(app: &App, body: &[u8], context: &CallContext, note: &impl Fn(Taken)) -> Option<Vec<u8>> {
    let body = match serde_json::from_slice::<&RawValue>(body) {
        Ok(body) => body,
        Err(error) => {
            let why = Some(error.to_string().into());
            return Some(written(&Answer::refused(RawValue::NULL, code::PARSE_ERROR, "Parse error", why)));
        }
    };
    if !body.get().starts_with('[') {
        return one(app, body, true, context, note).await.map(|answer| written(&answer));
    }
    let members = match serde_json::from_str(body.get()) {
        Ok(Batch(members)) if members.is_empty() => Err("a batch must have at least one member".to_owned()),
        Ok(Batch(members)) => Ok(members),
        Err(error) => Err(error.to_string()),
    };
    let members = match members {
        Ok(members) => members,
        Err(why) => return Some(written(&Answer::invalid(RawValue::NULL, &why))),
    };
    let room = Cell::new(BATCH_RESULTS_LIMIT);
    let members = members.into_iter().enumerate();
    let answers = members.map(async |(number, member)| {
        let answer = one(app, member, number == 0, context, note).await?;
        Some(answer.within(&room))
    });
    let answers = join_all(answers).await;
    let answers: Vec<Answer<'_>> = answers.into_iter().flatten().collect();
    (!answers.is_empty()).then(|| written(&answers))
}

async fn one<'a>(
    app: &App,
    request: &'a RawValue,
    is_admitted: bool,
    context: &CallContext,
    note: &impl Fn(Taken),
) -> Option<Answer<'a>> {
    let Call { method, params, id } = match Call::read(request) {
        Ok(call) => call,
        Err(answer) => return Some(answer),
    };
    let admitted = if is_admitted { Ok(()) } else { admission::admit(app) };
    let result = match admitted {
        Ok(()) => call(app, &method, params, context.clone(), note).await,
        Err(problem) => Err(from_problem(problem)),
    };
    let result = result.map_err(|error| for_client(app, &method, context.request_id(), error));
    // Nobody hears of a notification's failure but the log.
    Some(Answer::new(id?, result))
}

impl<'a> Call<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// It is none: what is answered.
    fn read(request: &'a RawValue) -> Result<Self, Answer<'a>> {
        let invalid = |id: Option<&'a RawValue>, why| Answer::invalid(id.unwrap_or(RawValue::NULL), why);
        // A derived struct would take an array as well.
        if !request.get().starts_with('{') {
            return Err(invalid(None, "a request must be an object"));
        }
        let Envelope { jsonrpc, method, params, id } = serde_json::from_str(request.get())
            .map_err(|error| Answer::invalid(RawValue::NULL, &error.to_string()))?;
        if id.is_some_and(|id| id.get().starts_with(['{', '[', 't', 'f'])) {
            return Err(invalid(None, "`id` must be a string, a number or null"));
        }
        if text(jsonrpc).as_deref() != Some("2.0") {
            return Err(invalid(id, "`jsonrpc` must be \"2.0\""));
        }
        let Some(method) = text(method) else {
            return Err(invalid(id, "`method` must be a string"));
        };
        if params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
            return Err(invalid(id, "`params` must be an array or an object"));
        }
        Ok(Self { method, params, id })
    }
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

impl<'a> Answer<'a> {
    fn new(id: &'a RawValue, result: Result<Box<RawValue>, ErrorObject<'static>>) -> Self {
        let (result, error) = match result {
            Ok(result) => (Some(result), None),
            Err(error) => (None, Some(error)),
        };
        Self { jsonrpc: "2.0", result, error, id }
    }

    /// Itself, if there is still room for its result.
    fn within(self, room: &Cell<usize>) -> Self {
        let length = self.result.as_ref().map_or(0, |result| result.get().len());
        match room.get().checked_sub(length) {
            Some(left) => {
                room.set(left);
                self
            }
            None => {
                let limit = BATCH_RESULTS_LIMIT;
                let message = format!(
                    "the results of a batch can have at most {limit} bytes; send this call separately"
                );
                Self::new(
                    self.id,
                    Err(ErrorObject { code: code::BODY_TOO_LARGE, message: message.into(), data: None }),
                )
            }
        }
    }

    fn invalid(id: &'a RawValue, why: &str) -> Self {
        Self::refused(id, code::INVALID_REQUEST, "Invalid Request", Some(why.into()))
    }

    fn refused(id: &'a RawValue, code: i64, message: &'static str, data: Option<Value>) -> Self {
        Self::new(id, Err(ErrorObject { code, message: message.into(), data }))
    }
}

fn written(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("an answer can be written as JSON")
}

/// The error that a client gets: without internal details of the app, except in `atoll dev`.
fn for_client(
    app: &App,
    method: &str,
    request_id: &str,
    mut error: ErrorObject<'static>,
) -> ErrorObject<'static> {
    let what = match error.code {
        code::METHOD_NOT_FOUND => {
            let reason = std::mem::replace(&mut error.message, "Method not found".into());
            error.data = error.data.or_else(|| Some(reason.into_owned().into()));
            return error;
        }
        code::HANDLER_PANICKED => "panicked",
        code::HANDLER_FAILED if !is_clients_fault(error.data.as_ref()) => "failed",
        _ => return error,
    };
    let name = app.name();
    let line = || format!("{name}: request {request_id}: the method {method} {what}: {}", error.message);
    app.app_log().log_failure(line);
    if !app.shows_details() {
        let name = app.registered_name();
        error.message = format!("The method {method} of the app `{name}` {what}; see its log.").into();
    }
    error
}

fn is_clients_fault(data: Option<&Value>) -> bool {
    data.and_then(|data| ErrorData::deserialize(data).ok()).is_some_and(|data| data.status < 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[track_caller]
    fn refused(text: &str, id: &str, why: &str) {
        let answer = Call::read(raw(text)).unwrap_err();
        assert_eq!(answer.id.get(), id, "{text}");
        let error = answer.error.unwrap();
        assert_eq!((error.code, &*error.message), (code::INVALID_REQUEST, "Invalid Request"));
        assert!(error.data.as_ref().unwrap().as_str().unwrap().contains(why), "{text}: {:?}", error.data);
    }

    #[test]
    fn a_request_is_read_as_it_was_sent() {
        let call = Call::read(raw(r#"{"id": 1.50, "jsonrpc": "2\u002e0", "params": [1], "method": "a"}"#));
        let Call { method, params, id } = call.unwrap();
        assert_eq!((&*method, params.unwrap().get(), id.unwrap().get()), ("a", "[1]", "1.50"));
    }

    #[test]
    fn a_null_id_is_an_id() {
        let with = Call::read(raw(r#"{"jsonrpc":"2.0","method":"a","params":null,"id":null}"#)).unwrap();
        assert_eq!(with.id.map(RawValue::get), Some("null"));
        assert!(with.params.is_none());
        let without = Call::read(raw(r#"{"jsonrpc":"2.0","method":"a"}"#)).unwrap();
        assert!(without.id.is_none());
    }

    #[test]
    fn what_is_no_request_is_refused_with_its_id() {
        refused("1", "null", "a request must be an object");
        refused(r#"["2.0","a",[],1]"#, "null", "an object");
        refused(r#"{"method":"a","id":7}"#, "7", "`jsonrpc` must be \"2.0\"");
        refused(r#"{"jsonrpc":2.0,"method":"a","id":7}"#, "7", "jsonrpc");
        refused(r#"{"jsonrpc":"2.0","id":"x"}"#, "\"x\"", "`method` must be a string");
        refused(r#"{"jsonrpc":"2.0","method":["a"],"id":null}"#, "null", "method");
        refused(
            r#"{"jsonrpc":"2.0","method":"a","params":"b","id":7}"#,
            "7",
            "`params` must be an array or an object",
        );
        refused(
            r#"{"jsonrpc":"2.0","method":"a","id":{}}"#,
            "null",
            "`id` must be a string, a number or null",
        );
        refused(r#"{"jsonrpc":"2.0","method":"a","id":true}"#, "null", "id");
        refused(r#"{"jsonrpc":"2.0","method":"a","id":1,"id":2}"#, "null", "duplicate");
    }

    #[test]
    fn the_results_of_a_batch_have_a_limit() {
        let answer = || Answer::new(RawValue::NULL, Ok(raw("[1,2]").to_owned()));
        let room = Cell::new(12);
        assert!(answer().within(&room).error.is_none() && answer().within(&room).error.is_none());
        assert_eq!(room.get(), 2);
        assert_eq!(answer().within(&room).error.map(|error| error.code), Some(code::BODY_TOO_LARGE));
        assert!(Answer::new(RawValue::NULL, Ok(raw("17").to_owned())).within(&room).error.is_none());
        assert_eq!(room.get(), 0);
    }

    #[test]
    fn an_error_is_the_clients_only_below_500() {
        assert!(is_clients_fault(Some(&serde_json::json!({ "status": 404 }))));
        assert!(!is_clients_fault(Some(&serde_json::json!({ "status": 500 }))));
        assert!(!is_clients_fault(Some(&serde_json::json!("x"))) && !is_clients_fault(None));
    }
}
