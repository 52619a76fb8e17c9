//! The front: it takes requests from HTTP and hands them to an app by its name, as Atoll's host does.

use std::io;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

/// The apps behind a front; each of the front's threads has one of these.
pub trait Apps: 'static {
    /// The answer of this app to a request for `path`, which is the path below the app.
    fn answer(
        &self,
        app: &str,
        path: &str,
        request: &HttpRequest,
    ) -> impl Future<Output = anyhow::Result<HttpResponse>>;
}

/// The app that is measured, and those that are there to be started first.
fn is_app(name: &str) -> bool {
    name == "hello" || name.starts_with("cold-")
}

async fn dispatch<A: Apps>(request: HttpRequest, apps: web::Data<A>) -> HttpResponse {
    let app = request.match_info().get("app").unwrap_or_default();
    if !is_app(app) {
        return HttpResponse::NotFound().finish();
    }
    let path = request.path().get("/apps/".len() + app.len()..).unwrap_or_default();
    apps.answer(app, path, &request).await.unwrap_or_else(|error| {
        eprintln!("{app}: {error:#}");
        HttpResponse::BadGateway().finish()
    })
}

/// An argument of this program.
///
/// # Errors
/// It was started with fewer.
pub fn argument(place: usize) -> io::Result<String> {
    std::env::args().nth(place).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "started without all of its arguments; see its source")
    })
}

/// Serves apps at an address until a signal ends it, with as many threads as actix-web uses by itself.
///
/// # Errors
/// The address cannot be listened at.
pub fn serve<A: Apps>(address: &str, apps: impl Fn() -> A + Clone + Send + 'static) -> io::Result<()> {
    let app = move || {
        App::new()
            .app_data(web::Data::new(apps()))
            .route("/apps/{app}/{path:.*}", web::get().to(dispatch::<A>))
    };
    actix_web::rt::System::new().block_on(HttpServer::new(app).bind(address)?.run())
}
