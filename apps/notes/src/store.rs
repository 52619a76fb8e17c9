//! The notes in their database.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::problem::Problem;

const TITLE: usize = 200;
const TEXT: usize = 10_000;

/// A note as it is kept.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Note {
    pub(crate) id: i64,
    title: String,
    text: String,
    /// When it was last written, in UTC: `2026-01-31T12:00:00Z`.
    written: String,
}

/// What a client says of a note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Draft {
    title: String,
    #[serde(default)]
    text: String,
}

impl Draft {
    pub(crate) fn checked(mut self) -> std::result::Result<Self, Problem> {
        self.title = self.title.trim().to_owned();
        Problem::of_fields([
            (
                "title",
                !(1..=TITLE).contains(&self.title.chars().count()),
                format!("1 to {TITLE} characters that are not only blanks"),
            ),
            ("text", self.text.chars().count() > TEXT, format!("at most {TEXT} characters")),
        ])?;
        Ok(self)
    }
}

/// A connection to the database. It is closed with the router, when the app is stopped.
#[derive(Debug)]
pub(crate) struct Store(Arc<Mutex<Connection>>);

impl Store {
    pub(crate) fn open(path: &Path) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let db = Connection::open(path)?;
        // At a reload two generations have it open, and other programs may: they wait for each other's writes.
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "wal")?;
        db.pragma_update(None, "synchronous", "normal")?;
        db.execute_batch(
            "CREATE TABLE IF NOT EXISTS note (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                title TEXT NOT NULL,
                text TEXT NOT NULL,
                written TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ'))
            ) STRICT",
        )?;
        Ok(Self(Arc::new(Mutex::new(db))))
    }

    /// Works with the database on a thread that may block, so that the worker goes on with other requests.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, Problem> {
        let db = self.0.clone();
        let done = spawn_blocking(move || work(&db.lock().unwrap_or_else(PoisonError::into_inner))).await;
        match done {
            Ok(result) => Ok(result?),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn note(row: &Row<'_>) -> Result<Note> {
    Ok(Note {
        id: row.get("id")?,
        title: row.get("title")?,
        text: row.get("text")?,
        written: row.get("written")?,
    })
}

/// A part of the notes, the newest first, and how many there are in all.
pub(crate) fn list(db: &Connection, limit: u32, offset: u64) -> Result<(Vec<Note>, u64)> {
    // Both see the same notes.
    let db = db.unchecked_transaction()?;
    let total = db.query_row("SELECT count(*) FROM note", [], |row| row.get::<_, i64>(0))?;
    let mut query = db.prepare("SELECT * FROM note ORDER BY id DESC LIMIT ? OFFSET ?")?;
    let offset = i64::try_from(offset).unwrap_or(i64::MAX);
    let notes = query.query_map(params![limit, offset], note)?.collect::<Result<_>>()?;
    Ok((notes, total.unsigned_abs()))
}

pub(crate) fn create(db: &Connection, draft: &Draft) -> Result<Note> {
    let sql = "INSERT INTO note (title, text) VALUES (?, ?) RETURNING *";
    db.query_row(sql, params![draft.title, draft.text], note)
}

pub(crate) fn read(db: &Connection, id: i64) -> Result<Option<Note>> {
    db.query_row("SELECT * FROM note WHERE id = ?", [id], note).optional()
}

/// `None` when there is no such note.
pub(crate) fn update(db: &Connection, id: i64, draft: &Draft) -> Result<Option<Note>> {
    let sql = "UPDATE note SET title = ?, text = ?, written = strftime('%Y-%m-%dT%H:%M:%SZ')
               WHERE id = ? RETURNING *";
    db.query_row(sql, params![draft.title, draft.text, id], note).optional()
}

/// Whether there was such a note.
pub(crate) fn delete(db: &Connection, id: i64) -> Result<bool> {
    Ok(db.execute("DELETE FROM note WHERE id = ?", [id])? > 0)
}
