//! The calls of apps to each other, within this host.

use std::sync::Arc;

use atoll_plugin::protocol::ErrorObject;
use atoll_port::CallContext;
use atoll_port::app_calls::Apps;

pub(crate) use atoll_port::app_calls::AppCalls;

use crate::app::handle::App;
use crate::dispatch::app_index::AppIndex;
use crate::observe::trace::{SpanKind, Step, TraceContext};

impl Apps for AppIndex {
    type App = App;

    fn find(&self, name: &str) -> Result<Arc<App>, String> {
        let app = AppIndex::find(self, name).ok_or_else(|| self.no_such_app(name))?;
        // No client asks: each version gets its share of the calls.
        Ok(app.traffic().and_then(|traffic| traffic.of_nobody().cloned()).unwrap_or(app))
    }

    fn fetch_limit(&self, caller: &str) -> usize {
        // An app that has been taken out of the registry meanwhile has no settings any more.
        self.get(caller).map_or(0, |app| app.settings().body_limit)
    }

    /// As a step of the caller's trace, where spans are wanted.
    async fn trace<T>(
        &self,
        app: &App,
        caller: &str,
        name: impl FnOnce() -> String,
        mut context: CallContext,
        work: impl AsyncFnOnce(CallContext) -> Result<T, ErrorObject<'static>>,
    ) -> Result<T, ErrorObject<'static>> {
        let Some(sink) = app.spans() else { return work(context).await };
        let step = match context.traceparent().and_then(TraceContext::parse) {
            Some(caller) => Step::within(caller),
            None => Step::first(&**sink),
        };
        context.set_traceparent(&step.context().to_string());
        let result = work(context).await;
        let attributes = vec![("atoll.app", (&**app.name()).into()), ("atoll.caller", caller.into())];
        step.end(&**sink, name(), SpanKind::Internal, attributes, result.is_err());
        result
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use atoll_plugin::abi::{Message, Received};
    use atoll_plugin::protocol::code;
    use atoll_port::{Limits, port_to_thread};
    use serde_json::Value;

    use super::*;
    use crate::memory::buffer;
    use crate::observe::app_warnings::AppWarnings;

    /// What a worker of the app `a` gets for what it sends, when there are no other apps.
    fn answers<const N: usize>(sent: [&str; N]) -> [Value; N] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let calls = AppCalls::start(AppIndex::default());
            let limits = Limits { queue: 1, calls: 4, message: 1024 };
            let (_port, worker) = port_to_thread("a".into(), limits, AppWarnings::new("a".into()), calls);
            for text in sent {
                let (json, transfer) = (buffer::from_vec(text.into()), buffer::list(Vec::new()));
                assert!(worker.send(Message { json, transfer, ..Message::default() }));
            }
            let mut message = Message::default();
            let mut answers = sent.map(|_| Value::Null);
            for answer in &mut answers {
                while worker.receive(Some(Duration::ZERO), &mut message) != Received::Message {
                    tokio::task::yield_now().await;
                }
                *answer = serde_json::from_slice(&message.json).unwrap();
            }
            assert_eq!(worker.receive(Some(Duration::ZERO), &mut message), Received::TimedOut);
            answers
        })
    }

    #[test]
    fn each_request_has_one_answer() {
        let call = |id: u64, params: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"call","params":{params}}}"#)
        };
        let unknown = call(2, r#"{"app":"b","method":"add"}"#);
        let over = call(4, r#"{"app":"b","method":"add","parent":7}"#);
        let itself = call(6, r#"{"app":"a","method":"add"}"#);
        let malformed = call(8, r#"{"app":1}"#);
        let got = answers([&unknown, &over, &itself, &malformed]);
        let got =
            got.map(|answer| (answer["id"].as_u64().unwrap(), answer["error"]["code"].as_i64().unwrap()));
        let expected =
            [(2, code::UNAVAILABLE), (4, code::CANCELLED), (6, code::CALL_CYCLE), (8, code::INVALID_PARAMS)];
        assert_eq!(got, expected);
    }

    #[test]
    fn what_could_not_have_come_by_http_is_no_request() {
        let fetch = |id: u64, request: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"fetch","params":{{"app":"b","request":{request}}}}}"#
            )
        };
        let header = fetch(2, r#"{"method":"GET","path":"/","headers":[["x\r\ny","1"]]}"#);
        let path = fetch(4, r#"{"method":"GET","path":"/ HTTP/1.1\r\n"}"#);
        let method = fetch(6, r#"{"method":"G T","path":"/"}"#);
        let good = fetch(8, r#"{"method":"GET","path":"/","headers":[["x-y","é"]]}"#);
        let answers = answers([&header, &path, &method, &good]);
        let expected = [code::INVALID_PARAMS, code::INVALID_PARAMS, code::INVALID_PARAMS, code::UNAVAILABLE];
        assert_eq!(answers.map(|answer| answer["error"]["code"].as_i64().unwrap()), expected);
    }
}
