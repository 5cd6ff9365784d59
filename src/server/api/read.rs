//! `GET locks`

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::super::app::RequestContext;
use super::super::problem::Problem;
use super::refusals::{ParameterRefusals, Refusals};
use super::schema;
use super::{Asked, Named, begun, cursor_of, key_of, limit, path};
use crate::rules::report::{NoTrees, Viewpoint};
use crate::rules::spelling::Here;
use crate::rules::time::rfc3339;
use crate::server::engine::Query;

/// How many locks a page has, where nothing is said, and at most.
const USUAL: usize = 1_000;
const MOST: usize = 10_000;

/// Which locks are wanted; all of it must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// On exactly this path
    #[param(
        min_length = 1,
        max_length = 3072,
        pattern = r"^[^/\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    path: Option<String>,
    /// On this path, or on a directory above it
    #[param(
        min_length = 1,
        max_length = 3072,
        pattern = r"^[^/\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    covers: Option<String>,
    /// On this directory, below it or above it
    #[param(
        min_length = 1,
        max_length = 3072,
        pattern = r"^[^/\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    under: Option<String>,
    /// Of this owner id
    owner: Option<String>,
    /// Of mine and of my agents, wherever they work
    mine: Option<bool>,
    /// At most so many: 1000 where nothing is said, 10000 at most
    #[param(minimum = 1)]
    limit: Option<usize>,
    /// Where the last page ended
    #[param(pattern = r"^(k[A-Za-z0-9_-]*)?$")]
    cursor: Option<String>,
}

impl Which {
    fn query(&self, person: &str) -> Result<Query, Problem> {
        let key_in = |named: &Option<String>| {
            let named = named.as_deref().map(path).transpose();
            named.map(|path| path.map(|path| path.key()))
        };
        Ok(Query {
            path: key_in(&self.path)?,
            covers: key_in(&self.covers)?,
            under: key_in(&self.under)?,
            owner: self.owner.clone(),
            person: (self.mine == Some(true)).then(|| person.to_owned()),
            search: None,
            after: begun(self.cursor.as_deref()).map(key_of).transpose()?,
            limit: Some(limit(self.limit, USUAL, MOST)?),
        })
    }
}

/// List locks
#[utoipa::path(
    get, path = "/locks", tag = "locks", operation_id = "listLocks",
    params(
        schema::InRepository,
        Which,
        ("If-None-Match" = Option<String>, Header, description = "The ETag received last: 304 if nothing has changed"),
    ),
    responses(
        (status = 200, description = "Live locks, by path", body = schema::Locks, headers(("ETag" = String, description = "Weak, of the answer"))),
        (status = 304, description = "As the `If-None-Match` says", headers(("ETag" = String, description = "The same"))),
        ParameterRefusals,
        Refusals,
    )
)]
pub(crate) async fn list(
    visit: RequestContext,
    headers: HeaderMap,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    let query = which.query(&visit.caller.id)?;
    visit.catch_up().await;
    let service = visit.service();
    let (seq, end) = service.tag_at(visit.now());
    let end = end.map_or(0, |end| end.timestamp_millis());
    let tag = format!("W/\"{seq}-{end}\"");
    let is_known = |known: &str| known.split(',').any(|known| known.trim() == tag);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|known| known.to_str().ok());
    if known.is_some_and(is_known) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let question = format!("{}\n{which:?}", visit.caller.id);
    let bytes = visit.repo.answer(question, || {
        let now = visit.now();
        let (seq, _) = service.tag_at(now);
        let listed = service.list(&query, now);
        let (me, terms) = (visit.me(""), service.terms());
        let viewpoint = Viewpoint {
            me: &me,
            now,
            terms: &terms,
            here: Here::root(),
            trees: &NoTrees,
        };
        let locks: Vec<_> = listed
            .entries
            .iter()
            .map(|entry| viewpoint.entry(entry))
            .collect();
        let mut body = json!({"locks": [], "seq": seq, "as_of": rfc3339(service.as_of())});
        body["locks"] = json!(locks);
        if let Some(next) = &listed.next {
            body["next_cursor"] = json!(cursor_of(next));
        }
        body.to_string().into()
    });
    let mut response = super::json(bytes);
    if let Ok(tag) = tag.parse() {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

/// Show one lock
#[utoipa::path(
    get, path = "/locks/{lease}", tag = "locks", operation_id = "getLock",
    params(
        schema::OfLease,
    ),
    responses(
        (status = 200, description = "It lives", body = schema::Lock),
        Refusals,
    )
)]
pub(crate) async fn one(visit: RequestContext, Named(lease): Named) -> Result<Response, Problem> {
    visit.catch_up().await;
    let entry = visit
        .service()
        .lease(&lease, visit.now())
        .ok_or_else(|| no_lease(&lease))?;
    let (me, terms) = (visit.me(""), visit.service().terms());
    let viewpoint = visit.viewpoint(&me, &terms);
    Ok(axum::Json(viewpoint.entry(&entry)).into_response())
}

/// Nothing lives under that lease.
pub(crate) fn no_lease(lease: &str) -> Problem {
    let shown = crate::rules::spelling::quoted(lease.as_bytes());
    Problem::of(
        crate::rules::error::Code::Lost,
        format!("no live lock has the lease {shown}"),
    )
}
