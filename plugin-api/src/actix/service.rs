//! An actix-web application as a service.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::Request;
use actix_http::body::{BoxBody, MessageBody};
use actix_service::{IntoServiceFactory, Service as _, ServiceFactory};
use actix_web::dev::{AppConfig, ServiceResponse};
use futures_util::future::LocalBoxFuture;

use super::response::{self, ResponseBody};
use super::{request, upgrade};
use crate::tower::Body;

type Answer = actix_http::Response<BoxBody>;

/// What answers the requests of an `actix_web::App`. [`service`] makes it.
#[derive(Clone)]
pub struct Service(Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Answer>>);

/// An `actix_web::App` could not be made: one of its data factories has failed, or one of its services.
#[derive(Clone, Copy, Debug)]
pub struct InitError;

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a service or a data factory of the actix-web application failed to start; its log has the reason")
    }
}

impl std::error::Error for InitError {}

/// Makes a service of what the closure of `HttpServer::new` returns: an `actix_web::App`.
///
/// Each worker of the app makes one. What the workers have in common belongs into a `static`, such as a
/// [`LazyLock`](std::sync::LazyLock) of `web::Data`.
///
/// # Errors
/// See [`InitError`].
pub async fn service<I, S, B>(app: I) -> Result<Service, InitError>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = actix_web::Error>,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let service =
        app.into_factory().new_service(AppConfig::default()).await.map_err(|_reported| InitError)?;
    let service = Rc::new(service);
    Ok(Service(Rc::new(move |request| {
        let service = service.clone();
        Box::pin(async move {
            let answered = match poll_fn(|context| service.poll_ready(context)).await {
                Ok(()) => service.call(request).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(response) => response.map_into_boxed_body().into_parts().1.into(),
                // As actix-web's server does for an error that no middleware has answered.
                Err(error) => actix_web::HttpResponse::from_error(error).into(),
            }
        })
    })))
}

impl Service {
    /// Answers a request.
    pub(super) fn answer(&self, request: Request) -> LocalBoxFuture<'static, Answer> {
        (self.0)(request)
    }
}

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<ResponseBody>;
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        if let Some(connection) = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>() {
            return Box::pin(async move { Ok(upgrade::answer(&service, request, connection).await) });
        }
        let is_head = request.method() == http::Method::HEAD;
        let answer = request::convert(request).map(|request| service.answer(request));
        Box::pin(async move {
            Ok(match answer {
                Ok(answer) => response::convert(answer.await, is_head),
                Err(refused) => refused.into(),
            })
        })
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}
