//! What browsers are shown, and what looks after the server: pages, health, numbers, the API's document.

use axum::extract::{FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::api;
use super::app::{RequestContext, Shared};
use super::page::{self, Filter, FolderItem, HistoryPage, Person, RepositoryPage, Viewer};
use super::problem::Problem;
use crate::rules::error::Result;
use crate::rules::path::{Key, Kind, RepoPath};
use crate::rules::view::Entry;
use crate::server::engine;

/// How many locks a page shows.
const ROWS: usize = 500;
/// How many events a page of the history shows.
const EVENTS: usize = 200;

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(repositories))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/api", get(api_page))
        .route("/api/openapi.json", get(document))
        .route(
            "/-/page.css",
            get(async || asset("text/css; charset=utf-8", page::STYLE)),
        )
        .route(
            "/-/page.js",
            get(async || asset("text/javascript; charset=utf-8", page::SCRIPT)),
        )
        .route("/-/page/{repo}", get(repository))
        .route("/-/page/{repo}/history", get(history))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// A problem, as a page.
struct HtmlProblem(Problem);

impl From<Problem> for HtmlProblem {
    fn from(problem: Problem) -> Self {
        HtmlProblem(problem)
    }
}

impl IntoResponse for HtmlProblem {
    fn into_response(self) -> Response {
        let status = self.0.status;
        let title = status.canonical_reason().unwrap_or("Error");
        let html = page::message(status.as_u16(), title, &self.0.detail);
        // For what else belongs to such an answer.
        let mut response = self.0.into_response();
        response.extensions_mut().remove::<Problem>();
        *response.body_mut() = html.into();
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response
    }
}

/// Somebody who looks with a browser.
struct HtmlRequest(RequestContext);

impl FromRequestParts<Shared> for HtmlRequest {
    type Rejection = HtmlProblem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, HtmlProblem> {
        Ok(HtmlRequest(app.visit(parts).await?))
    }
}

/// What nothing answers to.
pub(super) async fn nothing(headers: HeaderMap) -> Response {
    let problem = Problem::not_found("nothing exists at this address");
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return HtmlProblem(problem).into_response();
    }
    problem.into_response()
}

async fn repositories(
    State(app): State<Shared>,
    request: Request,
) -> Result<Html<String>, HtmlProblem> {
    let (parts, _) = request.into_parts();
    let caller = app.authenticate(&parts).await?;
    let listing = app.clone();
    let names = tokio::task::spawn_blocking(move || listing.repos.names()).await;
    let mut names = names.unwrap_or_default();
    names.retain(|(name, _)| caller.role_in(name).is_some());
    let person = Person {
        id: &caller.id,
        shown: &caller.shown,
        role: None,
    };
    Ok(Html(page::repositories(&names, person)))
}

/// Whether the users, and the repositories that somebody has asked for, can be read and tended.
async fn ready(State(app): State<Shared>) -> Response {
    if *app.ending.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "ending\n").into_response();
    }
    let mut wrong = Vec::new();
    // In few words: anybody may ask. The log has the rest.
    if app.authenticator.users().await.is_err() {
        wrong.push("the users cannot be read".to_owned());
    }
    for name in app.repos.broken() {
        if app.repos.find(&name).await.is_err() {
            wrong.push(format!("{name}: cannot be served"));
        }
    }
    let now = app.clock.now();
    for hosted in app.repos.open() {
        let name = hosted.service.name();
        let failing = hosted.service.failing();
        wrong.extend(failing.iter().map(|what| format!("{name}: cannot {what}")));
        if now - hosted.service.as_of() > chrono::TimeDelta::seconds(60) {
            wrong.push(format!("{name}: what is known is over a minute old"));
        }
    }
    if wrong.is_empty() {
        return "ready\n".into_response();
    }
    let text = wrong.join("\n") + "\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn metrics(State(app): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    app.authenticate(&parts).await?;
    let text = app.metrics.text(&app.repos);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn document(State(app): State<Shared>) -> Json<serde_json::Value> {
    Json(super::document(&app.authenticator))
}

async fn api_page(State(app): State<Shared>) -> Html<String> {
    Html(page::api(&super::document(&app.authenticator)))
}

/// What of a repository to look at.
#[derive(Debug, Deserialize)]
struct View {
    #[serde(default)]
    q: String,
    mine: Option<String>,
    under: Option<String>,
    cursor: Option<String>,
}

