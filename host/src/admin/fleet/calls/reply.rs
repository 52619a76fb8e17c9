//! What goes back to the host that asks.

use std::cell::{Cell, RefCell};

use atoll_plugin::protocol::Credit;

use super::outbox::Outbox;
use crate::dispatch::problem::Problem;
use crate::fleet::calls::{
    ExchangeId, FrameWriter, Instance, Kind, Parts, Reply as ReplySubject, Subjects, TooLarge, write_problem,
};

/// The way back to the host that has asked.
#[derive(Debug)]
pub(super) struct Reply {
    outbox: Outbox,
    subject: String,
    /// Where NATS reports that the host is gone.
    reply: String,
    own: Instance,
    exchange: ExchangeId,
    writer: RefCell<FrameWriter>,
    /// Whether the host knows that this one has the request.
    is_known: Cell<bool>,
    /// Whether the last message was sent.
    is_over: Cell<bool>,
}

impl Reply {
    pub(super) fn new(
        outbox: Outbox,
        subjects: &Subjects,
        (own, limit): (Instance, usize),
        (caller, exchange): (Instance, ExchangeId),
    ) -> Self {
        Self {
            outbox,
            subject: subjects.instance(caller),
            reply: subjects.reply(ReplySubject::Peer(caller)),
            own,
            exchange,
            writer: RefCell::new(FrameWriter::new(own, exchange, limit)),
            is_known: Cell::new(false),
            is_over: Cell::new(false),
        }
    }

    /// The number of the request.
    pub(super) fn id(&self) -> u64 {
        self.exchange.request
    }

    /// Whether the last message was sent.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Sends a message of the port's protocol.
    ///
    /// # Errors
    /// It is too large.
    pub(super) fn message(&self, text: &[u8], buffer: &[u8], last: bool) -> Result<(), TooLarge> {
        let parts = Parts { text, buffer, ..Parts::default() };
        let frames = self.writer.borrow_mut().write(Kind::ToCaller, parts, last)?;
        self.is_known.set(true);
        self.is_over.set(last);
        for frame in frames {
            self.outbox.send(self.subject.clone(), Some(self.reply.clone()), frame);
        }
        Ok(())
    }

    /// Sends a message that has no buffer, and a text that is never too large.
    pub(super) fn note(&self, text: &[u8], last: bool) {
        if let Err(error) = self.message(text, b"", last) {
            log::error!("cannot answer another host: {error}");
        }
    }

    /// Lets the other host send so much more.
    pub(super) fn grant(&self, bytes: u64) {
        self.note(&Credit { id: self.id(), bytes }.message(), false);
    }

    /// Ends the exchange with a problem.
    pub(super) fn refuse(&self, problem: &Problem) {
        self.is_over.set(true);
        self.control(Kind::Refused, &write_problem(problem));
    }

    /// Reports that this host has the request, unless the other one knows that.
    pub(super) fn taken(&self) {
        if !self.is_known.get() {
            self.control(Kind::Taken, b"");
        }
    }

    /// Reports that this host does not take the request.
    pub(super) fn not_taken(&self) {
        self.control(Kind::NotTaken, b"");
    }

    fn control(&self, kind: Kind, text: &[u8]) {
        self.is_known.set(true);
        let frame = FrameWriter::control(self.own, self.exchange, kind, text);
        self.outbox.send(self.subject.clone(), Some(self.reply.clone()), frame);
    }
}
