//! The Git LFS file locking API (its specification, and what its clients 2.x and 3.x really do), over the same locks.
//!
//! Locks taken here have no workspace: they are the person's, wherever they work. Clients switch the verification off for
//! ever when a verification is answered 404 or 501: whatever is wrong with it, they are told 403 or 503.

mod verify;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chrono::SecondsFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use self::verify::verify;
use super::api::messages;
use super::api::{Asked, Body, cursor_of, key_of, path, target};
use super::app::{RequestContext, Shared};
use super::problem::Problem;
use super::render::LFS_TYPE;
use super::users::Role;
use crate::rules::error::Code;
use crate::rules::lease::{Batch, Force, Renewal, Steal, Wanted};
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::path::{Key, Kind};
use crate::rules::view::Entry;
use crate::server::engine::{AcquireRequest, Command, Query};

/// What people are shown as the place of these locks.
const PLACE: &str = "git-lfs";
/// How many locks a page has at most, and where the client does not say: verifying asks for page after page.
const PAGE: usize = 1_000;
/// What stands for the name of an owner whom nobody knows.
const NOBODY: &str = "unknown";

pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .route("/{repo}/locks", get(list).post(create))
        .route("/{repo}/locks/verify", post(verify))
        .route("/{repo}/locks/{id}/unlock", post(unlock))
        .route("/{repo}/objects/{*rest}", any(objects))
        .fallback(async || {
            Problem::of(Code::Forbidden, "this is not an address of the locking API")
        })
}

fn answer(status: StatusCode, body: Value) -> Response {
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static(LFS_TYPE))];
    (status, kind, Json(body)).into_response()
}

/// A lock as these clients read it: owner and moment always there.
fn shown(id: &str, path: &str, lock: &Lock) -> Value {
    let name = if lock.owner.name.is_empty() {
        &lock.owner.id
    } else {
        &lock.owner.name
    };
    json!({
        "id": id,
        "path": path,
        "locked_at": lock.acquired_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        "owner": {"name": name},
    })
}

/// A place's lock as these clients read it, also where it cannot be read.
fn shown_entry(entry: &Entry) -> Value {
    match entry.lock() {
        Some(lock) => {
            let path = lock.path.as_str();
            let slash = if lock.kind == Kind::Directory {
                "/"
            } else {
                ""
            };
            shown(lock.lease.as_str(), &format!("{path}{slash}"), lock)
        }
        None => json!({
            "id": "unreadable",
            "path": entry.shown_path(),
            "locked_at": entry.stored_at.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true),
            "owner": {"name": NOBODY},
        }),
    }
}

#[derive(Deserialize)]
struct Create {
    path: String,
}

async fn create(visit: RequestContext, Body(request): Body<Create>) -> Result<Response, Problem> {
    visit.require(Role::Editor)?;
    let (path, kind) = target(&request.path)?;
    visit.renew_due();
    let policy = visit.service().policy();
    let lease = LeaseId::generate(visit.now());
    let wanted = visit.as_tracked(vec![Wanted { path, kind, lease }]).await?;
    visit.check_count(&wanted)?;
    let taking = AcquireRequest {
        wanted,
        reason: None,
        ttl: policy.lfs_ttl.min(policy.terms.max_ttl),
        steal: Steal::No,
        batch: Batch::Atomic,
    };
    let me = visit.me(PLACE);
    let ask = Command::lock(me.clone(), taking, false);
    let (_, acquired) = visit.repo.change(ask).await?;
    if let Some(taken) = acquired.locked.first() {
        let lock = &taken.lock;
        let body = shown(lock.lease.as_str(), lock.path.as_str(), lock);
        if taken.outcome == crate::rules::lease::Outcome::Acquired {
            return Ok(answer(StatusCode::CREATED, json!({"lock": body})));
        }
        let until = lock
            .expires_at()
            .map_or("you unlock it".to_owned(), messages::minutes);
        let message = format!(
            "`{}` is already locked by you; renewed until {until}",
            lock.path
        );
        return Ok(answer(
            StatusCode::CONFLICT,
            json!({"lock": body, "message": message}),
        ));
    }
    let refusal = acquired.refused.first();
    let holder = refusal.and_then(|refusal| refusal.holder.as_ref());
    let Some(holder) = holder else {
        return Err(Problem::of(Code::Held, "it cannot be locked"));
    };
    let message = messages::held(&request.path, holder, &visit.viewpoint(&me, &policy.terms));
    Ok(answer(
        StatusCode::CONFLICT,
        json!({"lock": shown_entry(holder), "message": message}),
    ))
}

