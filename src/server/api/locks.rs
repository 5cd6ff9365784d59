//! Taking, renewing and giving back.

use std::collections::HashMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::super::app::{PATHS, RequestContext};
use super::super::problem::Problem;
use super::super::users::Role;
use super::read::no_lease;
use super::refusals::{BodyRefusals, HeldRefusals, ParameterRefusals, Refusals};
use super::{Asked, Body, Named, messages, schema, target};
use crate::rules::error::{Code, Error};
use crate::rules::lease::{
    Acquired, Batch, Force, Outcome, Refusal, Released, Renewal, Steal, Wanted,
};
use crate::rules::lock::{LeaseId, Lock, check_reason, is_or_below, is_same_id};
use crate::rules::path::{Claim, Kind};
use crate::rules::report::Viewpoint;
use crate::rules::time::{DurationSpec, Ttl};
use crate::rules::view::{Entry, LeaseLimits, Me};
use crate::server::engine::{AcquireRequest, Command, is_session, me};

/// What people are shown as the place of whoever locks over HTTP without a session.
const PLACE: &str = "web";
/// The life of a session's lease, where nothing is said: only the server's own death is covered by it.
const SESSION_TTL: Ttl = Ttl::For(DurationSpec::from_secs(15 * 60));

/// Which paths to take, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"paths": ["assets/hero.psd", "scenes/"], "reason": "retopology", "ttl": "8h"}))]
pub(crate) struct LockRequest {
    /// From the repository's root; a `/` at the end means the directory. They need not exist. All or none are taken
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<schema::Path>)]
    paths: Vec<String>,
    /// Why, for others to read: at most 500 characters
    #[schema(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reason: Option<String>,
    /// How long, such as `90s` or `24h`
    #[schema(pattern = r"^([0-9]+[smhd]|never)$")]
    ttl: Option<String>,
    /// The session that holds them; without one they are the person's own, wherever they work
    #[schema(pattern = r"^[0-9a-f]{16}$")]
    session: Option<String>,
    /// Take others' locks away; this needs a reason
    #[serde(default)]
    steal: bool,
    /// Take what is free of these paths
    #[serde(default)]
    partial: bool,
}

/// How long a lease is to live from now on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RenewRequest {
    /// Such as `90s` or `24h`; never a shorter life than it has
    #[schema(pattern = r"^([0-9]+[smhd]|never)$")]
    ttl: Option<String>,
}

/// How to give back.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct How {
    /// Also another's lock: an admin may, with a reason; or one's own in another working tree
    force: Option<bool>,
    /// Why, for the record
    #[param(max_length = 500, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    reason: Option<String>,
}

/// A length of time as clients give it.
fn ttl_of(text: Option<&str>, terms: &LeaseLimits) -> Result<Option<Ttl>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let ttl: Ttl = text.parse().map_err(Problem::bad_usage)?;
    if ttl > terms.max_ttl {
        let max = terms.max_ttl;
        return Err(Problem::bad_usage(format!(
            "a ttl of `{ttl}` exceeds the policy's max_ttl of `{max}`"
        )));
    }
    Ok(Some(ttl))
}

fn checked_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    check_reason(reason.as_deref().unwrap_or_default()).map_err(Problem::bad_usage)?;
    Ok(reason.filter(|reason| !reason.trim().is_empty()))
}

/// The paths, each with a lease of its own; each key once.
fn wanted(paths: &[String], now: DateTime<Utc>) -> Result<Vec<Wanted>, Problem> {
    if paths.is_empty() {
        return Err(Problem::bad_usage("no paths are given"));
    }
    if paths.len() > PATHS {
        let detail = format!(
            "too many paths at once: {}, the maximum is {PATHS}",
            paths.len()
        );
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BadUsage,
            detail,
        ));
    }
    let mut kinds = HashMap::new();
    let mut all = Vec::new();
    for path in paths {
        let (path, kind) = target(path)?;
        match kinds.insert(path.key(), kind) {
            Some(before) if before == kind => {}
            Some(_) => {
                let detail = format!("`{path}` is named as a file and as a directory");
                return Err(Problem::bad_usage(detail));
            }
            None => {
                let lease = LeaseId::generate(now);
                all.push(Wanted { path, kind, lease });
            }
        }
    }
    Ok(all)
}

impl RequestContext {
    /// Whose locks these will be: the person's, or a session's.
    fn holder(&self, session: Option<&str>) -> Result<Me, Problem> {
        let Some(id) = session else {
            return Ok(self.me(PLACE));
        };
        let owner = self.service().session(id, &self.caller.id);
        let owner = owner.ok_or_else(|| super::sessions::no_session(id))?;
        Ok(me(owner))
    }

    /// Who asks, as the holder of a lock that is theirs: the lease names the session.
    fn as_holder_of(&self, lock: &Lock) -> Me {
        let mut me = self.me(PLACE);
        let workspace = lock.owner.workspace.as_deref();
        if is_same_id(&lock.owner.id, &self.caller.id) && workspace.is_some_and(is_session) {
            me.owner.workspace.clone_from(&lock.owner.workspace);
        }
        me
    }

