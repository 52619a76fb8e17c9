//! One guest's WebSocket.

use std::pin::pin;
use std::rc::Rc;

use atoll_plugin::prelude::*;
use atoll_plugin::ws::{Message as Frame, Sender, WebSocket};
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt};

use crate::message::{Act, Message, Said};
use crate::rooms::Rooms;

/// The code by which the host closes WebSockets when the app is replaced: those who had them come back.
const SERVICE_RESTART: u16 = 1012;

pub(crate) struct Guest {
    pub(crate) rooms: Rc<Rooms>,
    pub(crate) room: String,
    pub(crate) name: String,
    /// Has been here before: nothing new for the others.
    pub(crate) returns: bool,
}

impl Guest {
    /// Lets the guest hear and talk, until one of them has enough.
    pub(crate) async fn talk(self, mut socket: WebSocket, heard: impl Stream<Item = Message>) {
        if !self.returns {
            self.announce(Act::Joined { name: self.name.clone() });
        }
        let sender = socket.sender();
        let hears = pin!(hear(sender.clone(), heard));
        let talks = pin!(self.say_all(&mut socket, &sender));
        let comes_back = match select(hears, talks).await {
            Either::Left(((), _)) => false,
            Either::Right((code, _)) => code == SERVICE_RESTART,
        };
        if !comes_back {
            self.announce(Act::Left { name: self.name.clone() });
        }
    }

    /// Says what comes; the code with which the client closes.
    async fn say_all(&self, socket: &mut WebSocket, sender: &Sender) -> u16 {
        while let Some(frame) = socket.receive().await {
            match frame {
                Frame::Text(text) => {
                    let said = Said::new(&self.name, text).checked();
                    if let Err(error) = said.and_then(|said| self.rooms.add(&self.room, said)) {
                        let error = json!({ "kind": "error", "text": error.message() });
                        let _ = sender.send(Frame::text(error.to_string())).await;
                    }
                }
                Frame::Close(code, _) => return code,
                _ => {}
            }
        }
        0
    }

    fn announce(&self, act: Act) {
        if let Err(error) = self.rooms.add(&self.room, act) {
            log::warn!("{}: {error}", self.room);
        }
    }
}

/// Sends what is heard; ends when the client takes no more.
async fn hear(sender: Sender, heard: impl Stream<Item = Message>) {
    let mut heard = pin!(heard);
    while let Some(message) = heard.next().await {
        let text = json!(message).to_string();
        if sender.send(Frame::text(text)).await.is_err() {
            return;
        }
    }
}
