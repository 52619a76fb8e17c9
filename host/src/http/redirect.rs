//! From HTTP to HTTPS.

use actix_web::http::header::LOCATION;
use actix_web::http::uri::Authority;
use actix_web::{HttpRequest, HttpResponse};

use super::forwarded;
use crate::dispatch::problem::{Problem, ProblemKind};

/// The port that an `https` URL without one means.
const HTTPS: u16 = 443;

/// Answers with the same URL in `https`, on this port.
pub(super) fn to_https(request: &HttpRequest, port: u16) -> Result<HttpResponse, Problem> {
    let authority = forwarded::host(request).and_then(|host| host.parse::<Authority>().ok());
    let Some(authority) = authority else {
        let detail = "The host serves HTTPS, and cannot redirect to it without the header `Host`.";
        return Err(Problem::new(ProblemKind::BadRequest, detail));
    };
    let (host, path) = (authority.host(), request.uri().path_and_query().map_or("/", |path| path.as_str()));
    // Such as `*`, which is no part of a URL.
    let path = if path.starts_with('/') { path } else { "/" };
    let location =
        if port == HTTPS { format!("https://{host}{path}") } else { format!("https://{host}:{port}{path}") };
    Ok(HttpResponse::PermanentRedirect().insert_header((LOCATION, location)).finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_url_stays_but_for_scheme_and_port() {
        let location = |host: &str, uri: &str, port| {
            let request = TestRequest::with_uri(uri).insert_header(("host", host)).to_http_request();
            let response = to_https(&request, port).ok()?;
            Some(response.headers().get(LOCATION)?.to_str().unwrap().to_owned())
        };
        assert_eq!(location("a.example", "/b?c=d", 443).as_deref(), Some("https://a.example/b?c=d"));
        assert_eq!(location("a.example:80", "/", 8443).as_deref(), Some("https://a.example:8443/"));
        assert_eq!(location("[::1]:80", "/%20", 443).as_deref(), Some("https://[::1]/%20"));
        assert_eq!(location("", "/", 443), None);
    }
}
