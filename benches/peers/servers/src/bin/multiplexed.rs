//! Apps as processes, each with one connection to each of the front's threads, over which many requests go at once:
//! `multiplexed ADDRESS`.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::rt::spawn;
use actix_web::{HttpRequest, HttpResponse};
use anyhow::Context;
use peer_servers::process::{Processes, Speech};
use peer_servers::{Apps, argument, exchange, frame, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, OnceCell, oneshot};

/// The connection of one thread to one app.
#[derive(Default)]
struct Line {
    number: Cell<u32>,
    waiting: RefCell<HashMap<u32, oneshot::Sender<Vec<u8>>>>,
    outgoing: RefCell<Vec<u8>>,
    /// There is something to send, or the line is closed.
    notice: Notify,
    closed: Cell<bool>,
}

impl Line {
    async fn open(processes: &Processes, app: &str) -> anyhow::Result<Rc<Self>> {
        let process = processes.app(app)?;
        let (input, output) = UnixStream::connect(process.socket()).await?.into_split();
        let line = Rc::new(Self::default());
        spawn(line.clone().closing(line.clone().read(input)));
        spawn(line.clone().closing(line.clone().write(output)));
        Ok(line)
    }

    /// Whoever waits hears of it when one direction ends.
    async fn closing(self: Rc<Self>, direction: impl Future<Output = std::io::Result<()>>) {
        if let Err(error) = direction.await {
            eprintln!("a connection to an app: {error}");
        }
        self.closed.set(true);
        self.waiting.borrow_mut().clear();
        self.notice.notify_one();
    }

    async fn read(self: Rc<Self>, mut input: OwnedReadHalf) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(64 * 1024);
        while input.read_buf(&mut bytes).await? > 0 {
            frame::take(&mut bytes, |number, answer| {
                if let Some(waiting) = self.waiting.borrow_mut().remove(&number) {
                    // The client may have left.
                    let _ = waiting.send(answer.to_vec());
                }
            });
        }
        Ok(())
    }

    /// Sends together what has been put together since the last time.
    async fn write(self: Rc<Self>, mut output: OwnedWriteHalf) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        while !self.closed.get() {
            self.notice.notified().await;
            std::mem::swap(&mut bytes, &mut *self.outgoing.borrow_mut());
            output.write_all(&bytes).await?;
            bytes.clear();
        }
        Ok(())
    }

    async fn ask(&self, request: &[u8]) -> anyhow::Result<Vec<u8>> {
        anyhow::ensure!(!self.closed.get(), "the app's process has ended");
        let number = self.number.replace(self.number.get().wrapping_add(1));
        let (sender, answer) = oneshot::channel();
        self.waiting.borrow_mut().insert(number, sender);
        frame::put(&mut self.outgoing.borrow_mut(), number, request);
        self.notice.notify_one();
        answer.await.context("the app's process has ended")
    }
}

struct Front {
    processes: Arc<Processes>,
    lines: RefCell<HashMap<String, Rc<OnceCell<Rc<Line>>>>>,
}

impl Front {
    fn line(&self, app: &str) -> Rc<OnceCell<Rc<Line>>> {
        if let Some(line) = self.lines.borrow().get(app) {
            return line.clone();
        }
        self.lines.borrow_mut().entry(app.to_owned()).or_default().clone()
    }
}

impl Apps for Front {
    async fn answer(&self, app: &str, path: &str, request: &HttpRequest) -> anyhow::Result<HttpResponse> {
        let line = self.line(app);
        let line = line.get_or_try_init(|| Line::open(&self.processes, app)).await?;
        exchange::response(&line.ask(&exchange::request(path, request)).await?)
    }
}

fn main() -> anyhow::Result<()> {
    let processes = Arc::new(Processes::new(Speech::Frames)?);
    let front = move || Front { processes: processes.clone(), lines: RefCell::default() };
    Ok(serve(&argument(1)?, front)?)
}