async fn repository(
    HtmlRequest(visit): HtmlRequest,
    Query(view): Query<View>,
) -> Result<Html<String>, HtmlProblem> {
    let under = directory(view.under.as_deref())?;
    let below = under.clone();
    let tracked = visit.read(move |service| service.names_in(&below)).await?;
    visit.catch_up().await;
    let (service, now) = (visit.service(), visit.now());
    let is_mine = view
        .mine
        .as_deref()
        .is_some_and(|mine| !matches!(mine, "" | "0" | "false"));
    let query = engine::Query {
        under: (!under.is_root()).then(|| under.key()),
        person: is_mine.then(|| visit.caller.id.clone()),
        search: (!view.q.is_empty()).then(|| view.q.clone()),
        after: view.cursor.as_deref().map(api::key_of).transpose()?,
        limit: Some(ROWS),
        ..engine::Query::default()
    };
    let listed = service.list(&query, now);
    let found = service.below(&under.key(), now);
    let folder = folder(&under, &tracked, &found);
    let entries: Vec<&Entry> = listed.entries.iter().collect();
    let next = listed.next.as_ref().map(api::cursor_of);
    let page = RepositoryPage {
        repo: service.name(),
        viewer: &viewer(&visit),
        locks: &entries,
        terms: &service.terms(),
        now,
        seq: service.seq(),
        total: service.count(&query, now),
        filter: Filter {
            search: &view.q,
            mine: is_mine,
            under: if under.is_root() { "" } else { under.as_str() },
            cursor: view.cursor.as_deref(),
        },
        next_cursor: next.as_deref(),
        folder: &folder,
    };
    Ok(Html(page::repository(&page)))
}

fn viewer(visit: &RequestContext) -> Viewer<'_> {
    Viewer {
        id: &visit.caller.id,
        shown: &visit.caller.shown,
        role: visit.role,
    }
}

fn directory(under: Option<&str>) -> Result<RepoPath, Problem> {
    let under = under.map(|under| under.trim_end_matches('/'));
    match under {
        None | Some("" | ".") => Ok(RepoPath::root()),
        Some(under) => Ok(RepoPath::new(under)?),
    }
}

/// What a directory holds: tracked names, and those that only have locks.
fn folder<'a>(
    under: &RepoPath,
    names: &[(String, Kind)],
    found: &'a std::collections::BTreeMap<Vec<u8>, engine::Below>,
) -> Vec<FolderItem<'a>> {
    let prefix = if under.is_root() {
        String::new()
    } else {
        format!("{under}/")
    };
    let mut items: Vec<FolderItem<'a>> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (name, kind) in names {
        let key = Key::of(name.as_bytes());
        let below = found.get(key.as_bytes());
        seen.insert(key);
        items.push(FolderItem {
            name: name.clone(),
            path: format!("{prefix}{name}"),
            kind: *kind,
            lock: below.and_then(|below| below.lock.as_ref()),
            locked_below: below.map_or(0, |below| below.count),
        });
    }
    let depth = prefix.matches('/').count();
    for (key, below) in found {
        if seen.contains(&Key::of(key)) {
            continue;
        }
        let name = below
            .shown
            .split('/')
            .nth(depth)
            .unwrap_or(&below.shown)
            .to_owned();
        let is_directory = below.count > 0
            || below
                .lock
                .as_ref()
                .is_some_and(|entry| entry.claim.kind == Kind::Directory);
        items.push(FolderItem {
            path: format!("{prefix}{name}"),
            name,
            kind: if is_directory {
                Kind::Directory
            } else {
                Kind::File
            },
            lock: below.lock.as_ref(),
            locked_below: below.count,
        });
    }
    items.sort_by(|a, b| (a.kind == Kind::File, &a.name).cmp(&(b.kind == Kind::File, &b.name)));
    items
}

#[derive(Debug, Deserialize)]
struct Past {
    path: Option<String>,
    cursor: Option<String>,
}

async fn history(
    HtmlRequest(visit): HtmlRequest,
    Path(_): Path<String>,
    Query(past): Query<Past>,
) -> Result<Html<String>, HtmlProblem> {
    let named = past.path.filter(|path| !path.is_empty());
    let path = named.as_deref().map(api::path).transpose()?;
    let shown = path.as_ref().map(RepoPath::to_string);
    let found = api::history::page(&visit, path, past.cursor.as_deref(), EVENTS).await?;
    let next = api::history::cursor_of(&found);
    Ok(Html(page::history(&HistoryPage {
        repo: visit.service().name(),
        viewer: &viewer(&visit),
        path: shown.as_deref(),
        events: &found.events,
        next_cursor: next.as_deref(),
    })))
}
