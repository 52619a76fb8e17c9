use atoll_plugin::Fetched;
use atoll_plugin::serde_json::{self, Value};
use atoll_plugin::test::{TestApp, WebSocket};
use atoll_plugin::ws::Message as Frame;
use futures_util::FutureExt;

use super::*;
use crate::message::{Act, Message};

fn rooms(history: usize) -> Rooms {
    Rooms::new(history)
}

fn said(text: &str) -> Act {
    Act::Said { name: "ann".to_owned(), text: text.to_owned() }
}

/// What can be heard without waiting.
fn hear(stream: impl futures_util::Stream<Item = Message>) -> Vec<u64> {
    let mut stream = std::pin::pin!(stream);
    std::iter::from_fn(|| stream.next().now_or_never().flatten()).map(|message| message.id).collect()
}

#[test]
fn rooms_keep_their_last_messages_over_a_reload() {
    let before = rooms(2);
    for text in ["one", "two", "three"] {
        before.add("reef", said(text)).unwrap();
    }
    before.add("lagoon", said("four")).unwrap();
    let after = rooms(2);
    after.restore(before.save());
    assert_eq!(after.save(), before.save());
    assert_eq!(after.messages("reef").iter().map(|message| message.id).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(after.add("reef", said("five")).unwrap().id, 5);
    assert_eq!(after.messages("nowhere"), []);
}

#[test]
fn one_who_listens_hears_what_was_missed_and_what_is_new() {
    let rooms = rooms(10);
    rooms.add("reef", said("one")).unwrap();
    rooms.add("reef", said("two")).unwrap();
    let (all, missed) = (rooms.listen("reef", None).unwrap(), rooms.listen("reef", Some(1)).unwrap());
    rooms.add("reef", said("three")).unwrap();
    rooms.add("lagoon", said("elsewhere")).unwrap();
    assert_eq!(hear(all), [1, 2, 3]);
    assert_eq!(hear(missed), [2, 3]);
}

/// The app, which keeps three messages of each room.
fn chat() -> TestApp {
    TestApp::builder(app).name("chat").config(json!({ "history": 3 })).start().unwrap()
}

fn post(app: &TestApp, name: &str, text: &str) -> Fetched {
    app.send(Request::post("/rooms/reef/messages").json(json!({ "name": name, "text": text })))
}

#[test]
fn messages_are_posted_and_read() {
    let app = chat();
    let posted = post(&app, "ann", " hello ");
    assert_eq!(posted.status(), 201);
    let message: Message = posted.json().unwrap();
    assert_eq!(message.act, said("hello"));
    let read = || app.get("/rooms/reef/messages").json::<Vec<Message>>().unwrap();
    assert_eq!(read(), [message]);
    for text in ["two", "three", "four"] {
        post(&app, "ann", text);
    }
    assert_eq!(read().iter().map(|message| message.id).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(post(&app, " ", "a").status(), 422);
    assert_eq!(post(&app, "a", &"a".repeat(2001)).status(), 422);
    let incomplete = app.send(Request::post("/rooms/reef/messages").json(json!({ "name": "ann" })));
    assert_eq!(incomplete.status(), 400);
    assert_eq!(app.get("/rooms/reef/socket?name=ann").status(), 426);
}

/// The next thing that is heard.
fn heard(socket: &mut WebSocket) -> Act {
    socket.receive_json::<Message>().act
}

#[test]
fn guests_talk_to_each_other() {
    let app = chat();
    let joined = |name: &str| Act::Joined { name: name.to_owned() };
    let mut ann = app.websocket("/rooms/reef/socket?name=ann");
    assert_eq!(heard(&mut ann), joined("ann"));
    let mut bob = app.websocket("/rooms/reef/socket?name=bob");
    assert_eq!(heard(&mut ann), joined("bob"));
    assert_eq!([heard(&mut bob), heard(&mut bob)], [joined("ann"), joined("bob")]);
    ann.send_text("hello");
    for guest in [&mut ann, &mut bob] {
        assert_eq!(heard(guest), said("hello"));
    }
    bob.send_text("  ");
    let error: Value = bob.receive_json();
    assert_eq!(error["kind"], "error");
    bob.close(1000, "");
    assert_eq!(heard(&mut ann), Act::Left { name: "bob".to_owned() });
    // Without a word, too.
    drop(ann);
    assert_eq!(app.try_websocket("/rooms/reef/socket?name=").unwrap_err().status(), 422);
}

#[test]
fn events_go_on_where_a_client_has_left() {
    let app = chat();
    post(&app, "ann", "one");
    let mut all = app.stream("/rooms/reef/events");
    assert_eq!(all.header("content-type").as_deref(), Some("text/event-stream"));
    let first = all.event().unwrap();
    let message: Message = serde_json::from_str(&first.get_data()).unwrap();
    assert_eq!((message.act, first.get_id()), (said("one"), Some("1")));
    post(&app, "ann", "two");
    assert_eq!(all.event().unwrap().get_id(), Some("2"));
    let mut rest = app.stream(Request::get("/rooms/reef/events").header("last-event-id", "1"));
    assert_eq!(rest.event().unwrap().get_id(), Some("2"));
}

#[test]
fn who_comes_back_after_a_reload_has_missed_nothing() {
    let app = chat();
    let mut ann = app.websocket("/rooms/reef/socket?name=ann");
    ann.send_text("hello");
    assert_eq!((heard(&mut ann), heard(&mut ann)), (Act::Joined { name: "ann".to_owned() }, said("hello")));
    let mut events = app.stream("/rooms/reef/events?seen=2");
    assert_eq!(events.status(), 200);
    let app = app.reload();
    assert!(matches!(ann.receive(), Some(Frame::Close(1012, _))));
    post(&app, "bob", "are you there?");
    let mut ann = app.websocket("/rooms/reef/socket?name=ann&seen=2");
    let back: Message = ann.receive_json();
    assert_eq!(
        (back.id, back.act),
        (3, Act::Said { name: "bob".to_owned(), text: "are you there?".to_owned() })
    );
}
