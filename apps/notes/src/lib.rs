//! Notes in an SQLite database: an ordinary axum program, but for the last line of this file.
//!
//! | request | answer |
//! |---|---|
//! | `GET /notes?page=1&per_page=20` | a page of notes, the newest first, with the total and links to other pages |
//! | `POST /notes` with `{"title": …, "text": …}` | 201, the note, and its place in `location` |
//! | `GET`, `PUT`, `DELETE /notes/{id}` | the note; the changed note; 204 |
//!
//! What cannot be done is answered with a problem document (RFC 9457).

mod page;
mod problem;
mod store;

use std::path::PathBuf;
use std::sync::Arc;

use atoll_plugin::protocol::Start;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};

use page::{Page, Paging};
use problem::Problem;
use store::{Draft, Note, Store};

type Answer<T> = Result<T, Problem>;
type Notes = State<Arc<Store>>;

async fn list(State(notes): Notes, paging: Result<Query<Paging>, QueryRejection>) -> Answer<Json<Page>> {
    let paging = paging?.0.checked()?;
    let (found, total) = notes.run(move |db| store::list(db, paging.limit(), paging.offset())).await?;
    Ok(Json(Page::new(found, total, paging)))
}

async fn create(State(notes): Notes, draft: Result<Json<Draft>, JsonRejection>) -> Answer<impl IntoResponse> {
    let draft = draft?.0.checked()?;
    let note = notes.run(move |db| store::create(db, &draft)).await?;
    // Relative, as the app does not know where it is mounted.
    let location = [(header::LOCATION, format!("notes/{}", note.id))];
    Ok((StatusCode::CREATED, location, Json(note)))
}

async fn read(State(notes): Notes, id: Result<Path<i64>, PathRejection>) -> Answer<Json<Note>> {
    let Path(id) = id?;
    let note = notes.run(move |db| store::read(db, id)).await?;
    note.map(Json).ok_or_else(|| Problem::no_note(id))
}

async fn update(
    State(notes): Notes,
    id: Result<Path<i64>, PathRejection>,
    draft: Result<Json<Draft>, JsonRejection>,
) -> Answer<Json<Note>> {
    let (Path(id), draft) = (id?, draft?.0.checked()?);
    let note = notes.run(move |db| store::update(db, id, &draft)).await?;
    note.map(Json).ok_or_else(|| Problem::no_note(id))
}

async fn delete(State(notes): Notes, id: Result<Path<i64>, PathRejection>) -> Answer<StatusCode> {
    let Path(id) = id?;
    let deleted = notes.run(move |db| store::delete(db, id)).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::no_note(id)) }
}

fn routes(store: Store) -> Router {
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(read).put(update).delete(delete))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path has other methods")
        })
        .with_state(Arc::new(store))
}

/// Where the notes are: the variable `NOTES_DB`, from the setting `env` or the environment, or else `notes.db` where
/// this user's programs keep their data.
fn database(start: &Start) -> Result<PathBuf, String> {
    if let Some(path) = start.var("NOTES_DB") {
        return Ok(path.into());
    }
    let data = start.var("XDG_DATA_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let data = data.or_else(|| Some(PathBuf::from(start.var("HOME")?).join(".local/share")));
    Ok(data.ok_or("set NOTES_DB to the path of the database: there is no HOME")?.join("atoll/notes.db"))
}

async fn router(start: Start) -> Result<Router, String> {
    let path = database(&start)?;
    let store = Store::open(&path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    Ok(routes(store))
}
atoll_plugin::export_app!(router);

#[cfg(test)]
mod tests;
