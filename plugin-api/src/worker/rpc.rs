//! JSON-RPC methods of an app.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::{ErrorData, ErrorObject, code, method};
use atoll_protocol::Error;

/// The error of a JSON-RPC method or call.
///
/// ```
/// use atoll_plugin::RpcError;
///
/// let error = RpcError::new(7, "out of stock").with_data("teapots");
/// assert_eq!((error.code(), error.message()), (7, "out of stock"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RpcError(ErrorObject<'static>);

impl RpcError {
    /// An error with an app-defined code (JSON-RPC reserves -32768 to -32000) and a message.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self(ErrorObject { code, message: Cow::Owned(message.into()), data: None })
    }

    /// The parameters are invalid.
    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_PARAMS, message)
    }

    /// Adds machine-readable data; it is omitted if it does not serialize to JSON.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.0.data = serde_json::to_value(data).ok();
        self
    }

    /// The code.
    pub fn code(&self) -> i64 {
        self.0.code
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Machine-readable data.
    pub fn data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    pub(crate) fn into_object(self) -> ErrorObject<'static> {
        self.0
    }

    pub(crate) fn from_object(error: ErrorObject<'_>) -> Self {
        Self(ErrorObject { code: error.code, message: error.message.into_owned().into(), data: error.data })
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {})", self.0.message, self.0.code)
    }
}

impl std::error::Error for RpcError {}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        Self::new(code::HANDLER_FAILED, error.message()).with_data(ErrorData { status: error.status() })
    }
}

/// A JSON-RPC method: a function `Fn(P) -> Result<R, E>`, or an async one.
///
/// `P` is deserialized from the parameters, positional (an array) or named (an object): a struct accepts both. `E` is
/// [`RpcError`] or [`Error`]. `M` distinguishes the two kinds and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a JSON-RPC method",
    note = "expected `|params: P| Ok::<_, RpcError>(..)`, or an async function with that signature"
)]
pub trait RpcHandler<M>: Sized + 'static {
    #[doc(hidden)]
    fn boxed(self) -> BoxedMethod;
}

type RpcResult = Result<Box<RawValue>, RpcError>;

/// A method of any kind.
#[doc(hidden)]
pub struct BoxedMethod(Box<dyn Fn(&str) -> RpcStep>);

/// How far a method came when it was called.
pub(crate) enum RpcStep {
    Done(RpcResult),
    Waiting(LocalBoxFuture<'static, RpcResult>),
}

/// Marks methods that answer when they are called.
#[doc(hidden)]
#[derive(Debug)]
pub struct Immediate<P, R, E>(P, R, E);

/// Marks methods that answer with a future.
#[doc(hidden)]
#[derive(Debug)]
pub struct Eventual<P, R, E>(P, R, E);

impl<F, P, R, E> RpcHandler<Immediate<P, R, E>> for F
where
    F: Fn(P) -> Result<R, E> + 'static,
    P: DeserializeOwned,
    R: Serialize,
    E: Into<RpcError>,
{
    fn boxed(self) -> BoxedMethod {
        BoxedMethod(Box::new(move |params| RpcStep::Done(read(params).and_then(|p| written(self(p))))))
    }
}

impl<F, P, R, E> RpcHandler<Eventual<P, R, E>> for F
where
    F: AsyncFn(P) -> Result<R, E> + 'static,
    P: DeserializeOwned + 'static,
    R: Serialize,
    E: Into<RpcError>,
{
    fn boxed(self) -> BoxedMethod {
        let handler = Rc::new(self);
        BoxedMethod(Box::new(move |params| match read(params) {
            Ok(params) => {
                let handler = Rc::clone(&handler);
                RpcStep::Waiting(async move { written(handler(params).await) }.boxed_local())
            }
            Err(error) => RpcStep::Done(Err(error)),
        }))
    }
}

fn read<P: DeserializeOwned>(params: &str) -> Result<P, RpcError> {
    serde_json::from_str(params).map_err(|error| RpcError::invalid_params(error.to_string()))
}

fn written<R: Serialize, E: Into<RpcError>>(result: Result<R, E>) -> RpcResult {
    serde_json::value::to_raw_value(&result.map_err(E::into)?)
        .map_err(|error| RpcError::new(code::INTERNAL_ERROR, error.to_string()))
}

/// The methods of an application, by name.
#[derive(Default)]
pub(crate) struct Methods(HashMap<String, BoxedMethod>);

impl Methods {
    #[track_caller]
    pub(crate) fn add(&mut self, name: &str, handler: BoxedMethod) {
        assert!(
            !method::is_reserved(name),
            "the method name {name:?} is reserved for the protocol: choose another"
        );
        let before = self.0.insert(name.to_owned(), handler);
        assert!(before.is_none(), "duplicate method {name:?}");
    }

    /// Calls a method.
    pub(crate) fn call(&self, name: &str, params: &str) -> RpcStep {
        match self.0.get(name) {
            Some(BoxedMethod(function)) => function(params),
            None => {
                let error = RpcError::new(code::METHOD_NOT_FOUND, format!("unknown method {name}"));
                RpcStep::Done(Err(error))
            }
        }
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for BoxedMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxedMethod")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(methods: &Methods, name: &str, params: &str) -> Result<String, (i64, String)> {
        let result = match methods.call(name, params) {
            RpcStep::Done(result) => result,
            RpcStep::Waiting(future) => future.now_or_never().unwrap(),
        };
        result.map(|value| value.get().to_owned()).map_err(|error| (error.code(), error.message().to_owned()))
    }

    #[test]
    fn parameters_come_by_position_or_by_name() {
        #[derive(serde::Deserialize)]
        struct Pair {
            a: i64,
            b: i64,
        }
        let mut methods = Methods::default();
        methods.add("subtract", (|Pair { a, b }: Pair| Ok::<_, Error>(a - b)).boxed());
        methods.add("later", (async |(): ()| Err::<(), _>(RpcError::new(7, "no"))).boxed());
        assert_eq!(call(&methods, "subtract", "[5,3]"), Ok("2".to_owned()));
        assert_eq!(call(&methods, "subtract", r#"{"b":5,"a":3}"#), Ok("-2".to_owned()));
        assert_eq!(call(&methods, "subtract", "null").unwrap_err().0, code::INVALID_PARAMS);
        assert_eq!(call(&methods, "later", "null"), Err((7, "no".to_owned())));
        assert_eq!(call(&methods, "missing", "null").unwrap_err().0, code::METHOD_NOT_FOUND);
    }

    #[test]
    fn an_error_keeps_its_status() {
        let error = RpcError::from(Error::not_found("no such thing"));
        assert_eq!(error.to_string(), "no such thing (code -32000)");
        assert_eq!(error.data(), Some(&serde_json::json!({ "status": 404 })));
    }

    #[test]
    #[should_panic(expected = "the method name \"http\" is reserved for the protocol")]
    fn a_name_of_the_protocol_is_refused() {
        Methods::default().add("http", (|(): ()| Ok::<_, Error>(())).boxed());
    }
}
