//! What each HTTP thread serves its connections with.

use std::convert::Infallible;
use std::rc::Rc;

use actix_http::{Request, ServiceConfig};
use actix_service::{IntoServiceFactory, ServiceFactory, fn_factory, fn_service};
use actix_web::dev::AppConfig;

use super::limits::MAX_UNSENT;
use super::negotiate;
use super::shared::{Answer, Served, Shared};
use super::transport::Accepted;
use super::unsent::Budget;

thread_local! {
    /// One for all listeners of an HTTP thread.
    static UNSENT: Rc<Budget> = Budget::new(MAX_UNSENT);
}

/// Makes the service for a listener's connections of an HTTP thread, with a separate application.
pub(crate) fn factory<T, A, I, F>(application: A, server: Served) -> impl ServiceFactory<T, Config = ()>
where
    T: Accepted,
    A: Fn() -> I,
    I: IntoServiceFactory<F, Request>,
    F: ServiceFactory<Request, Config = AppConfig, InitError = (), Service: Answer>,
    F::Future: 'static,
{
    fn_factory(move || {
        let service = application().into_factory().new_service(AppConfig::default());
        let server = server.clone();
        async move {
            let shared = Rc::new(Shared {
                service: Rc::new(service.await?),
                config: ServiceConfig::default(),
                unsent: UNSENT.with(Rc::clone),
                server,
            });
            Ok::<_, ()>(fn_service(move |stream: T| {
                let shared = shared.clone();
                async move {
                    negotiate::serve(stream, &shared).await;
                    Ok::<_, Infallible>(())
                }
            }))
        }
    })
}
