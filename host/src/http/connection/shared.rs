//! What the connections of an HTTP thread share.

use std::rc::Rc;
use std::sync::Arc;

use actix_http::{Request, ServiceConfig};
use actix_service::Service;
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceResponse;

use super::addresses::Addresses;
use super::protocols::Protocols;
use super::proxy_protocol::ProxyProtocol;
use super::shutdown::Shutdown;
use super::unsent::Budget;
use crate::http::server_limits::ServerLimits;

/// What answers requests: an actix-web application.
pub(crate) trait Answer:
    Service<Request, Response = ServiceResponse<BoxBody>, Error = Error, Future: 'static> + 'static
{
}

impl<S> Answer for S where
    S: Service<Request, Response = ServiceResponse<BoxBody>, Error = Error, Future: 'static> + 'static
{
}

/// What the connections of an HTTP thread share.
pub(super) struct Shared<S> {
    pub(super) service: Rc<S>,
    pub(super) config: ServiceConfig,
    pub(super) unsent: Rc<Budget>,
    pub(super) server: Served,
}

/// What the connections of a listener share, on all HTTP threads.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) protocols: Protocols,
    pub(crate) limits: ServerLimits,
    pub(crate) shutdown: Shutdown,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) proxy_protocol: Arc<ProxyProtocol>,
}
