//! What each HTTP thread serves its connections with.

use std::convert::Infallible;
use std::rc::Rc;

use actix_http::{Request, ServiceConfig};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory, fn_service};
use actix_web::Error;
use actix_web::body::BoxBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use tokio::net::TcpStream;

use super::limits::MAX_UNSENT;
use super::negotiate::{self, Protocols};
use super::shutdown::Shutdown;
use super::unsent::Budget;

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
    pub(super) protocols: Protocols,
    pub(super) shutdown: Shutdown,
    pub(super) unsent: Rc<Budget>,
}

/// Makes the service for the connections of an HTTP thread, with an application of its own.
pub(crate) fn factory<A, I, F>(
    application: A,
    protocols: Protocols,
    shutdown: Shutdown,
) -> impl ServiceFactory<TcpStream, Config = ()>
where
    A: Fn() -> I,
    I: IntoServiceFactory<F, Request>,
    F: ServiceFactory<Request, Config = AppConfig, InitError = (), Service: Answer>,
    F::Future: 'static,
{
    fn_factory(move || {
        let service = application().into_factory().new_service(AppConfig::default());
        let (protocols, shutdown) = (protocols.clone(), shutdown.clone());
        async move {
            let shared = Rc::new(Shared {
                service: Rc::new(service.await?),
                config: ServiceConfig::default(),
                protocols,
                shutdown,
                unsent: Budget::new(MAX_UNSENT),
            });
            Ok::<_, ()>(fn_service(move |stream| {
                let shared = shared.clone();
                async move {
                    negotiate::serve(stream, &shared).await;
                    Ok::<_, Infallible>(())
                }
            }))
        }
    })
}
