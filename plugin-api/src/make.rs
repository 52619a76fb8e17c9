//! What the function that [`export_app!`](crate::export_app) is given may be: how an app is made of it.
//!
//! What the function returns is of some kind. A kind is a trait, implemented for as many references to [`Make`] as say
//! its place: the compiler takes the first that fits when `export_app!` calls `make` on the most references.

use std::fmt::Display;
use std::marker::PhantomData;

use crate::abi::Exit;
use crate::abi::port::Port;
use crate::protocol::Start;
use crate::worker::app::App;
use atoll_protocol::Error;

/// A function that makes an app: `fn() -> R`, `fn(Start) -> R`, or `fn(Start, Port) -> Exit`, a `main` that has the port
/// to itself. `P`, its parameters, only tells these apart; the compiler finds it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be exported as an app",
    label = "not an app function",
    note = "expected `fn() -> Application`, optionally with a `Start` parameter",
    note = "with the feature `tower`, it may be `async` and return a `tower` service such as an `axum::Router`"
)]
pub trait Function<P>: Clone + 'static {
    /// What it makes.
    type Made;

    fn call(&self, start: &Start) -> Self::Made;
}

impl<F: Fn() -> R + Clone + 'static, R> Function<()> for F {
    type Made = R;

    fn call(&self, _: &Start) -> R {
        self()
    }
}

impl<F: Fn(Start) -> R + Clone + 'static, R> Function<(Start,)> for F {
    type Made = R;

    fn call(&self, start: &Start) -> R {
        self(start.clone())
    }
}

impl<F: Fn(Start, Port) -> Exit + Clone + 'static> Function<(Start, Port)> for F {
    type Made = Main<F>;

    fn call(&self, _: &Start) -> Main<F> {
        Main(self.clone())
    }
}

/// A function with these parameters.
#[derive(Clone, Copy, Debug)]
pub struct Make<F, P> {
    function: F,
    parameters: PhantomData<P>,
}

impl<F: Function<P>, P> Make<F, P> {
    pub fn new(function: F) -> Self {
        Self { function, parameters: PhantomData }
    }
}

/// An `Application`, or another [`App`].
pub trait MakeApp {
    fn make(&self, start: &Start) -> Box<dyn App>;
}

impl<F: Function<P, Made: App + 'static>, P> MakeApp for &&&&&&&&&Make<F, P> {
    fn make(&self, start: &Start) -> Box<dyn App> {
        Box::new(self.function.call(start))
    }
}

/// `Result<Application, E>`, or another [`App`] than an `Application`.
pub trait TryMakeApp {
    fn make(&self, start: &Start) -> Box<dyn App>;
}

impl<F, P, A, E> TryMakeApp for &&&&&&&&Make<F, P>
where
    F: Function<P, Made = Result<A, E>>,
    A: App + 'static,
    E: Display,
{
    fn make(&self, start: &Start) -> Box<dyn App> {
        match self.function.call(start) {
            Ok(app) => Box::new(app),
            Err(error) => Box::new(Failed(Error::internal(error))),
        }
    }
}

/// An app that could not be made.
struct Failed(Error);

impl App for Failed {
    fn start(&mut self, _: &Start) -> Result<(), Error> {
        Err(self.0.clone())
    }

    fn run(self: Box<Self>, _: &Start, _: Port) -> Exit {
        Exit::Returned
    }
}

/// A `main` as an app.
#[derive(Clone, Copy, Debug)]
pub struct Main<F>(F);

impl<F: Fn(Start, Port) -> Exit> App for Main<F> {
    fn start(&mut self, _: &Start) -> Result<(), Error> {
        Ok(())
    }

    fn run(self: Box<Self>, start: &Start, port: Port) -> Exit {
        (self.0)(start.clone(), port)
    }
}

