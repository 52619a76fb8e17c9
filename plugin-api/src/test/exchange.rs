//! One request of the test's, from the moment that it is sent: its answer, and the streams in both directions.

use std::collections::VecDeque;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use atoll_port::{CallContext, ReplyEvent, buffer};

use super::follows::{Endless, Follows};
use super::host::{Asked, Canceller, Event};
use super::reply::Reply;
use super::worker::Worker;
use crate::abi::Buffer;
use crate::http::payload::Payload;
use crate::http::request_builder::RequestBuilder;
use crate::protocol::{
    Body, BodyError, Header, INITIAL_CREDIT, Stream, WsClose, WsKind, WsMessage, method, piece_credit,
};

/// A body of more bytes is not sent along with its request, but in pieces of as many, as a host does.
const PIECE: usize = 64 * 1024;

/// A request whose answer, or whose streams, are not over yet. Dropping it earlier cancels the request.
pub(super) struct Exchange {
    app: String,
    asked: Asked,
    patience: Duration,
    /// Its answer has no body, whatever the app sends.
    is_head: bool,
    reply: Option<Reply>,
    /// What has come after the answer.
    items: VecDeque<Item>,
    /// How many bytes the app takes; below zero when the last piece was larger.
    credit: i64,
    /// What of the request's body waits for credit.
    unsent: VecDeque<u8>,
    upload: Upload,
    /// Bytes taken since the app was last granted credit.
    taken: u64,
    /// Nothing comes any more.
    gone: bool,
}

/// How far the request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upload {
    /// The test may send more.
    Open,
    /// It ends with what waits.
    Ending,
    Over,
}

/// What comes after an answer.
pub(super) enum Item {
    Chunk(Buffer),
    Message(WsKind, Buffer),
    /// The stream is over, with what is wrong.
    End(Result<(), String>),
    Close(u16, String),
    /// The app is being replaced.
    Replaced,
}

impl Item {
    /// What an event brings; nothing where it is for another place.
    fn of(event: ReplyEvent) -> Option<Self> {
        match event {
            ReplyEvent::Chunk(bytes) => Some(Self::Chunk(bytes)),
            ReplyEvent::WsMessage(kind, bytes) => Some(Self::Message(kind, bytes)),
            ReplyEvent::WsClose(code, reason) => Some(Self::Close(code, reason)),
            ReplyEvent::End => Some(Self::End(Ok(()))),
            ReplyEvent::Failed(why) => Some(Self::End(Err(why))),
            ReplyEvent::Answer(..) | ReplyEvent::Credit(_) => None,
        }
    }
}

