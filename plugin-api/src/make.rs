//! What the function that [`export_app!`](crate::export_app) is given may be: how an app is made of it.
//!
//! A kind of function is a trait, implemented for as many references to [`Make`] as say its place: the compiler takes
//! the first that fits when `export_app!` calls `make` on the most references.

use std::fmt::Display;

use crate::abi::Exit;
use crate::error::Error;
use crate::export::App;
use crate::port::Port;
use crate::protocol::Start;

/// The function.
#[derive(Clone, Copy, Debug)]
pub struct Make<F>(pub F);

/// `fn() -> Application`, or another [`App`].
pub trait MakeApp {
    fn make(&self) -> Box<dyn App>;
}

impl<F: Fn() -> A, A: App + 'static> MakeApp for &&&&&&Make<F> {
    fn make(&self) -> Box<dyn App> {
        Box::new((self.0)())
    }
}

/// `fn() -> Result<Application, E>`, or another [`App`] than an `Application`.
pub trait TryMakeApp {
    fn make(&self) -> Box<dyn App>;
}

impl<F: Fn() -> Result<A, E>, A: App + 'static, E: Display> TryMakeApp for &&&&&Make<F> {
    fn make(&self) -> Box<dyn App> {
        match (self.0)() {
            Ok(app) => Box::new(app),
            Err(error) => Box::new(Failed(Error::internal(error))),
        }
    }
}

/// `fn(Start, Port) -> Exit`: a `main` that has the port to itself.
pub trait MakeMain {
    fn make(&self) -> Box<dyn App>;
}

impl<F: Fn(Start, Port) -> Exit + Copy + 'static> MakeMain for &&&&Make<F> {
    fn make(&self) -> Box<dyn App> {
        Box::new(Main(self.0))
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

struct Main<F>(F);

impl<F: Fn(Start, Port) -> Exit> App for Main<F> {
    fn start(&mut self, _: &Start) -> Result<(), Error> {
        Ok(())
    }

    fn run(self: Box<Self>, start: &Start, port: Port) -> Exit {
        (self.0)(start.clone(), port)
    }
}

#[cfg(feature = "tower")]
pub use services::{MakeService, MakeServiceLater, TryMakeService, TryMakeServiceLater};

/// Functions that make a `tower` service; they run within the worker's runtime.
#[cfg(feature = "tower")]
mod services {
    use std::fmt::Display;

    use super::Make;
    use crate::error::Error;
    use crate::export::App;
    use crate::tower::{HttpService, ServiceApp};

    /// `fn() -> Router`, or another service.
    pub trait MakeService {
        fn make(&self) -> Box<dyn App>;
    }

    impl<F: Fn() -> S + Copy + 'static, S: HttpService> MakeService for &&&Make<F> {
        fn make(&self) -> Box<dyn App> {
            let make = self.0;
            Box::new(ServiceApp::new(async move || Ok(make())))
        }
    }

    /// `fn() -> Result<Router, E>`.
    pub trait TryMakeService {
        fn make(&self) -> Box<dyn App>;
    }

    impl<F: Fn() -> Result<S, E> + Copy + 'static, S: HttpService, E: Display> TryMakeService for &&Make<F> {
        fn make(&self) -> Box<dyn App> {
            let make = self.0;
            Box::new(ServiceApp::new(async move || make().map_err(Error::internal)))
        }
    }

    /// `async fn() -> Router`.
    pub trait MakeServiceLater {
        fn make(&self) -> Box<dyn App>;
    }

    impl<F: AsyncFn() -> S + Copy + 'static, S: HttpService> MakeServiceLater for &Make<F> {
        fn make(&self) -> Box<dyn App> {
            let make = self.0;
            Box::new(ServiceApp::new(async move || Ok(make().await)))
        }
    }

    /// `async fn() -> Result<Router, E>`.
    pub trait TryMakeServiceLater {
        fn make(&self) -> Box<dyn App>;
    }

    impl<F: AsyncFn() -> Result<S, E> + Copy + 'static, S: HttpService, E: Display> TryMakeServiceLater
        for Make<F>
    {
        fn make(&self) -> Box<dyn App> {
            let make = self.0;
            Box::new(ServiceApp::new(async move || make().await.map_err(Error::internal)))
        }
    }
}
