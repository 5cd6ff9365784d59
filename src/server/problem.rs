//! What goes wrong, with the status and the word of [`Code`] that clients are told. Its form is given by `render`.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::rules::error::{Code, Error};

/// An answer that says no.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(super) hint: Option<String>,
    retry_after: Option<Duration>,
    pub(super) more: Option<Box<Map<String, Value>>>,
}

/// Seconds after which it may be worth while to ask again.
const SOON: Duration = Duration::from_secs(1);

impl Problem {
    pub(crate) fn new(status: StatusCode, code: Code, detail: impl Into<String>) -> Self {
        Problem {
            status,
            code: code.as_str(),
            detail: detail.into(),
            hint: None,
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(SOON),
            more: None,
        }
    }

    /// With a status of its own for a code that usually has another.
    pub(crate) fn of(code: Code, detail: impl Into<String>) -> Self {
        Self::new(status_of(code), code, detail)
    }

    pub(crate) fn bad_usage(detail: impl Into<String>) -> Self {
        Self::of(Code::BadUsage, detail)
    }

    /// There is nothing under that name.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotHeld, detail)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with(mut self, key: &str, value: impl serde::Serialize) -> Self {
        let more = self.more.get_or_insert_default();
        more.insert(key.to_owned(), json!(value));
        self
    }

    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The answer's headers besides its type.
    fn adorn(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().max(1);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let ask = HeaderValue::from_static("Basic realm=\"git-latch\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, ask.clone());
            headers.insert("lfs-authenticate", ask);
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        self.adorn(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Held | Code::Unpushed | Code::Stale | Code::Required => StatusCode::CONFLICT,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::Lost | Code::NotHeld | Code::NotARepository => StatusCode::NOT_FOUND,
        Code::BadUsage | Code::BadPath | Code::BadPolicy | Code::Unsupported => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::NoIdentity => StatusCode::UNAUTHORIZED,
        // The store is away, or says no: the client has done nothing wrong.
        Code::Busy | Code::Unreachable | Code::Refused | Code::Unknown | Code::Io => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let mut detail = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            detail = format!("{detail}: {cause}");
            source = cause.source();
        }
        let mut problem = Problem::of(error.code(), detail);
        if problem.status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::warn!(
                code = problem.code,
                error = problem.detail,
                "the store is unavailable"
            );
        }
        problem.hint = match error.code() {
            // Advice for a command line is none for a client.
            Code::BadUsage | Code::BadPath => None,
            _ => error.hint(),
        };
        problem
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Problem::from(&error)
    }
}
