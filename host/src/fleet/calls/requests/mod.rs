//! The requests of this instance to apps on other hosts.

use std::sync::Arc;
use std::time::Instant;

use atoll_port::problem::{Problem, ProblemKind};
use atoll_protocol::Head;
use bytes::Bytes;
use foldhash::HashMap;

use crate::fleet::call_limits::{TAKEN_LIMIT, TRIES};
use crate::fleet::calls::assembly::{Assembly, Message};
use crate::fleet::calls::frame::{ExchangeId, Frame, Instance, Kind};
use crate::fleet::calls::peers::Peers;
use crate::fleet::calls::problem::{no_host, read_problem};
use crate::fleet::calls::writer::{FrameWriter, Parts};
use crate::observe::metrics::{FleetCounts, SendFailure, SentRequest};

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Send a request to an instance.
    Ask(Instance, ExchangeId, Bytes),
    /// Send something else to an instance.
    Send(Instance, Bytes),
    /// Give a message to the port.
    Deliver(ExchangeId, Message),
    /// End the request on the port.
    Fail(ExchangeId, Problem),
}

/// The requests that have not ended.
#[derive(Debug)]
pub(crate) struct Requests {
    own: Instance,
    /// How many bytes a frame may have.
    limit: usize,
    open: HashMap<ExchangeId, Request>,
}

/// What a request is for.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) app: Arc<str>,
    /// The instances that have the app: the last one is asked first.
    pub(crate) hosts: Vec<Instance>,
    /// Whether it may be carried out twice.
    pub(crate) is_safe: bool,
    /// Where it is counted.
    pub(crate) counts: Arc<FleetCounts>,
}

#[derive(Debug)]
struct Request {
    app: Arc<str>,
    /// Whether it may be carried out twice.
    is_safe: bool,
    counted: SentRequest,
    writer: FrameWriter,
    assembly: Assembly,
    /// The instance that has it, or was asked last.
    peer: Instance,
    /// `None`: the instance has it.
    asked: Option<Asked>,
}

/// A request that no instance is known to have.
#[derive(Debug)]
struct Asked {
    first: Bytes,
    /// What goes to the instance that has it.
    held: Vec<Bytes>,
    /// The instances that can be asked next, the last one first.
    next: Vec<Instance>,
    at: Instant,
}

impl Requests {
    /// None, of this instance, with frames of at most so many bytes.
    pub(crate) fn new(own: Instance, limit: usize) -> Self {
        Self { own, limit, open: HashMap::default() }
    }

    /// The instance that has a request, or was asked last.
    pub(crate) fn peer_of(&self, exchange: ExchangeId) -> Option<Instance> {
        self.open.get(&exchange).map(|request| request.peer)
    }

    /// Asks one instance that has the app, and the next one where that one does not take the request.
    pub(crate) fn begin(
        &mut self,
        exchange: ExchangeId,
        Asking { app, mut hosts, is_safe, counts }: Asking,
        parts: Parts<'_>,
        peers: &mut Peers,
        now: Instant,
    ) -> Effect {
        let counted = SentRequest::begin(counts, now);
        let mut writer = FrameWriter::new(self.own, exchange, self.limit);
        let mut frames = match writer.write(Kind::Request, parts, false) {
            Ok(frames) => frames.into_iter(),
            Err(error) => {
                counted.failed(SendFailure::Broken);
                let detail = format!("The request to the app `{app}` on another host has {error}.");
                return Effect::Fail(exchange, Problem::new(ProblemKind::BodyTooLarge, detail));
            }
        };
        hosts.truncate(TRIES);
        let Some(peer) = hosts.pop() else {
            counted.failed(SendFailure::NoHost);
            return Effect::Fail(exchange, no_host(&app));
        };
        let first = frames.next().unwrap_or_default();
        let held = frames.collect();
        let asked = Asked { first: first.clone(), held, next: hosts, at: now };
        peers.begin(peer, now);
        let (assembly, asked) = (Assembly::default(), Some(asked));
        self.open.insert(exchange, Request { app, is_safe, counted, writer, assembly, peer, asked });
        Effect::Ask(peer, exchange, first)
    }

    /// Sends a message to the instance that has a request, as soon as one has.
    pub(crate) fn send(&mut self, exchange: ExchangeId, parts: Parts<'_>, peers: &mut Peers) -> Vec<Effect> {
        let Some(request) = self.open.get_mut(&exchange) else { return Vec::new() };
        let frames = match request.writer.write(Kind::ToServer, parts, false) {
            Ok(frames) => frames,
            Err(error) => {
                request.counted.failed(SendFailure::Broken);
                let detail = format!("A message to the app `{}` on another host has {error}.", request.app);
                let mut effects = self.cancel(exchange, peers);
                effects.push(Effect::Fail(exchange, Problem::new(ProblemKind::BodyTooLarge, detail)));
                return effects;
            }
        };
        match &mut request.asked {
            Some(asked) => {
                asked.held.extend(frames);
                Vec::new()
            }
            None => frames.into_iter().map(|frame| Effect::Send(request.peer, frame)).collect(),
        }
    }

    /// Takes note that a request is no longer pending.
    pub(crate) fn cancel(&mut self, exchange: ExchangeId, peers: &mut Peers) -> Vec<Effect> {
        let Some(peer) = self.open.get(&exchange).map(|request| request.peer) else { return Vec::new() };
        self.remove(exchange, peers);
        vec![cancelled(self.own, peer, exchange)]
    }

