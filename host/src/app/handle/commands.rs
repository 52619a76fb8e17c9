//! What can be asked of an app: each is a command to its supervisor.

#[cfg(feature = "fleet")]
use std::time::Duration;
use std::time::Instant;

use log::LevelFilter;
#[cfg(feature = "fleet")]
use serde_json::Value;
use tokio::sync::oneshot;

use super::App;
use crate::app::command::{Command, Reload};
#[cfg(feature = "fleet")]
use crate::app::saved_state::save_state;
use crate::app::unavailable::Unavailable;
use crate::config::{AppConfig, Settings};
use crate::observe::logging;

impl App {
    /// Reloads the library, even if it seems unchanged, and returns the number of the serving generation.
    ///
    /// # Errors
    /// The reason why no new generation is serving; the previous one keeps serving.
    pub async fn reload(&self) -> Result<u64, String> {
        self.ask(Reload::Current).await
    }

    /// Has the library on disk serve, with the settings and the environment as they are, and returns the number of the serving
    /// generation: the one that serves already, if nothing has changed.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload).
    pub(crate) async fn update(&self) -> Result<u64, String> {
        self.ask(Reload::Changed).await
    }

    /// Waits until the app takes no note of changes, which lasts until what is returned is dropped: then it finds all that was
    /// replaced meanwhile at once.
    pub(crate) async fn hold(&self) -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        self.order(|begun| Command::Hold(begun, released)).await;
        release
    }

    /// Goes back to the previous good library of those that are kept; the number of the generation that serves then.
    /// The next change on disk brings the library there again.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload), or none is kept.
    pub async fn rollback(&self) -> Result<u64, String> {
        self.ask(Reload::Previous).await
    }

    /// Starts it, also when it has failed before; the number of the generation that serves then.
    ///
    /// # Errors
    /// It does not start: see [`Unavailable`].
    pub async fn start(&self) -> Result<u64, Unavailable> {
        let (answer, ready) = oneshot::channel();
        self.tell(Command::Start(answer));
        ready.await.unwrap_or(Err(Unavailable::Closing))?;
        self.acquire().await.map(|in_flight| in_flight.number())
    }

    /// Stops the serving generation after it has finished its requests, and waits until it is gone. The next call
    /// starts the app again.
    pub async fn stop(&self) {
        self.order(Command::Stop).await;
    }

    /// Stops the app as [`stop`](Self::stop) does, and rejects calls until it is enabled or the host
    /// is restarted.
    pub async fn disable(&self) {
        self.order(Command::Disable).await;
    }

    /// Lets calls start it again; one that starts with the host does so at once.
    pub async fn enable(&self) {
        self.order(Command::Enable).await;
    }

    /// Sets its log level, overriding `RUST_LOG`; `None` resets it.
    pub fn set_log_level(&self, level: Option<LevelFilter>) {
        self.app_log.set_level(level);
        if let Some(generation) = self.serving() {
            generation.set_log_level(logging::max_level(level));
        }
    }

    /// Tells the supervisor what to do, and waits until it is done; one that has ended has nothing left to do it to.
    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Command) {
        let (answer, done) = oneshot::channel();
        self.tell(order(answer));
        let _ = done.await;
    }

    async fn ask(&self, which: Reload) -> Result<u64, String> {
        let (answer, asked) = oneshot::channel();
        self.tell(Command::Reload(which, answer));
        asked.await.unwrap_or_else(|_| Err(Unavailable::Closing.to_string()))
    }

    /// Takes note that a build has made another library of its crate, or none: see [`Library`](crate::Library). `since` is
    /// when the sources were changed.
    pub fn rebuilt(&self, since: Instant) {
        self.tell(Command::Rebuilt(since));
    }

    /// Changes its configuration.
    pub(crate) fn configure(&self, config: AppConfig) {
        self.tell(Command::Configure(Box::new(config)));
    }

    /// Changes settings of it that no generation depends on.
    pub(crate) fn adjust(&self, settings: Settings) {
        self.tell(Command::Adjust(Box::new(settings)));
    }

    /// Takes it down; comes back when all its generations are unloaded or pinned.
    pub(crate) async fn close(&self) {
        self.order(Command::Close).await;
    }
}

/// What the host's part in a fleet does with it.
#[cfg(feature = "fleet")]
impl App {
    /// Starts it with the lease that this host has, and with these states of its workers; comes back when it serves.
    ///
    /// # Errors
    /// It does not start: see [`Unavailable`].
    pub(crate) async fn take_up(&self, states: Vec<Value>) -> Result<(), Unavailable> {
        self.lease.stop_within(None);
        let (answer, ready) = oneshot::channel();
        self.tell(Command::TakeUp(states, answer));
        ready.await.unwrap_or(Err(Unavailable::Closing))
    }

    /// Stops it within this time, as far as its code does not block a thread, and keeps calls from starting it. It takes no more
    /// requests at once.
    pub(crate) async fn stand_by(&self, limit: Duration) {
        self.lease.give_up();
        self.lease.stop_within(Some(limit));
        self.order(Command::StandBy).await;
    }

    /// The states of its workers, which takes no longer than this; empty if they have none, or nothing serves. It takes no more
    /// requests, and is to stop then.
    pub(crate) async fn save(&self, limit: Duration) -> Vec<Value> {
        self.lease.give_up();
        match self.serving() {
            Some(generation) if generation.saves() => {
                generation.retire();
                save_state(&generation, limit).await
            }
            _ => Vec::new(),
        }
    }
}

impl App {
    /// A supervisor that has ended takes no command, and needs none.
    fn tell(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}
