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

#[test]
fn messages_are_posted_and_read() {
    let start = json!({ "app": "chat", "generation": 1, "worker": 0, "config": { "history": 3 } });
    let app = app(atoll_plugin::serde_json::from_value(start).unwrap()).unwrap();
    let post = |body| app.oneshot(Request::post("/rooms/reef/messages").json(body));
    let posted = post(json!({ "name": "ann", "text": " hello " }));
    assert_eq!(posted.status_code(), 201);
    let message: Message = posted.body_json().unwrap();
    assert_eq!(message.act, said("hello"));
    let read = app.oneshot(Request::get("/rooms/reef/messages"));
    assert_eq!(read.body_json::<Vec<Message>>().unwrap(), [message]);
    for wrong in [json!({ "name": " ", "text": "a" }), json!({ "name": "a", "text": "a".repeat(2001) })] {
        assert_eq!(post(wrong).status_code(), 422);
    }
    assert_eq!(post(json!({ "name": "ann" })).status_code(), 400);
    assert_eq!(app.oneshot(Request::get("/rooms/reef/socket?name=ann")).status_code(), 426);
}
