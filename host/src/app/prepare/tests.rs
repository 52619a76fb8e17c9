//! What is prepared, for how long it can be used, and what it is bounded by.

use std::fs;
use std::time::{Duration, Instant};

use super::*;
use crate::library::inspect::tests::good_library;
use crate::watch::write_and_release;
use std::path::PathBuf;

struct Setup {
    _folder: tempfile::TempDir,
    preparer: Preparer,
    library: PathBuf,
}

impl Setup {
    fn new(at_once: usize, room: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let staging = Arc::new(Staging::within(folder.path()).unwrap());
        let library = folder.path().join("libhello.so");
        write_and_release(&library, good_library());
        Self { _folder: folder, preparer: Preparer::with(staging, at_once, room), library }
    }

    /// Waits until another thread has deleted all copies.
    async fn deleted(&self) {
        wait_until(|| self.copies() == 0).await;
    }

    fn begin(&self) -> Preparation {
        self.preparer.begin("hello".into(), (&self.library).into(), u64::MAX, None)
    }

    /// One that is done.
    async fn done(&self) -> Option<Prepared> {
        let preparation = self.begin();
        finished(&preparation).await;
        preparation.take().await
    }

    fn copies(&self) -> usize {
        fs::read_dir(self.preparer.staging.folder()).unwrap().count()
    }

    fn room(&self) -> usize {
        self.preparer.room.available_permits()
    }
}

async fn finished(preparation: &Preparation) {
    let Preparation::Underway(underway) = preparation else { return };
    wait_until(|| underway.task.is_finished()).await;
}

async fn wait_until(mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < Duration::from_secs(20), "what is waited for does not come");
        sleep(Duration::from_millis(1)).await;
    }
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work);
}

#[test]
fn what_is_prepared_is_used_if_the_library_is_the_same() {
    let setup = Setup::new(1, ROOM);
    run(async {
        let whole = setup.room();
        let prepared = setup.done().await.unwrap();
        assert!(setup.room() < whole);
        let copy = prepared.copy_of(&setup.library).unwrap();
        assert_eq!((setup.copies(), setup.room()), (1, whole), "what is used is not ahead of need any more");
        let again = Preparation::again(copy).unwrap().take().await.unwrap();
        assert!(again.copy_of(&setup.library).is_some());
        assert_eq!(setup.room(), whole);
        setup.deleted().await;
    });
}

#[test]
fn what_is_prepared_is_dropped_if_the_library_is_another() {
    let setup = Setup::new(1, ROOM);
    run(async {
        let prepared = setup.done().await.unwrap();
        write_and_release(&setup.library, good_library());
        assert!(prepared.copy_of(&setup.library).is_none());
        setup.deleted().await;
    });
}

#[test]
fn what_cannot_be_loaded_is_not_prepared() {
    let setup = Setup::new(1, ROOM);
    run(async {
        write_and_release(&setup.library, "no library");
        assert!(setup.done().await.is_none());
        let _writer = fs::File::options().append(true).open(&setup.library).unwrap();
        assert!(setup.done().await.is_none());
        fs::remove_file(&setup.library).unwrap();
        assert!(setup.done().await.is_none());
        setup.deleted().await;
    });
}

#[test]
fn a_copy_of_a_library_that_was_just_written_is_not_used_again() {
    let setup = Setup::new(1, ROOM);
    // On a machine that is busy, more time may go by between the two than it takes.
    let fresh = (0..100).find_map(|_| {
        write_and_release(&setup.library, good_library());
        let staged = setup.preparer.staging.stage("hello", &setup.library).unwrap();
        Some(staged).filter(|staged| !staged.is_settled())
    });
    assert!(Preparation::again(fresh.unwrap().inspect(None).unwrap()).is_none());
    assert_eq!(setup.copies(), 0);
}

#[test]
fn a_call_does_not_wait_for_a_turn() {
    let setup = Setup::new(0, ROOM);
    run(async {
        let preparation = setup.begin();
        sleep(SETTLE * 2).await;
        assert!(preparation.take().await.is_none());
    });
}

#[test]
fn a_call_waits_for_what_is_being_copied() {
    let setup = Setup::new(1, ROOM);
    run(async {
        let preparation = setup.begin();
        let Preparation::Underway(underway) = &preparation else { unreachable!() };
        wait_until(|| underway.has_turn.get()).await;
        assert!(preparation.take().await.is_some());
    });
}

#[test]
fn what_does_not_fit_is_not_prepared_until_there_is_room() {
    let setup = Setup::new(1, BLOCK);
    assert!(good_library().len() as u64 <= BLOCK);
    run(async {
        let first = setup.done().await;
        assert!(first.is_some());
        assert!(setup.done().await.is_none());
        drop(first);
        assert!(setup.done().await.is_some());
    });
}

#[test]
fn what_is_dropped_underway_leaves_nothing() {
    let setup = Setup::new(2, ROOM);
    run(async {
        let whole = setup.room();
        for _ in 0..20 {
            let preparation = setup.begin();
            let Preparation::Underway(underway) = &preparation else { unreachable!() };
            wait_until(|| underway.has_turn.get()).await;
        }
        wait_until(|| setup.preparer.turns.available_permits() == 2).await;
        wait_until(|| setup.copies() == 0 && setup.room() == whole).await;
    });
}
