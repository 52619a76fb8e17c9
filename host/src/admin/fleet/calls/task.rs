//! One request of another host, from its message to the end of its answer.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use atoll_plugin::protocol::{Head, HttpRequest, Incoming, method};
use serde_json::value::RawValue;

use super::inbound::Receivers;
use super::reply::Reply;
use super::{http, method as methods};
use crate::app::handle::App;
use crate::dispatch::problem::{Problem, ProblemKind};
use crate::fleet::calls::{Context, Message};

/// Carries out the request in a message.
pub(super) async fn run(app: Arc<App>, message: Message, receivers: Receivers, reply: Rc<Reply>) {
    if let Err(error) = carry_out(&app, message, receivers, &reply).await {
        let detail = format!("The request from another host cannot be read: {error}.");
        reply.refuse(&Problem::new(ProblemKind::BadRequest, detail));
    }
}

async fn carry_out(
    app: &Arc<App>,
    message: Message,
    receivers: Receivers,
    reply: &Rc<Reply>,
) -> Result<(), serde_json::Error> {
    let Message { context, text, buffer, .. } = message;
    let context: Context<'_> = serde_json::from_slice(&context)?;
    let caller = (context.to_call_context(), context.is_from_outside());
    match Asked::read(&text)? {
        // Boxed, as it is large: a call of a method would have to move it along.
        Asked::Http(request) => Box::pin(http::serve(app, request, (buffer, receivers), caller, reply)).await,
        Asked::Method(method, params) => {
            drop(receivers);
            methods::serve(app, (&method, params), caller, reply).await;
        }
    }
    Ok(())
}

/// What another host asks for.
enum Asked<'a> {
    Http(HttpRequest<'a>),
    Method(Cow<'a, str>, Option<&'a RawValue>),
}

impl<'a> Asked<'a> {
    fn read(text: &'a [u8]) -> Result<Self, serde_json::Error> {
        // The form in which hosts write it takes much less to read than any other.
        if let Some(Head::Call { method: b"http", params, .. }) = Head::of(text)
            && let Ok(params) = std::str::from_utf8(params)
            && let Ok(request) = HttpRequest::parse(params, &[])
        {
            return Ok(Self::Http(request));
        }
        let Incoming { method, params, .. } = serde_json::from_slice(text)?;
        let method = method.unwrap_or_default();
        if method == method::HTTP {
            return HttpRequest::parse(params.map_or("null", RawValue::get), &[]).map(Self::Http);
        }
        Ok(Self::Method(method, params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_in_any_form() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"method":"http","params":{"method":"PUT","path":"/a"}}"#,
            r#"{"method":"h\u0074tp", "id":1, "params":{"path":"/a","method":"PUT"}}"#,
        ] {
            let Ok(Asked::Http(request)) = Asked::read(text.as_bytes()) else { panic!("{text}") };
            assert_eq!((&*request.method, &*request.path), ("PUT", "/a"));
        }
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"add","params":[1]}"#;
        let Ok(Asked::Method(method, params)) = Asked::read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((&*method, params.map(RawValue::get)), ("add", Some("[1]")));
        for broken in ["", "[]", r#"{"jsonrpc":"2.0","id":1,"method":"http","params":{"path":1}}"#] {
            assert!(Asked::read(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
