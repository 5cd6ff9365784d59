//! `GET history`

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::app::RequestContext;
use super::super::problem::Problem;
use super::refusals::{ParameterRefusals, Refusals};
use super::{Asked, begun, limit, path, schema};
use crate::rules::error::Result;
use crate::rules::path::RepoPath;
use crate::server::engine::{Page, RepoService};

const USUAL: usize = 100;
const MOST: usize = 1_000;

/// Which part of the history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// Of this path only
    #[param(
        min_length = 1,
        max_length = 3072,
        pattern = r"^[^/\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    path: Option<String>,
    /// At most so many: 100 where nothing is said, 1000 at most
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// Where the last page ended
    #[param(pattern = r"^([0-9a-f]{40}\.[0-9]{1,9})?$")]
    cursor: Option<String>,
}

/// Show what happened to locks, newest first, as far back as the lock ref's history reaches
#[utoipa::path(
    get, path = "/history", tag = "history", operation_id = "history",
    params(schema::InRepository, Which),
    responses(
        (status = 200, description = "What happened", body = schema::History),
        ParameterRefusals,
        Refusals,
    )
)]
pub(crate) async fn list(
    visit: RequestContext,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    let limit = limit(which.limit, USUAL, MOST)?;
    let path = which.path.as_deref().map(path).transpose()?;
    let page = page(&visit, path, begun(which.cursor.as_deref()), limit).await?;
    let (me, terms) = (visit.me(""), visit.service().terms());
    let viewpoint = visit.viewpoint(&me, &terms);
    let events: Vec<_> = page
        .events
        .iter()
        .map(|event| viewpoint.event(event))
        .collect();
    let mut body = json!({"events": events});
    if let Some(next) = cursor_of(&page) {
        body["next_cursor"] = json!(next);
    }
    Ok(Json(body).into_response())
}

/// Where the next page begins, as clients hand it back: a commit, and how many of its events are told.
pub(crate) fn cursor_of(page: &Page) -> Option<String> {
    page.next
        .as_ref()
        .map(|(commit, told)| format!("{commit}.{told}"))
}

/// A page of the history.
pub(crate) async fn page(
    visit: &RequestContext,
    path: Option<RepoPath>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page, Problem> {
    let from = cursor.map(parse).transpose()?;
    let read = move |service: &RepoService| service.history(path.as_ref(), from.as_ref(), limit);
    visit.read(read).await
}

fn parse(cursor: &str) -> Result<(String, usize), Problem> {
    let (commit, told) = cursor.split_once('.').unwrap_or((cursor, ""));
    let is_commit = commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit());
    match told.parse() {
        Ok(told) if is_commit => Ok((commit.to_owned(), told)),
        _ => Err(Problem::bad_usage("invalid cursor")),
    }
}
