//! What `atoll dev` adds to pages: they reload themselves when another version of their app serves, and show why there is
//! none.
//!
//! A page says which version answered it, and follows what becomes of it by server-sent events. Nothing of this is in
//! the way of a request unless a server was made [with it](crate::server::http_server::Server::with_live_pages).

mod appended;
mod page;
mod pages;
mod pieces;
mod policy;
mod stream;

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Query, ServiceConfig};

pub use self::pages::LivePages;
use self::stream::PATH;
use super::serve::serve;
use super::settings::HttpSettings;

/// Adds the host's route to an actix application as [`configure`](super::configure) does, with live pages.
pub fn configure_live(front: Arc<HttpSettings>, live: Arc<LivePages>) -> impl FnOnce(&mut ServiceConfig) {
    move |service| {
        let (pages, mount) = (live.clone(), front.clone());
        let script = from_fn(move |request: ServiceRequest, next: Next<BoxBody>| {
            page::deliver(pages.clone(), mount.clone(), request, next)
        });
        let follow =
            move |asked: Query<stream::Asked>| std::future::ready(stream::answer(live.clone(), asked));
        service
            .app_data(web::Data::from(front))
            .service(web::resource(PATH).route(web::get().to(follow)))
            .service(web::scope("").wrap(script).default_service(web::to(serve)))
            // What has no path, such as `OPTIONS *`.
            .default_service(web::to(serve));
    }
}