/// What an app's function may return. Every type that [`export_app!`](crate::export_app) makes an app of is one, and none
/// besides; it is only asked for of those that it cannot, so that the compiler says this of them:
#[cfg_attr(
    not(feature = "tower"),
    diagnostic::on_unimplemented(
        message = "an app function cannot return `{Self}`",
        label = "the exported function returns `{Self}`",
        note = "expected `Application`, or `Result<Application, E>` where `E` implements `Display`",
        note = "to return an `axum::Router` or another `tower` service, enable the feature `tower` of `atoll-plugin`"
    )
)]
#[cfg_attr(
    feature = "tower",
    diagnostic::on_unimplemented(
        message = "an app function cannot return `{Self}`",
        label = "the exported function returns `{Self}`",
        note = "expected `Application`, or `Result<Application, E>` where `E` implements `Display`",
        note = "or a `tower` service such as an `axum::Router`, or a `Result` of one; the function may then be `async`"
    )
)]
pub trait Returned {}

/// All other functions, in the last place: what they return is not [`Returned`].
pub trait MakeNothing {
    type Made;

    fn make(self, start: &Start) -> Box<dyn App>
    where
        Self::Made: Returned;
}

impl<F: Function<P>, P> MakeNothing for Make<F, P> {
    type Made = F::Made;

    fn make(self, _: &Start) -> Box<dyn App>
    where
        F::Made: Returned,
    {
        unreachable!("no type is `Returned`")
    }
}

#[cfg(feature = "test")]
pub use any::AnyFunction;

/// Functions that make an app of some kind, where the kind is found by the compiler as a parameter: in a function, unlike
/// in a macro, what a type is cannot be tried.
#[cfg(feature = "test")]
mod any {
    use std::fmt::Display;

    use super::{Function, Make, MakeApp, TryMakeApp};
    use crate::protocol::Start;
    use crate::worker::app::App;

    /// What [`export_app!`](crate::export_app) takes. `K`, the kind, only tells the implementations apart.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` cannot be exported as an app",
        label = "not an app function",
        note = "expected `fn() -> Application`, optionally with a `Start` parameter",
        note = "with the feature `tower`, it may be `async` and return a `tower` service such as an `axum::Router`"
    )]
    pub trait AnyFunction<K>: Clone + 'static {
        fn make(&self, start: &Start) -> Box<dyn App>;
    }

    /// `fn() -> Application`.
    #[derive(Debug)]
    pub struct Plain;

    /// `fn() -> Result<Application, E>`.
    #[derive(Debug)]
    pub struct Fallible;

    impl<F, P> AnyFunction<(P, Plain)> for F
    where
        F: Function<P, Made: App + 'static>,
    {
        fn make(&self, start: &Start) -> Box<dyn App> {
            MakeApp::make(&&&&&&&&&&Make::new(self.clone()), start)
        }
    }

    impl<F, P, A, E> AnyFunction<(P, Fallible)> for F
    where
        F: Function<P, Made = Result<A, E>>,
        A: App + 'static,
        E: Display,
    {
        fn make(&self, start: &Start) -> Box<dyn App> {
            TryMakeApp::make(&&&&&&&&&Make::new(self.clone()), start)
        }
    }
}

#[cfg(all(feature = "test", feature = "tower"))]
mod any_service {
    use std::fmt::Display;

    use super::{
        AnyFunction, Function, Make, MakeService, MakeServiceLater, TryMakeService, TryMakeServiceLater,
    };
    use crate::protocol::Start;
    use crate::tower::HttpService;
    use crate::worker::app::App;

    /// `fn() -> Router`.
    #[derive(Debug)]
    pub struct Plain;

    /// `fn() -> Result<Router, E>`.
    #[derive(Debug)]
    pub struct Fallible;

    /// `async fn() -> Router`.
    #[derive(Debug)]
    pub struct Later;

    /// `async fn() -> Result<Router, E>`.
    #[derive(Debug)]
    pub struct FallibleLater;

    impl<F, P> AnyFunction<(P, Plain)> for F
    where
        F: Function<P, Made: HttpService>,
    {
        fn make(&self, start: &Start) -> Box<dyn App> {
            MakeService::make(&&&&Make::new(self.clone()), start)
        }
    }

    impl<F, P, S, E> AnyFunction<(P, Fallible)> for F
    where
        F: Function<P, Made = Result<S, E>>,
        S: HttpService,
        E: Display,
    {
        fn make(&self, start: &Start) -> Box<dyn App> {
            TryMakeService::make(&&&Make::new(self.clone()), start)
        }
    }

