//! What a request is for: an app, or the host itself.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::Method;

use super::health::Health;
use super::mount::Mount;
use super::rpc;
use super::target::{Target, target};
use crate::app::handle::App;
use crate::dispatch::problem::Problem;
use crate::registry::Registry;

/// What a request is for.
pub(super) enum Asked<'a> {
    /// The methods of an app.
    Rpc(Arc<App>),
    /// A path of an app.
    App(Target<'a>),
    /// A health check.
    Health(Health<'a>, &'a Registry),
    /// The host as a whole: `OPTIONS *`.
    Host,
    /// A tunnel, which the host does not make.
    Tunnel,
}

impl<'a> Asked<'a> {
    /// What a request for `host` is for.
    ///
    /// # Errors
    /// Nothing is served at its path.
    pub(super) fn of(
        request: &'a HttpRequest,
        mount: &'a Mount,
        host: Option<&str>,
    ) -> Result<Self, Problem> {
        let path = request.uri().path();
        if let Some(app) = rpc::app_at(mount, path) {
            return app.map(Self::Rpc);
        }
        match (request.method(), path) {
            (&Method::CONNECT, _) => return Ok(Self::Tunnel),
            (&Method::OPTIONS, "*") => return Ok(Self::Host),
            _ => {}
        }
        if let (Mount::Registry(registry), Some(health)) = (mount, Health::from_path(path)) {
            return Ok(Self::Health(health, registry));
        }
        target(mount, host, path).map(Self::App)
    }

    /// The app, if it is for one.
    pub(super) fn app(&self) -> Option<&Arc<App>> {
        match self {
            Self::Rpc(app) | Self::App(Target { app, .. }) => Some(app),
            Self::Health(..) | Self::Host | Self::Tunnel => None,
        }
    }

    /// Makes it one for a version of the app.
    pub(super) fn set_version(&mut self, version: Arc<App>) {
        match self {
            Self::Rpc(app) | Self::App(Target { app, .. }) => *app = version,
            Self::Health(..) | Self::Host | Self::Tunnel => {}
        }
    }
}
