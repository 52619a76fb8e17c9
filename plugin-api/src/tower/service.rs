//! What can be an app: a service of HTTP requests.

use std::future::poll_fn;

use http::{Request, Response};
use tower_service::Service;

use super::body::Body;

/// Any error.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A service that can be an app: it takes requests with a [`Body`], as an `axum::Router` does.
///
/// It is implemented for all that can; there is no need to name it.
pub trait HttpService: Clone + 'static {
    /// The body of its responses.
    type ResponseBody: http_body::Body<Error: Into<BoxError>> + 'static;

    /// Waits until it is ready, and answers a request.
    #[doc(hidden)]
    fn answer(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Self::ResponseBody>, BoxError>> + 'static;
}

/// A service that can answer on any thread.
pub trait SendHttpService: HttpService<ResponseBody: Send> + Send {
    /// As [`answer`](HttpService::answer).
    #[doc(hidden)]
    fn answer_on_any_thread(
        self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Self::ResponseBody>, BoxError>> + Send + 'static;
}

impl<S, B> SendHttpService for S
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    S::Error: Send,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
{
    async fn answer_on_any_thread(mut self, request: Request<Body>) -> Result<Response<B>, BoxError> {
        poll_fn(|context| self.poll_ready(context)).await.map_err(Into::into)?;
        self.call(request).await.map_err(Into::into)
    }
}

impl<S, B> HttpService for S
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>> + Clone + 'static,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    type ResponseBody = B;

    async fn answer(mut self, request: Request<Body>) -> Result<Response<B>, BoxError> {
        poll_fn(|context| self.poll_ready(context)).await.map_err(Into::into)?;
        self.call(request).await.map_err(Into::into)
    }
}
