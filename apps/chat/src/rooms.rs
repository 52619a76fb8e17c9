//! The rooms: what was said in each, and who listens.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::{SystemTime, UNIX_EPOCH};

use atoll_plugin::prelude::*;
use futures_channel::mpsc::{Sender, channel};
use futures_util::{Stream, StreamExt, stream};

use crate::message::{Act, Message};

const ROOMS: usize = 1000;

/// One who has so many messages to take is let go, and may come back.
const BACKLOG: usize = 256;

#[derive(Default)]
pub(crate) struct Rooms {
    rooms: RefCell<BTreeMap<String, Room>>,
    last: Cell<u64>,
    history: usize,
}

#[derive(Default)]
struct Room {
    messages: VecDeque<Message>,
    listeners: Vec<Sender<Message>>,
}

/// What the next generation is told.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "atoll_plugin::serde")]
pub(crate) struct Snapshot {
    last: u64,
    rooms: BTreeMap<String, VecDeque<Message>>,
}

impl Rooms {
    /// Rooms that keep so many messages each.
    pub(crate) fn new(history: usize) -> Self {
        Self { history, ..Self::default() }
    }

    /// Has it happen: all who listen are told.
    pub(crate) fn add(&self, room: &str, act: Act) -> Result<Message, Error> {
        self.last.set(self.last.get() + 1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = now.as_millis().try_into().unwrap_or(u64::MAX);
        let message = Message { id: self.last.get(), at, act };
        self.with(room, |room| {
            room.messages.push_back(message.clone());
            let excess = room.messages.len().saturating_sub(self.history);
            room.messages.drain(..excess);
            room.listeners.retain_mut(|listener| listener.try_send(message.clone()).is_ok());
        })?;
        Ok(message)
    }

    /// What was said last.
    pub(crate) fn messages(&self, room: &str) -> Vec<Message> {
        let rooms = self.rooms.borrow();
        rooms.get(room).map(|room| room.messages.iter().cloned().collect()).unwrap_or_default()
    }

    /// What was said after the message `seen`, and then all that is said from now on.
    pub(crate) fn listen(
        &self,
        room: &str,
        seen: Option<u64>,
    ) -> Result<impl Stream<Item = Message> + use<>, Error> {
        let (listener, heard) = channel(BACKLOG);
        self.with(room, |room| room.listeners.push(listener))?;
        let mut missed = self.messages(room);
        missed.retain(|message| Some(message.id) > seen);
        Ok(stream::iter(missed).chain(heard))
    }

    fn with<T>(&self, room: &str, work: impl FnOnce(&mut Room) -> T) -> Result<T, Error> {
        let mut rooms = self.rooms.borrow_mut();
        if rooms.len() >= ROOMS && !rooms.contains_key(room) {
            return Err(Error::new(503, format!("there are {ROOMS} rooms already")));
        }
        Ok(work(rooms.entry(room.to_owned()).or_default()))
    }

    pub(crate) fn save(&self) -> Snapshot {
        let rooms = self.rooms.borrow();
        let rooms = rooms.iter().map(|(name, room)| (name.clone(), room.messages.clone()));
        Snapshot { last: self.last.get(), rooms: rooms.collect() }
    }

    pub(crate) fn restore(&self, snapshot: Snapshot) {
        self.last.set(snapshot.last);
        let rooms = snapshot.rooms.into_iter();
        let rooms = rooms.map(|(name, messages)| (name, Room { messages, listeners: Vec::new() }));
        self.rooms.replace(rooms.collect());
    }
}
