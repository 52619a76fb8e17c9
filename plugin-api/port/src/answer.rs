//! What a worker answered: a result, or why there is none.

use atoll_protocol::abi::Message;
use atoll_protocol::{ErrorObject, Head, Header, HttpResponse, Incoming};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::reply_queue::WorkerGone;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// The worker ended first.
    #[error(transparent)]
    WorkerGone(#[from] WorkerGone),
    /// The app answered with an error.
    #[error("{} (code {})", .0.message, .0.code)]
    Failed(ErrorObject<'static>),
    /// The answer is not what the protocol says.
    #[error("malformed response from the app: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The answer refers to a buffer that did not come along.
    #[error("the app's response refers to buffer {0}, which is missing")]
    NoBuffer(usize),
    /// The answer has more headers than its app may send.
    #[error("the app's response head has {size} bytes, more than head_limit = {limit}")]
    HeadTooLarge {
        /// The bytes of its headers.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A stream began before the answer.
    #[error("the app sent a body before its response head")]
    NoHead,
}

/// The result of an answer, unparsed; it borrows from the answer's text.
///
/// # Errors
/// [`AnswerError::Failed`] and [`AnswerError::Malformed`].
pub fn raw_result(json: &[u8]) -> Result<&RawValue, AnswerError> {
    let incoming: Incoming<'_> = serde_json::from_slice(json)?;
    if let Some(ErrorObject { code, message, data }) = incoming.error {
        return Err(AnswerError::Failed(ErrorObject { code, message: message.into_owned().into(), data }));
    }
    Ok(incoming.result.unwrap_or(RawValue::NULL))
}

/// The answer to an HTTP request; it borrows from the answer's text.
///
/// # Errors
/// [`AnswerError::Failed`] and [`AnswerError::Malformed`].
pub fn http(json: &[u8]) -> Result<HttpResponse<'_>, AnswerError> {
    if let Some(Head::Result { result, .. }) = Head::of(json)
        && let Ok(text) = std::str::from_utf8(result)
        && let Ok(response) = HttpResponse::parse(text)
    {
        return Ok(response);
    }
    Ok(HttpResponse::parse(raw_result(json)?.get())?)
}

/// Checks the size of an answer's head, whose message has so many bytes.
///
/// # Errors
/// [`AnswerError::HeadTooLarge`].
pub fn check_head(head: &HttpResponse<'_>, bytes: usize, limit: usize) -> Result<(), AnswerError> {
    // A message is larger than what it holds.
    if bytes <= limit {
        return Ok(());
    }
    let size = size(&head.headers);
    if size > limit { Err(AnswerError::HeadTooLarge { size, limit }) } else { Ok(()) }
}

/// How many bytes headers have as in HTTP/1.1: with a colon, a space, and the end of the line.
pub(crate) fn size(headers: &[Header<'_>]) -> usize {
    headers.iter().map(|Header(name, value)| name.len() + value.len() + 4).sum()
}

/// The result of an answer.
///
/// # Errors
/// See [`AnswerError`].
pub fn result<T: DeserializeOwned>(completion: Result<Message, WorkerGone>) -> Result<T, AnswerError> {
    let message = completion?;
    Ok(serde_json::from_str(raw_result(&message.json)?.get())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_may_be_as_large_as_its_limit() {
        let head = HttpResponse {
            status: 200,
            headers: vec![Header::new("abc", "def"), Header::new("g", "")],
            body: None,
        };
        let bytes = head.message(1).len();
        assert!(check_head(&head, bytes, 15).is_ok());
        let error = check_head(&head, bytes, 14).unwrap_err();
        assert!(matches!(error, AnswerError::HeadTooLarge { size: 15, limit: 14 }));
    }
}
