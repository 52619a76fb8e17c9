//! The host's HTTP side: `/apps/{name}/…` to the apps, and the health checks.

mod body;
mod failure;
mod head;
mod health;
mod request_id;
mod target;

use std::sync::Arc;

use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use atoll_plugin::protocol::{self, Header, header_text};

use self::body::read_body;
use self::failure::problem_response;
use self::head::response;
use self::health::{healthz, readyz};
use self::request_id::request_id;
use self::target::{Target, target};
use crate::app::App;
use crate::exchange;
use crate::problem::Problem;
use crate::registry::Registry;

/// Where requests under `/apps/` go.
#[derive(Clone, Debug)]
pub enum Mount {
    /// To the app that the path names.
    Registry(Arc<Registry>),
    /// All paths to one app, which sees them as they are.
    Root(Arc<App>),
}

impl From<Arc<Registry>> for Mount {
    fn from(registry: Arc<Registry>) -> Self {
        Self::Registry(registry)
    }
}

impl From<Arc<App>> for Mount {
    fn from(app: Arc<App>) -> Self {
        Self::Root(app)
    }
}

/// Adds the host's routes to an actix application.
pub fn configure(mount: Mount) -> impl FnOnce(&mut ServiceConfig) {
    move |service| {
        if let Mount::Registry(registry) = &mount {
            service
                .app_data(web::Data::from(registry.clone()))
                .route("/healthz", web::get().to(healthz))
                .route("/readyz", web::get().to(readyz));
        }
        service.app_data(web::Data::new(mount)).default_service(web::to(serve));
    }
}

/// Any request that no other route takes.
async fn serve(request: HttpRequest, payload: Payload, mount: web::Data<Mount>) -> HttpResponse {
    let request_id = request_id(request.headers());
    match forward(&request, payload, &mount, &request_id).await {
        Ok(response) => response,
        Err(problem) => problem_response(&problem, request.headers(), &request_id),
    }
}

async fn forward(
    request: &HttpRequest,
    payload: Payload,
    mount: &Mount,
    request_id: &str,
) -> Result<HttpResponse, Problem> {
    let Target { app, prefix, path } = target(mount, request.uri().path())?;
    let body = read_body(request, payload, &app).await?;
    let peer = request.peer_addr().map(|peer| peer.to_string().into());
    let headers = request.headers();
    let params = protocol::HttpRequest {
        method: request.method().as_str().into(),
        path: path.into(),
        query: request.uri().query().unwrap_or("").into(),
        prefix: prefix.into(),
        headers: headers
            .iter()
            .map(|(name, value)| Header(name.as_str().into(), header_text(value.as_bytes())))
            .collect(),
        peer,
        request_id: request_id.into(),
        traceparent: headers.get("traceparent").map(|value| header_text(value.as_bytes())),
        deadline_ms: None,
        body: None,
    };
    exchange::http(&app, params, body, |head, body| response(&head, body)).await?
}
