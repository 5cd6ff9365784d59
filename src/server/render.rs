//! What says no becomes an answer: in one layer, outside of everything that can say it.
//!
//! A [`Problem`] travels as an extension of a response without a body. Who reads it is known from the address: Git LFS
//! clients have a form of their own, everybody else gets `application/problem+json` (RFC 9457).

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::rules::error::Code;

/// Where requests of Git LFS clients are led to.
pub(super) const LFS: &str = "/-/lfs/";
/// The type of what Git LFS clients send and read.
pub(super) const LFS_TYPE: &str = "application/vnd.git-lfs+json";

/// Gives problems their form.
pub(super) async fn problems(request: Request, next: Next) -> Response {
    let is_lfs = request.uri().path().starts_with(LFS);
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let (kind, body) = if is_lfs {
        *response.status_mut() = for_lfs(&problem);
        (LFS_TYPE, lfs(problem))
    } else {
        ("application/problem+json", standard(problem))
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(Value::Object(body).to_string());
    response
}

/// Clients switch the verification off for ever when it is answered 404.
fn for_lfs(problem: &Problem) -> StatusCode {
    if problem.status == StatusCode::NOT_FOUND && problem.code == Code::NotARepository.as_str() {
        return StatusCode::FORBIDDEN;
    }
    problem.status
}

pub(super) fn standard(problem: Problem) -> Map<String, Value> {
    let mut body = Map::new();
    for (key, value) in [
        ("type", json!(format!("urn:git-latch:{}", problem.code))),
        (
            "title",
            json!(problem.status.canonical_reason().unwrap_or("Error")),
        ),
        ("status", json!(problem.status.as_u16())),
        ("detail", json!(problem.detail)),
        ("code", json!(problem.code)),
    ] {
        body.insert(key.into(), value);
    }
    if let Some(hint) = problem.hint {
        body.insert("hint".into(), json!(hint));
    }
    body.extend(problem.more.map(|more| *more).unwrap_or_default());
    body
}

fn lfs(problem: Problem) -> Map<String, Value> {
    let message = match problem.hint {
        Some(hint) => format!("{}; {hint}", problem.detail),
        None => problem.detail,
    };
    let mut body = problem.more.map(|more| *more).unwrap_or_default();
    body.insert("message".into(), json!(message));
    body
}
