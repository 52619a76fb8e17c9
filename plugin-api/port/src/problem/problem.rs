//! One problem of one request: RFC 9457 problem details.

use std::time::Duration;

use atoll_protocol::ErrorObject;
use serde_json::json;

use super::kind::ProblemKind;
use crate::timing::Taken;

/// One problem of one request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}: {detail}", .kind.title())]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    retry_after: Option<Duration>,
    /// The app's error, for other apps: clients do not get all of it.
    app_error: Option<Box<ErrorObject<'static>>>,
    /// Who had the request, if a worker did.
    taken: Option<Box<Taken>>,
}

impl Problem {
    /// A problem, with what happened this time and what to do.
    ///
    /// ```
    /// use atoll_port::problem::{Problem, ProblemKind};
    /// let problem = Problem::new(ProblemKind::UnknownApp, "unknown app `helo`");
    /// assert_eq!(problem.kind().status(), 404);
    /// assert!(problem.to_json("7").contains(r#""type":"urn:atoll:problem:unknown-app""#));
    /// ```
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, app_error: None, taken: None }
    }

    /// Sets when to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// With the app's own words.
    #[must_use]
    pub fn with_app_error(self, app_error: Option<ErrorObject<'static>>) -> Self {
        Self { app_error: app_error.map(Box::new), ..self }
    }

    /// With who had the request.
    #[must_use]
    pub fn taken_by(self, taken: Taken) -> Self {
        Self { taken: Some(Box::new(taken)), ..self }
    }

    /// Who had the request, if a worker did.
    pub fn taken(&self) -> Option<Taken> {
        self.taken.as_deref().copied()
    }

    /// The app's own words, if it is the app that failed.
    pub fn app_error(&self) -> Option<&ErrorObject<'static>> {
        self.app_error.as_deref()
    }

    /// The app's own words, if it is the app that failed.
    pub fn into_said(self) -> Option<ErrorObject<'static>> {
        self.app_error.map(|app_error| *app_error)
    }

    /// The kind of problem.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// What happened this time.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What happened, for the operator: with the app's own words.
    pub fn reason(&self) -> String {
        match &self.app_error {
            Some(app_error) => format!("{}: {}", self.detail, app_error.message),
            None => self.detail.clone(),
        }
    }

    /// When it is worth trying again.
    pub fn retries_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The value of `Retry-After`: whole seconds, at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_secs_f64().ceil().max(1.0) as u64)
    }

    /// The problem as `application/problem+json`.
    pub fn to_json(&self, request_id: &str) -> String {
        json!({
            "type": format!("urn:atoll:problem:{}", self.kind.slug()),
            "title": self.kind.title(),
            "status": self.kind.status(),
            "detail": self.detail,
            "request_id": request_id,
        })
        .to_string()
    }

    /// The problem as a page, for a browser.
    pub fn to_html(&self, request_id: &str) -> String {
        format!(
            "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
             <title>{status} {title}</title>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;margin:10vh auto;max-width:40rem;padding:0 1rem}}\
             h1{{font-size:1.4rem}}pre{{white-space:pre-wrap;font:inherit}}small{{color:#777}}</style>\
             <h1>{status} · {title}</h1><pre>{detail}</pre><small>request {request_id}</small>\n",
            status = self.kind.status(),
            title = escape(self.kind.title()),
            detail = escape(&self.detail),
            request_id = escape(request_id),
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_nothing_but_text() {
        let problem = Problem::new(ProblemKind::UnknownApp, "<script>alert(1)</script>");
        let page = problem.to_html("\"><b>");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>") && !page.contains("<b>"));
    }

    #[test]
    fn retry_after_is_in_whole_seconds() {
        let problem = Problem::new(ProblemKind::Overloaded, "").retry_after(Duration::from_millis(1200));
        assert_eq!(problem.retry_after_seconds(), Some(2));
        assert_eq!(problem.retry_after(Duration::ZERO).retry_after_seconds(), Some(1));
    }
}
