//! What this host asks of others.

use std::time::Instant;

use atoll_plugin::protocol::{Head, Incoming, method};
use atoll_port::{Item, Port, buffer};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Session;
use crate::fleet::calls::{
    Asking, Context, Effect, ExchangeId, Instance, Parts, Reply as ReplySubject, Sent,
};

impl Session {
    /// Sends what a port has for another host.
    pub(super) fn send(&self, Sent { port: number, item }: Sent) {
        let Some(port) = self.apps.borrow().port(number) else { return };
        let request = match &item {
            Item::Request(id, ..) => Some(*id),
            Item::Notification(_) | Item::Answer(_) | Item::Wake => None,
        };
        let Some(mut message) = port.hand_out(item) else { return };
        let buffer = message.transfer.take(0).unwrap_or_default();
        let parts = Parts { text: &message.json, buffer: &buffer, ..Parts::default() };
        let effects = match request {
            Some(request) => self.ask(&port, ExchangeId { port: number, request }, parts),
            None => self.note(number, parts),
        };
        self.carry_out(effects);
    }

    fn ask(&self, port: &Port, exchange: ExchangeId, parts: Parts<'_>) -> Vec<Effect> {
        let Some(context) = port.context_of(exchange.request) else { return Vec::new() };
        let context = atoll_port::to_json(&Context::new(port.app(), &context));
        let parts = Parts { context: &context, ..parts };
        let known = self.known.borrow();
        let mut hosts = known.get(&**port.app()).map(|app| app.hosts.clone()).unwrap_or_default();
        let (gone, leaving) = (self.gone.borrow(), self.leaving.borrow());
        hosts.retain(|host| !gone.contains(host) && !leaving.contains(host));
        fastrand::shuffle(&mut hosts);
        let (is_safe, app) = (is_safe(parts.text), port.app().clone());
        let counts = self.fleet.requests().of(&app);
        let asking = Asking { app, hosts, is_safe, counts };
        let (mut requests, mut peers) = (self.requests.borrow_mut(), self.peers.borrow_mut());
        vec![requests.begin(exchange, asking, parts, &mut peers, Instant::now())]
    }

    /// Sends a notification about a request.
    fn note(&self, port: u32, parts: Parts<'_>) -> Vec<Effect> {
        let Some((method, request)) = about(parts.text) else { return Vec::new() };
        let exchange = ExchangeId { port, request };
        let (mut requests, mut peers) = (self.requests.borrow_mut(), self.peers.borrow_mut());
        if method == method::CANCEL {
            requests.cancel(exchange, &mut peers)
        } else {
            requests.send(exchange, parts, &mut peers)
        }
    }

    pub(super) fn carry_out(&self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(peer, exchange, frame) => {
                    self.note_host(peer, exchange);
                    let reply = self.subjects.reply(ReplySubject::Request(exchange));
                    self.outbox.send(self.subjects.instance(peer), Some(reply), frame);
                }
                Effect::Send(peer, frame) => self.send_to(peer, frame),
                Effect::Deliver(exchange, message) => {
                    let Some(port) = self.apps.borrow().port(exchange.port) else { continue };
                    let buffer = buffer::from_bytes(message.buffer);
                    port.accept(atoll_port::message(Vec::from(message.text), vec![buffer]));
                }
                Effect::Fail(exchange, problem) => {
                    let Some(port) = self.apps.borrow().port(exchange.port) else { continue };
                    port.fail(exchange.request, problem);
                }
            }
        }
    }

    /// Notes for the access log which host is asked.
    fn note_host(&self, peer: Instance, exchange: ExchangeId) {
        let Some(name) = self.names.borrow().get(&peer).cloned() else { return };
        let port = self.apps.borrow().port(exchange.port);
        if let Some(context) = port.and_then(|port| port.context_of(exchange.request)) {
            context.note_host(name);
        }
    }

    pub(super) fn send_to(&self, peer: Instance, frame: Bytes) {
        let reply = self.subjects.reply(ReplySubject::Peer(peer));
        self.outbox.send(self.subjects.instance(peer), Some(reply), frame);
    }
}

/// Whether a request may be carried out twice (RFC 9110, section 9.2.1).
fn is_safe(text: &[u8]) -> bool {
    let Some(Head::Call { method: b"http", params, .. }) = Head::of(text) else { return false };
    const SAFE: [&[u8]; 3] = [br#"{"method":"GET""#, br#"{"method":"HEAD""#, br#"{"method":"OPTIONS""#];
    SAFE.iter().any(|safe| params.starts_with(safe))
}

/// The method of a notification, and the request that it is about.
fn about(text: &[u8]) -> Option<(String, u64)> {
    #[derive(Deserialize)]
    struct Params {
        id: u64,
    }
    let Incoming { method, params, .. } = serde_json::from_slice(text).ok()?;
    let Params { id } = serde_json::from_str(params.map_or("null", RawValue::get)).ok()?;
    Some((method?.into_owned(), id))
}

#[cfg(test)]
mod tests {
    use atoll_plugin::protocol::HttpRequest;

    use super::*;

    #[test]
    fn only_safe_methods_are_safe() {
        for (method, expected) in
            [("GET", true), ("HEAD", true), ("OPTIONS", true), ("GETS", false), ("POST", false)]
        {
            let text = format!(r#"{{"method":"{method}","path":"/"}}"#);
            let request = HttpRequest::parse(&text, &[]).unwrap();
            assert_eq!(is_safe(&request.message(3).json), expected, "{method}");
        }
        assert!(!is_safe(br#"{"jsonrpc":"2.0","id":1,"method":"add","params":{"method":"GET"}}"#));
        assert!(!is_safe(b""));
    }

    #[test]
    fn a_notification_is_about_one_request() {
        let cancel = br#"{"jsonrpc":"2.0","method":"cancel","params":{"id":7}}"#;
        assert_eq!(about(cancel), Some(("cancel".to_owned(), 7)));
        assert_eq!(about(br#"{"jsonrpc":"2.0","method":"stop","params":null}"#), None);
        assert_eq!(about(b"{"), None);
    }
}