#[derive(Deserialize)]
struct Listing {
    path: Option<String>,
    id: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

/// How many are wanted: clients send `0` or nothing where the user did not say.
fn page_of(limit: Option<u64>) -> usize {
    let wanted = limit.filter(|n| *n > 0);
    let wanted = wanted.and_then(|n| usize::try_from(n).ok());
    wanted.unwrap_or(PAGE).min(PAGE)
}

async fn list(visit: RequestContext, Asked(which): Asked<Listing>) -> Result<Response, Problem> {
    visit.catch_up().await;
    let now = visit.now();
    let named = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(id) = named(which.id) {
        let found = visit.service().lease(lease_of(&id), now);
        let path = named(which.path).map(|path| Key::of(path.as_bytes()));
        let found = found.filter(|e| path.as_ref().is_none_or(|path| e.claim.key == *path));
        let locks: Vec<Value> = found.iter().map(shown_entry).collect();
        return Ok(answer(StatusCode::OK, json!({"locks": locks})));
    }
    let path = match named(which.path).map(|named| path(&named)) {
        // A path that nobody can lock is not locked.
        Some(Err(_)) => return Ok(answer(StatusCode::OK, json!({"locks": []}))),
        Some(Ok(path)) => Some(path.key()),
        None => None,
    };
    let limit = which.limit.and_then(|limit| limit.trim().parse().ok());
    let query = Query {
        path,
        after: named(which.cursor).as_deref().map(key_of).transpose()?,
        limit: Some(page_of(limit)),
        ..Query::default()
    };
    let listed = visit.service().list(&query, now);
    let locks: Vec<Value> = listed.entries.iter().map(shown_entry).collect();
    let mut body = json!({"locks": locks});
    if let Some(next) = &listed.next {
        body["next_cursor"] = json!(cursor_of(next));
    }
    Ok(answer(StatusCode::OK, body))
}

/// The lease of an id: an entry of a directory lock stands for the lock.
fn lease_of(id: &str) -> &str {
    id.split_once('_').map_or(id, |(lease, _)| lease)
}

#[derive(Deserialize)]
struct Unlock {
    #[serde(default)]
    force: bool,
}

async fn unlock(
    visit: RequestContext,
    Path((_, id)): Path<(String, String)>,
    Body(request): Body<Unlock>,
) -> Result<Response, Problem> {
    visit.require(Role::Editor)?;
    let id = lease_of(&id);
    let Some(lock) = visit.lock_of(id).await? else {
        let detail = format!(
            "no lock has the id `{}`",
            crate::rules::spelling::escaped(id.as_bytes())
        );
        return Err(Problem::of(Code::NotHeld, detail));
    };
    let force = if request.force { Force::Yes } else { Force::No };
    let me = visit.me(PLACE);
    let reason = request.force.then(|| "git lfs unlock --force".to_owned());
    let entry = visit.release(&lock, &me, force, reason).await?;
    Ok(answer(StatusCode::OK, json!({"lock": shown_entry(&entry)})))
}

impl RequestContext {
    /// Whoever is at work keeps what they have locked: their leases without workspace get a new heartbeat when a third of
    /// their life is over. Nobody waits for it.
    fn renew_due(&self) {
        if self.role < Role::Editor {
            return;
        }
        let due: Vec<Renewal> = self.service().due_of(&self.caller.id, self.now());
        if due.is_empty() {
            return;
        }
        let (repo, me) = (self.repo.clone(), self.me(PLACE));
        tokio::spawn(async move {
            if let Err(problem) = repo.change(Command::renew(me, due, None)).await {
                tracing::warn!(problem = problem.detail, "leases are not renewed");
            }
        });
    }
}

/// Where the contents lie is not our business: clients are led there, with what they sent.
async fn objects(
    State(app): State<Shared>,
    Path((repo, rest)): Path<(String, String)>,
    request: Request,
) -> Response {
    let Some(upstream) = &app.lfs_upstream else {
        let problem = Problem::new(
            StatusCode::NOT_FOUND,
            Code::Unsupported,
            "this server stores locks, not file contents",
        );
        let problem =
            problem.with_hint("its admin can name the content server: --lfs-upstream URL");
        return problem.into_response();
    };
    let repo = repo.strip_suffix(".git").unwrap_or(&repo);
    let escape = |text: &str| {
        let parts = text.split('/').map(super::address::escaped);
        parts.collect::<Vec<_>>().join("/")
    };
    let base = upstream.replace("{repo}", &escape(repo));
    let query = request
        .uri()
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    let target = format!(
        "{}/objects/{}{query}",
        base.trim_end_matches('/'),
        escape(&rest)
    );
    match HeaderValue::from_str(&target) {
        Ok(target) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, target)]).into_response()
        }
        Err(_) => Problem::bad_usage("invalid address").into_response(),
    }
}