    impl<F, P> AnyFunction<(P, Later)> for F
    where
        F: Function<P, Made: Future<Output: HttpService>>,
    {
        fn make(&self, start: &Start) -> Box<dyn App> {
            MakeServiceLater::make(&&Make::new(self.clone()), start)
        }
    }

    impl<F, P, S, E> AnyFunction<(P, FallibleLater)> for F
    where
        F: Function<P, Made: Future<Output = Result<S, E>>>,
        S: HttpService,
        E: Display,
    {
        fn make(&self, start: &Start) -> Box<dyn App> {
            TryMakeServiceLater::make(&Make::new(self.clone()), start)
        }
    }
}

#[cfg(feature = "tower")]
pub use services::*;

/// Functions that make a `tower` service; they run within the worker's runtime.
#[cfg(feature = "tower")]
mod services {
    use std::fmt::Display;
    use std::future::ready;

    use futures_util::{FutureExt, TryFutureExt};

    use super::{Function, Make};
    use crate::protocol::Start;
    use crate::tower::{HttpService, SendHttpService, ServiceApp};
    use crate::worker::app::App;
    use atoll_protocol::Error;

    /// Defines the four kinds of functions whose services are `$Service`s, with the names and places of the kinds, and the
    /// constructor of their app.
    macro_rules! service_kinds {
        (
            $Service:ident, $app:ident,
            $Plain:ident for $plain:ty,
            $Fallible:ident for $fallible:ty,
            $Later:ident for $later:ty,
            $FallibleLater:ident for $fallible_later:ty,
        ) => {
            /// A `Router`, or another service.
            pub trait $Plain {
                fn make(&self, start: &Start) -> Box<dyn App>;
            }

            impl<F: Function<P, Made: $Service>, P> $Plain for $plain {
                fn make(&self, start: &Start) -> Box<dyn App> {
                    let (function, start) = (self.function.clone(), start.clone());
                    Box::new(ServiceApp::$app(move || ready(Ok(function.call(&start)))))
                }
            }

            /// `Result<Router, E>`.
            pub trait $Fallible {
                fn make(&self, start: &Start) -> Box<dyn App>;
            }

            impl<F, P, S, E> $Fallible for $fallible
            where
                F: Function<P, Made = Result<S, E>>,
                S: $Service,
                E: Display,
            {
                fn make(&self, start: &Start) -> Box<dyn App> {
                    let (function, start) = (self.function.clone(), start.clone());
                    Box::new(ServiceApp::$app(move || ready(function.call(&start).map_err(Error::internal))))
                }
            }

            /// A `Router` in a future: of an `async fn`.
            pub trait $Later {
                fn make(&self, start: &Start) -> Box<dyn App>;
            }

            impl<F: Function<P, Made: Future<Output: $Service>>, P> $Later for $later {
                fn make(&self, start: &Start) -> Box<dyn App> {
                    let (function, start) = (self.function.clone(), start.clone());
                    Box::new(ServiceApp::$app(move || function.call(&start).map(Ok)))
                }
            }

            /// `Result<Router, E>` in a future.
            pub trait $FallibleLater {
                fn make(&self, start: &Start) -> Box<dyn App>;
            }

            impl<F, P, S, E> $FallibleLater for $fallible_later
            where
                F: Function<P, Made: Future<Output = Result<S, E>>>,
                S: $Service,
                E: Display,
            {
                fn make(&self, start: &Start) -> Box<dyn App> {
                    let (function, start) = (self.function.clone(), start.clone());
                    Box::new(ServiceApp::$app(move || function.call(&start).map_err(Error::internal)))
                }
            }
        };
    }

    service_kinds! {
        SendHttpService, for_any_thread,
        MakeSendService for &&&&&&&Make<F, P>,
        TryMakeSendService for &&&&&&Make<F, P>,
        MakeSendServiceLater for &&&&&Make<F, P>,
        TryMakeSendServiceLater for &&&&Make<F, P>,
    }

    service_kinds! {
        HttpService, new,
        MakeService for &&&Make<F, P>,
        TryMakeService for &&Make<F, P>,
        MakeServiceLater for &Make<F, P>,
        TryMakeServiceLater for Make<F, P>,
    }
}
