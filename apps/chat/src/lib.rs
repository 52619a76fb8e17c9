//! Chat rooms, by WebSocket or by server-sent events.
//!
//! | request | answer |
//! |---|---|
//! | `GET /rooms/{room}/socket?name=ann` | a WebSocket: texts sent are said in the room, and all that is said comes back as JSON |
//! | `GET /rooms/{room}/events` | the same as server-sent events, to listen only |
//! | `GET /rooms/{room}/messages` | what was said last |
//! | `POST /rooms/{room}/messages` with `{"name": …, "text": …}` | says something |
//!
//! A client that comes back says which message it has seen last, by `?seen=ID` or as `Last-Event-ID`, and gets what it
//! has missed. What was said is handed over at a reload. It is this worker's: the app has one.

mod message;
mod rooms;
mod talk;

use std::rc::Rc;
use std::time::Duration;

use atoll_plugin::prelude::*;
use atoll_plugin::sse::Event;
use futures_util::StreamExt;

use message::{Said, checked_name};
use rooms::{Rooms, Snapshot};

/// How soon a browser comes back after a reload.
const RETRY: Duration = Duration::from_millis(500);

/// What the app's setting `config` may say.
#[derive(Deserialize)]
#[serde(crate = "atoll_plugin::serde", default, deny_unknown_fields)]
struct Config {
    /// How many messages of each room are kept.
    history: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { history: 50 }
    }
}

fn room(req: &Request) -> Result<String, Error> {
    checked_name("room", req.param("room").unwrap_or_default())
}

fn messages(rooms: &Rc<Rooms>, req: &Request) -> Result<Response, Error> {
    Ok(Response::json(rooms.messages(&room(req)?)))
}

fn post(rooms: &Rc<Rooms>, req: &Request) -> Result<Response, Error> {
    let said: Said = req.json()?;
    Ok(Response::json(rooms.add(&room(req)?, said.checked()?)?).status(201))
}

fn events(rooms: &Rc<Rooms>, req: &Request) -> Result<Response, Error> {
    let seen = req.header("last-event-id").and_then(|id| id.parse().ok());
    let messages = rooms.listen(&room(req)?, seen)?;
    Ok(Response::events(messages.map(|message| {
        let event = Event::json(&message).unwrap_or_default();
        event.id(message.id.to_string()).retry(RETRY)
    })))
}

fn socket(rooms: &Rc<Rooms>, req: &Request) -> Result<Response, Error> {
    let (rooms, room) = (rooms.clone(), room(req)?);
    let name = checked_name("name", &req.query_param("name").unwrap_or_default())?;
    let seen = req.query_param("seen").and_then(|id| id.parse().ok());
    let heard = rooms.listen(&room, seen)?;
    req.websocket(async move |socket| {
        let guest = talk::Guest { rooms, room, name, returns: seen.is_some() };
        guest.talk(socket, heard).await;
    })
}

fn app(start: Start) -> Result<Application, Error> {
    let rooms = Rc::new(Rooms::new(start.config_as::<Config>()?.history));
    let (saved, restored) = (rooms.clone(), rooms.clone());
    let with = |answer: fn(&Rc<Rooms>, &Request) -> Result<Response, Error>| {
        let rooms = rooms.clone();
        move |req: Request| answer(&rooms, &req)
    };
    Ok(Application::new()
        .on_save(move || Ok(saved.save()))
        .on_restore(move |snapshot: Snapshot| {
            restored.restore(snapshot);
            Ok(())
        })
        .get("/", |_: Request| Response::html(include_str!("page.html")))
        .get("/rooms/{room}/messages", with(messages))
        .post("/rooms/{room}/messages", with(post))
        .get("/rooms/{room}/events", with(events))
        .get("/rooms/{room}/socket", with(socket)))
}
atoll_plugin::export_app!(app);

#[cfg(test)]
mod tests;
