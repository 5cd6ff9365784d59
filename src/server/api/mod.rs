//! The HTTP API: locks, sessions, events, history. Its document is generated from these functions.

pub(crate) mod events;
pub(crate) mod history;
pub(crate) mod locks;
pub(crate) mod messages;
pub(crate) mod read;
mod refusals;
pub(crate) mod schema;
pub(crate) mod sessions;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::Shared;
use super::problem::Problem;
use crate::rules::error::Code;
use crate::rules::path::{Claim, Key, Kind, RepoPath};

/// The routes below `/api/v1/repos/{repo}/-`.
pub(crate) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(read::list, locks::lock))
        .routes(routes!(read::one, locks::unlock))
        .routes(routes!(locks::renew))
        .routes(routes!(sessions::begin))
        .routes(routes!(sessions::heartbeat))
        .routes(routes!(sessions::end))
        .routes(routes!(events::stream))
        .routes(routes!(history::list))
}

/// A JSON body, and nothing else in it; an empty one is what the type is without anything said.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        parse(&bytes).map(Body)
    }
}

/// Why a body was not read.
pub(crate) fn unread(rejection: BytesRejection) -> Problem {
    let response = rejection.into_response();
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::new(response.status(), Code::BadUsage, "the body is too large");
    }
    Problem::new(
        StatusCode::BAD_REQUEST,
        Code::BadUsage,
        "the body was cut short",
    )
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        // As good as an object to serde, its fields in the order of the struct: nothing to make a promise of.
        return Err(Problem::bad_usage(
            "the body is not what is expected: a list",
        ));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let status = match error.classify() {
            serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
            _ => StatusCode::BAD_REQUEST,
        };
        let problem = format!("the body is not what is expected: {error}");
        Problem::new(status, Code::BadUsage, problem)
    })
}

/// What an address says after its `?`.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(query) => Ok(Asked(query.0)),
            Err(rejection) => Err(Problem::bad_usage(rejection.body_text())),
        }
    }
}

/// What an address names after the repository: a lease, or a session.
#[derive(Debug)]
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<(String, String)>::from_request_parts(parts, state).await;
        let path = path.map_err(|_| Problem::not_found("nothing exists at this address"))?;
        Ok(Named(path.0.1))
    }
}

/// JSON that is written already.
pub(crate) fn json(bytes: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// A path as a client names it: a `/` at its end means the directory.
pub(crate) fn target(path: &str) -> Result<(RepoPath, Kind), Problem> {
    let (bare, kind) = match path.strip_suffix('/') {
        Some(bare) => (bare, Kind::Directory),
        None => (path, Kind::File),
    };
    let path = RepoPath::new(bare)?;
    let kind = if path.is_root() {
        Kind::Directory
    } else {
        kind
    };
    if Claim::new(&path, kind).place().is_none() {
        let detail = format!("`{path}` cannot be locked: a git file cannot be a directory");
        return Err(Problem::of(Code::BadPath, detail));
    }
    Ok((path, kind))
}

/// A path to look for, whatever lies on it.
pub(crate) fn path(path: &str) -> Result<RepoPath, Problem> {
    Ok(target(path)?.0)
}

/// Where a page ended, as clients hand it back.
///
/// It is never empty, though the key of the whole repository is: to many clients an empty cursor means the end.
pub(crate) fn cursor_of(key: &Key) -> String {
    format!("k{}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

/// A cursor, unless it is empty: that is where the first page begins.
pub(crate) fn begun(cursor: Option<&str>) -> Option<&str> {
    cursor.filter(|cursor| !cursor.is_empty())
}

pub(crate) fn key_of(cursor: &str) -> Result<Key, Problem> {
    let bytes = cursor
        .strip_prefix('k')
        .map(|key| URL_SAFE_NO_PAD.decode(key));
    match bytes {
        Some(Ok(bytes)) => Ok(Key::of(&bytes)),
        _ => Err(Problem::bad_usage("invalid cursor")),
    }
}

/// How many are wanted, of at most so many.
pub(crate) fn limit(asked: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        Some(0) => Err(Problem::bad_usage("the limit must be at least 1")),
        asked => Ok(asked.unwrap_or(usual).min(most)),
    }
}