    /// Takes note of those that are no longer pending without a cancellation.
    pub(crate) fn cancel_unless(
        &mut self,
        is_pending: impl Fn(ExchangeId) -> bool,
        peers: &mut Peers,
    ) -> Vec<Effect> {
        let over: Vec<_> = self.open.keys().filter(|exchange| !is_pending(**exchange)).copied().collect();
        over.into_iter().flat_map(|exchange| self.cancel(exchange, peers)).collect()
    }

    /// Takes a frame that answers a request.
    pub(crate) fn take(&mut self, frame: Frame, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let Frame { exchange, sender, kind, .. } = frame;
        let Some(request) = self.open.get_mut(&exchange).filter(|request| request.peer == sender) else {
            // It has ended here, or another instance was asked meanwhile, and has it.
            let goes_on = kind == Kind::Taken || kind == Kind::ToCaller && !frame.last;
            return if goes_on { vec![cancelled(self.own, sender, exchange)] } else { Vec::new() };
        };
        if kind == Kind::NotTaken {
            return self.ask_next(exchange, peers, now);
        }
        request.counted.taken();
        let held = request.asked.take().map(|asked| asked.held).unwrap_or_default();
        let mut effects: Vec<_> = held.into_iter().map(|frame| Effect::Send(sender, frame)).collect();
        match kind {
            Kind::ToCaller => match request.assembly.take(frame) {
                Ok(None) => {}
                Ok(Some(message)) => {
                    if is_answer(&message) {
                        request.counted.answered(now);
                    }
                    if message.last {
                        self.remove(exchange, peers);
                    }
                    effects.push(Effect::Deliver(exchange, message));
                }
                Err(broken) => {
                    request.counted.failed(SendFailure::Broken);
                    let app = request.app.clone();
                    let detail = format!("The request to the app `{app}` on another host failed: {broken}.");
                    effects.extend(self.cancel(exchange, peers));
                    effects.push(Effect::Fail(exchange, Problem::new(ProblemKind::BadGateway, detail)));
                }
            },
            Kind::Refused => {
                request.counted.failed(SendFailure::Refused);
                self.remove(exchange, peers);
                effects.push(Effect::Fail(exchange, read_problem(&frame.content)));
            }
            _ => {}
        }
        effects
    }

    /// Takes note that the instance that was asked was gone before.
    pub(crate) fn not_delivered(
        &mut self,
        exchange: ExchangeId,
        peers: &mut Peers,
        now: Instant,
    ) -> Vec<Effect> {
        match self.open.get(&exchange) {
            Some(Request { asked: Some(_), .. }) => self.ask_next(exchange, peers, now),
            _ => Vec::new(),
        }
    }

    /// Takes note that an instance is gone: the requests that it had, or may have had, have failed, and the others go to the
    /// next one.
    pub(crate) fn peer_gone(&mut self, gone: Instance, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let lost: Vec<ExchangeId> = self.of(|request| request.peer == gone);
        let mut effects = Vec::new();
        for exchange in lost {
            let Some(request) = self.open.get(&exchange) else { continue };
            if request.is_safe && request.asked.is_some() {
                effects.extend(self.ask_next(exchange, peers, now));
                continue;
            }
            request.counted.failed(SendFailure::HostGone);
            let detail = format!(
                "The host that had this request to the app `{}` is gone. The request may have taken effect.",
                request.app
            );
            self.remove(exchange, peers);
            effects.push(Effect::Fail(exchange, Problem::new(ProblemKind::BadGateway, detail)));
        }
        effects
    }

    /// Sends requests that no instance has taken in time to the next one, where that is safe.
    pub(crate) fn look(&mut self, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let is_late = |asked: &Asked| now.duration_since(asked.at) >= TAKEN_LIMIT && !asked.next.is_empty();
        let late = self.of(|request| request.is_safe && request.asked.as_ref().is_some_and(is_late));
        late.into_iter().flat_map(|exchange| self.ask_next(exchange, peers, now)).collect()
    }

    /// Asks the next instance, if there is one.
    fn ask_next(&mut self, exchange: ExchangeId, peers: &mut Peers, now: Instant) -> Vec<Effect> {
        let Some(request) = self.open.get_mut(&exchange) else { return Vec::new() };
        let asked = request.asked.as_mut();
        if let Some((next, asked)) = asked.and_then(|asked| Some((asked.next.pop()?, asked))) {
            asked.at = now;
            request.counted.retried();
            let ask = Effect::Ask(next, exchange, asked.first.clone());
            peers.end(std::mem::replace(&mut request.peer, next));
            peers.begin(next, now);
            return vec![ask];
        }
        request.counted.failed(SendFailure::NoHost);
        let problem = no_host(&request.app);
        self.remove(exchange, peers);
        vec![Effect::Fail(exchange, problem)]
    }

    /// Takes note that the connection has ended, with all requests.
    pub(crate) fn close(&mut self) {
        for (_, request) in self.open.drain() {
            request.counted.failed(SendFailure::Disconnected);
        }
    }

    /// The requests of which this holds.
    fn of(&self, holds: impl Fn(&Request) -> bool) -> Vec<ExchangeId> {
        self.open.iter().filter(|(_, request)| holds(request)).map(|(exchange, _)| *exchange).collect()
    }

    fn remove(&mut self, exchange: ExchangeId, peers: &mut Peers) {
        if let Some(request) = self.open.remove(&exchange) {
            peers.end(request.peer);
        }
    }
}

/// Whether a message answers the request, and is none about a stream of it.
fn is_answer(message: &Message) -> bool {
    !matches!(Head::of(&message.text), Some(Head::Call { .. }))
}

/// Has an instance drop a request.
fn cancelled(own: Instance, peer: Instance, exchange: ExchangeId) -> Effect {
    Effect::Send(peer, FrameWriter::control(own, exchange, Kind::Cancelled, b""))
}

#[cfg(test)]
mod tests;
