//! What goes wrong, as an answer: `application/problem+json` (RFC 9457), with the word of [`Code`] in `code`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::error::{Code, Error};

/// An answer that says no.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    more: Option<Box<Map<String, Value>>>,
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

    /// As Git LFS clients read it.
    pub(crate) fn into_lfs(self) -> Response {
        let message = match &self.hint {
            Some(hint) => format!("{}; {hint}", self.detail),
            None => self.detail.clone(),
        };
        let mut body = self.more.as_deref().cloned().unwrap_or_default();
        body.insert("message".into(), json!(message));
        let mut response = (self.status, Json(Value::Object(body))).into_response();
        let lfs = HeaderValue::from_static(super::lfs::MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, lfs);
        self.adorn(&mut response);
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": format!("urn:git-latch:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        if let Value::Object(object) = &mut body {
            if let Some(hint) = &self.hint {
                object.insert("hint".into(), json!(hint));
            }
            object.extend(self.more.as_deref().cloned().unwrap_or_default());
        }
        let mut response = (self.status, Json(body)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        self.adorn(&mut response);
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
                "the store is away"
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
