//! One request of another host, from its message to the end of its answer.

use std::rc::Rc;
use std::sync::Arc;

use atoll_plugin::protocol::{HttpRequest, Incoming, method};
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
    let Incoming { method, params, .. } = serde_json::from_slice(&text)?;
    let method = method.unwrap_or_default();
    if method == method::HTTP {
        let request = HttpRequest::parse(params.map_or("null", RawValue::get), &[])?;
        http::serve(app, request, (buffer, receivers), caller, reply).await;
    } else {
        methods::serve(app, (&method, params), caller, reply).await;
    }
    Ok(())
}