impl Exchange {
    /// Sends a request, with the body that it has; `uploads`: the test sends it piece by piece.
    /// It is on behalf of another app's, if it has that one's context.
    pub(super) fn begin(
        worker: &Worker,
        request: RequestBuilder,
        uploads: bool,
        context: Option<CallContext>,
    ) -> Self {
        let patience = worker.patience();
        let (mut head, body) = request.into_parts();
        let missing = |name: &str| !head.headers.iter().any(|header| header.0 == name);
        if !uploads && !body.is_empty() && missing("content-length") {
            head.headers.push(Header("content-length".into(), body.len().to_string().into()));
        }
        if head.prefix.is_empty() {
            head.prefix = format!("/apps/{}", worker.name()).into();
        }
        head.deadline_ms.get_or_insert(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX));
        let is_head = head.method == "HEAD";
        let (whole, unsent, upload) = match body {
            body if uploads || body.len() > PIECE => {
                head.body = Some(Body::STREAM);
                (None, body, if uploads { Upload::Open } else { Upload::Ending })
            }
            body if body.is_empty() => (None, body, Upload::Over),
            body => {
                head.body = Some(Body::Transfer(0));
                (Some(buffer::from_vec(body)), Vec::new(), Upload::Over)
            }
        };
        let write = move |id: u64| {
            head.request_id = format!("test-{id}").into();
            head.headers.push(Header("x-request-id".into(), head.request_id.clone()));
            head.message(id)
        };
        let context = context.unwrap_or_else(|| worker.context());
        let asked = worker.send(Some(context), write, whole);
        let mut exchange = Self {
            app: worker.name().to_owned(),
            asked,
            patience,
            is_head,
            reply: None,
            items: VecDeque::new(),
            credit: INITIAL_CREDIT as i64,
            unsent: unsent.into(),
            upload,
            taken: 0,
            gone: false,
        };
        exchange.send_unsent();
        exchange
    }

    /// What ends it when it is dropped.
    pub(super) fn canceller(&self) -> Canceller {
        self.asked.canceller()
    }

    fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Takes in the next thing that the app sends.
    #[track_caller]
    fn pump(&mut self, until: Instant, what: &str) {
        match self.asked.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Event::Reply(ReplyEvent::Credit(bytes), _)) => {
                self.credit = self.credit.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
                self.send_unsent();
            }
            Ok(Event::Reply(ReplyEvent::Answer(message, _), follows)) => {
                let reply = Reply::read(&self.app, message, follows).to(self.is_head);
                if follows == Follows::Nothing {
                    self.stop_upload();
                }
                if self.reply.is_none() {
                    self.reply = Some(reply);
                } else {
                    // After the head of an answer it says that the handler has failed.
                    let why = reply.error.map_or_else(String::new, |error| format!(": {}", error.message));
                    self.items.push_back(Item::End(Err(format!("the handler did not finish it{why}"))));
                }
            }
            Ok(Event::Reply(event, _)) => self.items.extend(Item::of(event)),
            Ok(Event::Replaced) => self.items.push_back(Item::Replaced),
            Err(RecvTimeoutError::Timeout) => {
                panic!("the app `{}` did not {what} within {:?}", self.app, self.patience)
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.stop_upload();
                self.gone = true;
                self.reply.get_or_insert_with(|| Reply::gone(&self.app));
                self.items.push_back(Item::End(Err("the worker has exited".to_owned())));
            }
        }
    }

    /// The answer, without the body that may follow.
    #[track_caller]
    pub(super) fn reply(&mut self) -> &mut Reply {
        let until = self.until();
        while self.reply.is_none() {
            self.pump(until, "answer");
        }
        self.reply.as_mut().expect("it has just come")
    }

    /// As [`reply`](Self::reply), of a request that is over.
    #[track_caller]
    pub(super) fn into_reply(mut self) -> Reply {
        self.reply();
        self.reply.take().expect("it has just come")
    }

    /// What comes next after the answer.
    #[track_caller]
    pub(super) fn item(&mut self) -> Item {
        self.item_until(self.until(), "send anything more")
    }

    #[track_caller]
    fn item_until(&mut self, until: Instant, what: &str) -> Item {
        loop {
            if let Some(item) = self.items.pop_front() {
                if let Item::Chunk(bytes) | Item::Message(_, bytes) = &item {
                    self.take(piece_credit(bytes.len()));
                }
                return item;
            }
            self.pump(until, what);
        }
    }

    /// Lets the app send more, once enough has been taken.
    fn take(&mut self, credit: u64) {
        self.taken += credit;
        if self.taken >= INITIAL_CREDIT / 2 {
            let bytes = std::mem::take(&mut self.taken);
            self.asked.act(move |answer| answer.grant(bytes));
        }
    }

    /// The whole answer.
    #[track_caller]
    pub(super) fn collect(mut self) -> Reply {
        self.reply();
        let mut reply = self.reply.take().expect("it has just come");
        match reply.follows {
            _ if reply.is_bodiless => {}
            Follows::Nothing => {}
            Follows::Body | Follows::Endless(Endless::Events) => {
                let body = self.rest();
                reply.response.set_body(Payload::Vec(body));
            }
            Follows::Endless(_) => {
                panic!("the app `{}` opened a WebSocket: connect with `TestApp::websocket`", self.app)
            }
        }
        reply
    }

    /// The rest of the answer's body.
    #[track_caller]
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let (mut body, until) = (Vec::new(), self.until());
        loop {
            let what = "end its answer (read one that has no end with `TestApp::stream`)";
            match self.item_until(until, what) {
                Item::Chunk(bytes) => body.extend_from_slice(&bytes),
                Item::End(Ok(())) | Item::Replaced => return body,
                Item::End(Err(why)) => panic!("the response of the app `{}` is incomplete: {why}", self.app),
                Item::Message(..) | Item::Close(..) => {}
            }
        }
    }

    /// Sends a piece of the request's body, as soon as the app takes it.
    #[track_caller]
    pub(super) fn send_piece(&mut self, bytes: &[u8]) {
        self.unsent.extend(bytes);
        self.send_unsent();
        let until = self.until();
        while !self.unsent.is_empty() {
            self.pump(until, "take more of the request's body");
        }
    }

    /// Ends the request's body; `Err`: before it is complete.
    pub(super) fn end_upload(&mut self, how: Result<(), &str>) {
        if self.upload != Upload::Open {
            return;
        }
        match how {
            Ok(()) => {
                self.upload = Upload::Ending;
                self.send_unsent();
            }
            Err(why) => {
                self.stop_upload();
                let message = why.to_owned().into();
                self.asked.act(move |answer| {
                    answer.notify(method::BODY_ERROR, BodyError { id: answer.id(), message });
                });
            }
        }
    }

    /// The app takes no more.
    fn stop_upload(&mut self) {
        self.unsent.clear();
        self.upload = Upload::Over;
    }

    fn send_unsent(&mut self) {
        if self.upload == Upload::Over {
            return self.unsent.clear();
        }
        while self.credit > 0 && !self.unsent.is_empty() {
            let piece: Vec<u8> = self.unsent.drain(..self.unsent.len().min(PIECE)).collect();
            self.spend(piece.len());
            self.asked.act(move |answer| answer.send_chunk(buffer::from_vec(piece)));
        }
        if self.upload == Upload::Ending && self.unsent.is_empty() {
            self.upload = Upload::Over;
            self.asked.act(|answer| answer.notify(method::BODY_END, Stream { id: answer.id() }));
        }
    }

    fn spend(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(i64::try_from(piece_credit(bytes)).unwrap_or(i64::MAX));
    }

    /// Sends a WebSocket message, as soon as the app takes it.
    #[track_caller]
    pub(super) fn send_message(&mut self, kind: WsKind, bytes: Vec<u8>) {
        let until = self.until();
        while self.credit <= 0 && !self.gone {
            self.pump(until, "take another message");
        }
        self.spend(bytes.len());
        self.asked.act(move |answer| {
            answer.send(WsMessage { id: answer.id(), kind }.message(), vec![buffer::from_vec(bytes)]);
        });
    }

    /// Tells the app that the client closes the WebSocket.
    pub(super) fn send_close(&self, code: u16, reason: &str) {
        let reason = reason.to_owned().into();
        self.asked.act(move |answer| {
            answer.notify(method::WS_CLOSE, WsClose { id: answer.id(), code, reason });
        });
    }

    /// Has it come next.
    pub(super) fn put_item(&mut self, item: Item) {
        self.items.push_back(item);
    }

    /// The bytes of an upgraded connection are sent like bodies, in both directions.
    #[cfg(feature = "tower")]
    pub(super) fn begin_tunnel(&mut self) {
        self.upload = Upload::Open;
    }
}
