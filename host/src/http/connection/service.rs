//! What each HTTP thread serves its connections with.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use actix_http::{Request, ServiceConfig};
use actix_service::{IntoServiceFactory, ServiceFactory, fn_factory, fn_service};
use actix_web::dev::AppConfig;
use tokio::net::TcpStream;

use super::addresses::Addresses;
use super::limits::MAX_UNSENT;
use super::negotiate;
use super::protocols::Protocols;
use super::shared::{Answer, Shared};
use super::shutdown::Shutdown;
use super::unsent::Budget;
use crate::http::server_limits::ServerLimits;

/// Makes the service for the connections of an HTTP thread, with a separate application.
pub(crate) fn factory<A, I, F>(
    application: A,
    protocols: Protocols,
    limits: ServerLimits,
    shutdown: Shutdown,
    addresses: Arc<Addresses>,
) -> impl ServiceFactory<TcpStream, Config = ()>
where
    A: Fn() -> I,
    I: IntoServiceFactory<F, Request>,
    F: ServiceFactory<Request, Config = AppConfig, InitError = (), Service: Answer>,
    F::Future: 'static,
{
    fn_factory(move || {
        let service = application().into_factory().new_service(AppConfig::default());
        let (protocols, shutdown, addresses) = (protocols.clone(), shutdown.clone(), addresses.clone());
        async move {
            let shared = Rc::new(Shared {
                service: Rc::new(service.await?),
                config: ServiceConfig::default(),
                protocols,
                limits,
                shutdown,
                unsent: Budget::new(MAX_UNSENT),
                addresses,
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
