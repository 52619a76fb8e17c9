//! Makes thumbnails: an axum program that works with bytes and computes for long.
//!
//! `POST /?width=200&height=200&format=webp` with an image (PNG, JPEG or WebP) as the body, or as the field `image` of a
//! form, is answered with the image made small enough to fit; it keeps its proportions and is never enlarged.

mod config;
mod problem;
mod thumbnail;

use std::sync::Arc;

use atoll_plugin::protocol::Start;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use config::Config;
use problem::Problem;
use thumbnail::Wanted;

#[derive(Clone)]
struct Thumbs {
    config: Config,
    /// How many more images may be worked on: each takes a thread, and memory for all of its pixels.
    free: Arc<Semaphore>,
}

async fn make(
    State(thumbs): State<Thumbs>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let wanted = wanted?.0.checked()?;
    let (image, config) = (image(request, thumbs.config).await?, thumbs.config);
    let turn = thumbs.free.acquire_owned().await;
    let made = spawn_blocking(move || {
        let _turn = turn;
        thumbnail::make(&image, wanted, config.max_pixels)
    });
    let thumbnail = made.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))??;
    Ok(([(header::CONTENT_TYPE, wanted.media_type())], thumbnail))
}

/// The image in a request: its body, or a form's field `image`.
async fn image(request: Request, config: Config) -> Result<Bytes, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let image = if media_type.is_some_and(|media_type| media_type.starts_with("multipart/form-data")) {
        let mut form = Multipart::from_request(request, &()).await?;
        loop {
            match form.next_field().await.map_err(|error| config.unread(error.status(), error))? {
                Some(field) if field.name() == Some("image") => {
                    break field.bytes().await.map_err(|error| config.unread(error.status(), error))?;
                }
                Some(_) => {}
                None => return Err(Problem::new(StatusCode::BAD_REQUEST, "the form has no field `image`")),
            }
        }
    } else {
        Bytes::from_request(request, &()).await.map_err(|error| config.unread(error.status(), error))?
    };
    if image.is_empty() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "send an image as the body, or in a form"));
    }
    Ok(image)
}

fn routes(config: Config) -> Router {
    let thumbs = Thumbs { config, free: Arc::new(Semaphore::new(config.at_once)) };
    Router::new()
        .route("/", get(async || Html(include_str!("page.html"))).post(make))
        .layer(DefaultBodyLimit::max(config.max_bytes))
        .with_state(thumbs)
}

fn router(start: Start) -> Result<Router, atoll_plugin::Error> {
    Ok(routes(start.config_as()?))
}
atoll_plugin::export_app!(router);

#[cfg(test)]
mod tests;
