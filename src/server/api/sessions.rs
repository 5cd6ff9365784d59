//! Sessions: workspaces without a working tree.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::super::app::{RequestContext, SESSIONS_EACH};
use super::super::problem::Problem;
use super::super::users::Role;
use super::refusals::{BodyRefusals, HeldRefusals, Refusals};
use super::{Body, Named, schema};
use crate::rules::error::Code;
use crate::server::engine::{self, Command, me};

/// The longest label, in characters.
const LABEL: usize = 64;

/// A session to begin.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"label": "Blender on ws-12"}))]
pub(crate) struct SessionRequest {
    /// What people are shown as the place of its locks, such as the tool's name
    #[schema(max_length = 64, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    label: Option<String>,
}

/// Nothing is to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// A session that this caller does not have.
pub(crate) fn no_session(id: &str) -> Problem {
    let shown = crate::rules::spelling::quoted(id.as_bytes());
    Problem::of(
        Code::Lost,
        format!("you have no session {shown}: it has ended, or never existed"),
    )
    .with_hint("start a new one")
}

/// Begin a session
#[utoipa::path(
    post, path = "/sessions", tag = "sessions", operation_id = "beginSession",
    params(schema::InRepository),
    request_body = SessionRequest,
    responses(
        (status = 201, description = "It lives while heartbeats arrive, or an event stream is open for it", body = schema::Session, links(
            ("heartbeat" = (operation_id = "heartbeat", parameters(("id" = "$response.body#/session")))),
            ("end" = (operation_id = "endSession", parameters(("id" = "$response.body#/session")))),
        )),
        BodyRefusals,
        Refusals,
    )
)]
pub(crate) async fn begin(
    visit: RequestContext,
    Body(request): Body<SessionRequest>,
) -> Result<Response, Problem> {
    visit.require(Role::Editor)?;
    let label = request.label.unwrap_or_default();
    if label.chars().count() > LABEL || label.chars().any(char::is_control) {
        return Err(Problem::bad_usage(format!(
            "a label has at most {LABEL} characters, and no control characters"
        )));
    }
    let label = label.trim();
    let owner = visit.owner(if label.is_empty() { "session" } else { label });
    let session = visit.service().begin_session(owner, SESSIONS_EACH);
    let session = session.ok_or_else(|| {
        let detail = format!("{} already has {SESSIONS_EACH} sessions", visit.caller.id);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::Refused, detail)
    })?;
    let seconds = engine::heartbeat().as_secs().max(1);
    let body = json!({"session": session, "heartbeat_seconds": seconds});
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// Say that a session is alive
#[utoipa::path(
    post, path = "/sessions/{id}/heartbeat", tag = "sessions", operation_id = "heartbeat",
    params(schema::OfSession),
    request_body = Nothing,
    responses(
        (status = 200, description = "What it has, and what it has lost", body = schema::Heartbeat),
        BodyRefusals,
        Refusals,
    )
)]
pub(crate) async fn heartbeat(
    visit: RequestContext,
    Named(id): Named,
    Body(Nothing {}): Body<Nothing>,
) -> Result<Response, Problem> {
    let terms = visit.service().terms();
    let heard = visit.service().hear(&id, &visit.caller.id, visit.now());
    let heard = heard.ok_or_else(|| no_session(&id))?;
    let mut owner = visit.owner("");
    owner.workspace = Some(id);
    let me = me(owner);
    let viewpoint = visit.viewpoint(&me, &terms);
    let renewed: Vec<_> = heard
        .renewed
        .iter()
        .map(|entry| viewpoint.entry(entry))
        .collect();
    let lost: Vec<_> = heard.lost.iter().map(|loss| viewpoint.loss(loss)).collect();
    Ok(Json(json!({"renewed": renewed, "lost": lost})).into_response())
}

/// End a session; its locks are given back
#[utoipa::path(
    delete, path = "/sessions/{id}", tag = "sessions", operation_id = "endSession",
    params(schema::OfSession),
    responses(
        (status = 200, description = "What it held", body = schema::Ended),
        HeldRefusals,
        Refusals,
    )
)]
pub(crate) async fn end(visit: RequestContext, Named(id): Named) -> Result<Response, Problem> {
    let terms = visit.service().terms();
    let ended = visit.service().leases_of(&id, &visit.caller.id);
    let (me, leases) = ended.ok_or_else(|| no_session(&id))?;
    let released = if leases.is_empty() {
        Vec::new()
    } else {
        // It ends when its locks are free: where they cannot be given back now, it can be asked again.
        visit
            .repo
            .change(Command::release_all(me.clone(), leases, None))
            .await?
            .1
    };
    visit.service().end_session(&id, &visit.caller.id);
    let viewpoint = visit.viewpoint(&me, &terms);
    let released: Vec<_> = released
        .iter()
        .map(|entry| viewpoint.entry(entry))
        .collect();
    Ok(Json(json!({"released": released})).into_response())
}
