//! The watcher's thread, and the way to it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use notify::event::{AccessKind, AccessMode, EventKind, Flag, ModifyKind};
use notify::{Event, RecommendedWatcher};
use tokio::sync::watch;

use super::chain::places;
use super::change::Change;
use super::file::{Known, WatchedFile};
use super::folders::{Folders, Id};
use super::pace::{MOST_LOOKS, Pace};
use super::tree::{Listing, Outbox, WatchSet, WatchedTree, list};

/// How many messages to take before looking at files that are due, so that a flood cannot put that off.
const MOST_MESSAGES: usize = 1024;

enum Message {
    Event(Event, Instant),
    WatchFile(Id, PathBuf, Known, watch::Sender<Option<Change>>),
    WatchTree(Id, Box<WatchedTree>),
    ChangeTree(Id, WatchSet, SystemTime),
    Unwatch(Id),
    Stop,
}

/// The way to the watcher's thread, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Client {
    service: Sender<Message>,
    next: AtomicU64,
    pace: Pace,
    /// Tells the owners of the watches to look at their files in any case.
    reread: watch::Sender<()>,
}

impl Client {
    pub(super) fn start(pace: Pace) -> io::Result<Client> {
        let (service, inbox) = unbounded();
        let kernel = pace.events.then(|| ask_the_kernel(service.clone())).transpose().unwrap_or_else(|error| {
            log::warn!(
                "cannot use inotify ({error}): falling back to polling every {:?} (see fs.inotify.max_user_instances)",
                pace.poll
            );
            None
        });
        let state = Service {
            inbox,
            folders: Folders::new(kernel),
            files: HashMap::new(),
            trees: HashMap::new(),
            next_poll: Instant::now() + pace.poll,
            pace,
        };
        thread::Builder::new().name("atoll-watch".into()).spawn(move || state.run())?;
        Ok(Client { service, next: AtomicU64::new(0), pace, reread: watch::Sender::new(()) })
    }

    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    pub(super) fn reread(&self) -> &watch::Sender<()> {
        &self.reread
    }

    pub(super) fn watch_file(&self, path: PathBuf, known: Known) -> (Id, watch::Receiver<Option<Change>>) {
        let id = self.next_id();
        let (reports, receiver) = watch::channel(None);
        self.send(Message::WatchFile(id, path, known, reports));
        (id, receiver)
    }

    pub(super) fn watch_tree(&self, set: WatchSet) -> (Id, Arc<Outbox>) {
        let id = self.next_id();
        let outbox = Arc::<Outbox>::default();
        let files: Listing = list(&set, &mut Vec::new());
        let tree = WatchedTree::new(set, files, outbox.clone());
        self.send(Message::WatchTree(id, Box::new(tree)));
        (id, outbox)
    }

    pub(super) fn change_tree(&self, id: Id, set: WatchSet, since: SystemTime) {
        self.send(Message::ChangeTree(id, set, since));
    }

    pub(super) fn unwatch(&self, id: Id) {
        self.send(Message::Unwatch(id));
    }

    fn next_id(&self) -> Id {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, message: Message) {
        // Without its thread the watcher reports nothing, which is what its owners then see.
        let _ = self.service.send(message);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.send(Message::Stop);
    }
}

/// Has the kernel's notifications sent to the service, with the moment at which they came.
fn ask_the_kernel(service: Sender<Message>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let event = event.unwrap_or_else(|error| {
            log::warn!("inotify failed, checking all files: {error}");
            Event::new(EventKind::Other).set_flag(Flag::Rescan)
        });
        // Reading changes nothing, and our own look at a file is one.
        let is_reading = matches!(event.kind, EventKind::Access(kind)
            if kind != AccessKind::Close(AccessMode::Write));
        if !is_reading {
            let _ = service.send(Message::Event(event, Instant::now()));
        }
    })
}

struct Service {
    inbox: Receiver<Message>,
    folders: Folders,
    files: HashMap<Id, WatchedFile>,
    trees: HashMap<Id, WatchedTree>,
    next_poll: Instant,
    pace: Pace,
}

impl Service {
    fn run(mut self) {
        loop {
            match self.inbox.recv_deadline(self.due()) {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            for _ in 0..MOST_MESSAGES {
                match self.inbox.try_recv() {
                    Ok(Message::Stop) => return,
                    Ok(message) => self.take(message),
                    Err(_) => break,
                }
            }
            self.look();
        }
    }

    fn due(&self) -> Instant {
        let files = self.files.values().filter_map(WatchedFile::due);
        files.chain(self.trees.values().map(WatchedTree::due)).fold(self.next_poll, Instant::min)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Event(event, at) => {
                let writing = matches!(event.kind, EventKind::Modify(ModifyKind::Data(_)));
                for id in self.folders.touched_by(&event) {
                    self.touch(id, at, writing);
                }
            }
            Message::WatchFile(id, path, known, reports) => {
                let mut file = WatchedFile::new(path, known, reports);
                // Something may have happened since its owner's look, and the first look starts the watch.
                file.touch(Instant::now(), false);
                self.files.insert(id, file);
            }
            Message::WatchTree(id, tree) => {
                self.trees.insert(id, *tree);
            }
            Message::ChangeTree(id, set, since) => {
                if let Some(tree) = self.trees.get_mut(&id) {
                    tree.change_set(set, since);
                }
            }
            Message::Unwatch(id) => {
                self.files.remove(&id);
                self.trees.remove(&id);
                self.folders.remove(id);
            }
            Message::Stop => {}
        }
    }

    /// Looks at everything that is due.
    fn look(&mut self) {
        let now = Instant::now();
        if self.next_poll <= now {
            self.next_poll = now + self.pace.poll;
            for file in self.files.values_mut() {
                file.touch(now, false);
            }
        }
        for (&id, file) in self.files.iter_mut().filter(|(_, file)| file.due().is_some_and(|due| due <= now))
        {
            // The watches come first, so that what changes after the look sends a notification.
            let settled = (0..MOST_LOOKS).any(|_| self.folders.sync(id, places(&file.path)));
            file.look(&self.pace);
            if !settled {
                file.touch(Instant::now(), false);
            }
        }
        for (&id, tree) in self.trees.iter_mut().filter(|(_, tree)| tree.due() <= now) {
            let settled = tree.look(&self.pace, |folders| self.folders.sync(id, folders));
            if !settled {
                tree.touch(Instant::now(), &self.pace);
            }
        }
        for id in self.folders.take_disturbed() {
            self.touch(id, Instant::now(), false);
        }
    }

    fn touch(&mut self, id: Id, at: Instant, writing: bool) {
        if let Some(file) = self.files.get_mut(&id) {
            file.touch(at, writing);
        } else if let Some(tree) = self.trees.get_mut(&id) {
            tree.touch(at, &self.pace);
        }
    }
}