    /// The same paths; what is a directory in the served branch is meant with all that is below it, also without a `/`.
    pub(crate) async fn as_tracked(&self, mut wanted: Vec<Wanted>) -> Result<Vec<Wanted>, Problem> {
        let service = self.repo.service.clone();
        let looking = tokio::task::spawn_blocking(move || {
            for wanted in &mut wanted {
                let whole = Claim::new(&wanted.path, Kind::Directory);
                let may_be = wanted.kind == Kind::File && whole.place().is_some();
                if may_be && service.is_directory(&wanted.path)? {
                    wanted.kind = Kind::Directory;
                }
            }
            Ok::<_, Error>(wanted)
        });
        let looked = looking.await;
        Ok(looked.map_err(|_| Problem::of(Code::Io, "the served branch could not be read"))??)
    }

    /// What helps who is refused another's lock.
    fn how_to_force(&self) -> &'static str {
        match (self.role >= Role::Admin, self.may_force()) {
            (false, _) => "ask the holder, or an admin",
            (true, true) => {
                "you may remove it by force, with a reason (`force=true&reason=WHY`, or `\"steal\": true`; `git lfs unlock --force`)"
            }
            (true, false) => "ask the holder: the policy's `[force] who` does not name you",
        }
    }

    /// Refuses more locks than one person may have. What they have already is not one more.
    pub(crate) fn check_count(&self, wanted: &[Wanted]) -> Result<(), Problem> {
        let (most, person) = (self.app.locks_each, &self.caller.id);
        if self.service().count_of(person) + wanted.len() <= most {
            return Ok(());
        }
        // Near the limit it is worth the while to count in earnest.
        let held = self.service().keys_of(person, self.now());
        let has = held.len();
        let coming = wanted
            .iter()
            .filter(|wanted| !held.contains(&wanted.path.key()))
            .count();
        if coming == 0 || has + coming <= most {
            return Ok(());
        }
        let detail = format!("{} has {has} locks; the maximum is {most}", self.caller.id);
        Err(
            Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::Refused, detail)
                .with_hint("release locks that are no longer needed"),
        )
    }
}

/// Lock paths, all or none
#[utoipa::path(
    post, path = "/locks", tag = "locks", operation_id = "lock",
    params(schema::InRepository),
    request_body = LockRequest,
    responses(
        (status = 201, description = "Locked", body = schema::Locked, links(
            ("show" = (operation_id = "getLock", parameters(("lease" = "$response.body#/locked/0/lease")))),
            ("renew" = (operation_id = "renew", parameters(("lease" = "$response.body#/locked/0/lease")))),
            ("unlock" = (operation_id = "unlock", parameters(("lease" = "$response.body#/locked/0/lease")))),
        )),
        (status = 200, description = "All of it was mine already: renewed", body = schema::Locked),
        BodyRefusals,
        HeldRefusals,
        Refusals,
    )
)]
pub(crate) async fn lock(
    visit: RequestContext,
    Body(request): Body<LockRequest>,
) -> Result<Response, Problem> {
    visit.require(Role::Editor)?;
    let terms = visit.service().terms();
    let me = visit.holder(request.session.as_deref())?;
    let usual = if request.session.is_some() {
        SESSION_TTL
    } else {
        terms.ttl
    };
    let wanted = visit
        .as_tracked(wanted(&request.paths, visit.now())?)
        .await?;
    visit.check_count(&wanted)?;
    let taking = AcquireRequest {
        wanted,
        reason: checked_reason(request.reason)?,
        ttl: ttl_of(request.ttl.as_deref(), &terms)?.unwrap_or(usual.min(terms.max_ttl)),
        steal: if request.steal { Steal::Yes } else { Steal::No },
        batch: if request.partial {
            Batch::Partial
        } else {
            Batch::Atomic
        },
    };
    let ask = Command::lock(me.clone(), taking, visit.may_force());
    let (_, acquired) = visit.repo.change(ask).await?;
    let viewpoint = visit.viewpoint(&me, &terms);
    tell_stolen(&visit, &acquired);
    let of_mine = |refusal: &Refusal| {
        let holder = refusal.holder.as_ref().and_then(Entry::lock);
        holder.is_some_and(|lock| is_same_id(&lock.owner.id, &me.owner.id))
    };
    let hint = if acquired.refused.iter().all(of_mine) {
        "you hold it elsewhere: release it there, or take it over with `\"steal\": true`"
    } else {
        visit.how_to_force()
    };
    answer(&acquired, &viewpoint).map_err(|problem| problem.with_hint(hint))
}

fn tell_stolen(visit: &RequestContext, acquired: &Acquired) {
    for taken in acquired
        .locked
        .iter()
        .filter(|t| t.outcome == Outcome::Stolen)
    {
        let (repo, by) = (visit.service().name(), &visit.caller.id);
        let displaced: Vec<String> = taken.displaced.iter().map(Entry::shown_path).collect();
        tracing::info!(repo, path = %taken.lock.path, by, ?displaced, "stolen");
    }
}

