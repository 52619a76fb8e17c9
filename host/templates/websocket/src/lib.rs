//! An app with a WebSocket, and a page to try it.

use atoll_plugin::prelude::*;
use atoll_plugin::ws::{Message, WebSocket};

fn app() -> Application {
    Application::new()
        .get("/", |_: Request| Response::html(include_str!("page.html")))
        .get("/socket", |req: Request| req.websocket(talk))
}
atoll_plugin::export_app!(app);

async fn talk(mut socket: WebSocket) {
    while let Some(message) = socket.receive().await {
        let Message::Text(text) = message else {
            continue;
        };
        // It fails when the client is gone.
        if socket.send(Message::text(reply(&text))).await.is_err() {
            return;
        }
    }
}

fn reply(text: &str) -> String {
    format!("you said {text}")
}

#[cfg(test)]
mod tests {
    use atoll_plugin::test::TestApp;

    use super::*;

    #[test]
    fn it_answers_what_is_said() {
        let app = TestApp::new(app);
        let mut socket = app.websocket("/socket");
        socket.send_text("hello");
        assert_eq!(socket.receive_text(), "you said hello");
    }

    #[test]
    fn its_page_opens_the_socket() {
        let page = TestApp::new(app).get("/");
        assert_eq!(page.status(), 200);
        assert!(page.text().contains("new WebSocket"));
    }

    #[test]
    fn the_socket_is_for_websockets_only() {
        assert_eq!(TestApp::new(app).get("/socket").status(), 426);
    }
}
