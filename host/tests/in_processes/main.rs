//! The tests of apps, with each app in a separate process: the files are those that test apps on threads of the host.

#![expect(clippy::duplicate_mod, reason = "each file of tests brings the harness")]

macro_rules! again {
    ($($file:literal $name:ident,)*) => {
        $(
            #[path = $file]
            mod $name;
        )*
    };
}

again! {
    "../actix.rs" actix,
    "../admission.rs" admission,
    "../axum.rs" axum,
    "../calls.rs" calls,
    "../cold.rs" cold,
    "../containment.rs" containment,
    "../control.rs" control,
    "../environment.rs" environment,
    "../events.rs" events,
    "../grpc.rs" grpc,
    "../http.rs" http,
    "../http_semantics.rs" http_semantics,
    "../lifecycle.rs" lifecycle,
    "../limits.rs" limits,
    "../ordinary.rs" ordinary,
    "../raw.rs" raw,
    "../reload.rs" reload,
    "../routes.rs" routes,
    "../rpc.rs" rpc,
    "../streams.rs" streams,
    "../trailers.rs" trailers,
    "../websocket.rs" websocket,
}