fn answer(acquired: &Acquired, viewpoint: &Viewpoint<'_>) -> Result<Response, Problem> {
    let refused: Vec<_> = acquired
        .refused
        .iter()
        .map(|r| viewpoint.refusal(r))
        .collect();
    if acquired.locked.is_empty() && !refused.is_empty() {
        let is_forbidden = acquired.refused.iter().all(|r| r.code == Code::Forbidden);
        let code = if is_forbidden {
            Code::Forbidden
        } else {
            Code::Held
        };
        let problem = Problem::of(code, messages::refused(acquired, viewpoint));
        return Err(problem.with("refused", refused));
    }
    let is_news = acquired
        .locked
        .iter()
        .any(|t| t.outcome != Outcome::Renewed);
    let status = if is_news {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let locked: Vec<_> = acquired.locked.iter().map(|t| viewpoint.taken(t)).collect();
    Ok((status, Json(json!({"locked": locked, "refused": refused}))).into_response())
}

/// Renew a lease
#[utoipa::path(
    post, path = "/locks/{lease}/renew", tag = "locks", operation_id = "renew",
    params(
        schema::OfLease,
    ),
    request_body = RenewRequest,
    responses(
        (status = 200, description = "It lives on", body = schema::Lock),
        BodyRefusals,
        HeldRefusals,
        Refusals,
    )
)]
pub(crate) async fn renew(
    visit: RequestContext,
    Named(lease): Named,
    Body(request): Body<RenewRequest>,
) -> Result<Response, Problem> {
    visit.require(Role::Editor)?;
    let terms = visit.service().terms();
    let lock = visit.lock_of(&lease).await?;
    let lock = lock.ok_or_else(|| no_lease(&lease))?;
    let me = visit.as_holder_of(&lock);
    if !me.owns(&lock) {
        return Err(Problem::of(Code::Forbidden, messages::held_by(&lock)));
    }
    let ttl = ttl_of(request.ttl.as_deref(), &terms)?;
    let ask = Command::renew(me.clone(), vec![Renewal::of(&lock)], ttl);
    let (_, renewed) = visit.repo.change(ask).await?;
    let lock = renewed.renewed.first().ok_or_else(|| no_lease(&lease))?;
    let viewpoint = visit.viewpoint(&me, &terms);
    Ok(Json(viewpoint.lock(lock)).into_response())
}

/// Give a lock back
#[utoipa::path(
    delete, path = "/locks/{lease}", tag = "locks", operation_id = "unlock",
    params(
        schema::OfLease,
        How,
    ),
    responses(
        (status = 200, description = "It is free; this was the lock", body = schema::Lock),
        ParameterRefusals,
        HeldRefusals,
        Refusals,
    )
)]
pub(crate) async fn unlock(
    visit: RequestContext,
    Named(lease): Named,
    Asked(how): Asked<How>,
) -> Result<Response, Problem> {
    visit.require(Role::Editor)?;
    let terms = visit.service().terms();
    let lock = visit.lock_of(&lease).await?;
    let lock = lock.ok_or_else(|| no_lease(&lease))?;
    let me = visit.as_holder_of(&lock);
    let force = if how.force == Some(true) {
        Force::Yes
    } else {
        Force::No
    };
    let reason = checked_reason(how.reason)?;
    let entry = visit.release(&lock, &me, force, reason).await?;
    let viewpoint = visit.viewpoint(&me, &terms);
    Ok(Json(viewpoint.entry(&entry)).into_response())
}

impl RequestContext {
    /// Gives a lock back, also another's where that is insisted on; gives what it was.
    pub(crate) async fn release(
        &self,
        lock: &Lock,
        me: &Me,
        force: Force,
        reason: Option<String>,
    ) -> Result<Entry, Problem> {
        let is_others = !is_or_below(&lock.owner.id, &self.caller.id);
        if is_others && force == Force::Yes && reason.is_none() {
            let detail = format!("{}; removing it needs a reason", messages::held_by(lock));
            return Err(Problem::bad_usage(detail).with_hint("add `reason=WHY`"));
        }
        let ask = Command::release(
            me.clone(),
            Renewal::of(lock),
            force,
            self.may_force(),
            reason,
        );
        let (_, released) = self.repo.change(ask).await?;
        match released {
            Released::Free(entry) => {
                if is_others {
                    let (repo, by) = (self.service().name(), &self.caller.id);
                    tracing::info!(repo, path = %lock.path, by, "unlocked by force");
                }
                Ok(entry)
            }
            Released::Lost | Released::NotMine(None) => Err(no_lease(lock.lease.as_str())),
            Released::InProgress(_) => Err(Problem::of(Code::Held, messages::held_by(lock))),
            Released::NotMine(Some(_)) | Released::Forbidden(_) => {
                let hint = if is_others {
                    self.how_to_force()
                } else {
                    "you hold it in another working tree: release it there, or use `force`"
                };
                Err(Problem::of(Code::Forbidden, messages::held_by(lock)).with_hint(hint))
            }
        }
    }
}
