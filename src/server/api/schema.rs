//! The shapes of answers, for the document: those of [`crate::rules::report`], which writes them.
#![allow(
    dead_code,
    clippy::struct_field_names,
    reason = "described here, written there"
)]

use utoipa::{IntoParams, ToSchema};

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct InRepository {
    /// The repository's name
    #[param(example = "team/game")]
    repo: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfLease {
    /// The repository's name
    #[param(example = "team/game")]
    repo: String,
    /// The lease
    #[param(
        pattern = r"^[0-9a-f]{32}$",
        example = "0193a7c2f5e87d2aa1b3c4d5e6f70812"
    )]
    lease: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfSession {
    /// The repository's name
    #[param(example = "team/game")]
    repo: String,
    /// The session
    #[param(pattern = r"^[0-9a-f]{16}$", example = "5e55100834af4b81")]
    id: String,
}

/// A path from the repository's root. No component is empty, `.`, `..` or `.git`; `.` alone is the whole repository.
#[derive(ToSchema)]
#[schema(
    pattern = r"^[^/\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]{0,3071}$",
    example = "assets/hero.psd"
)]
pub(crate) struct Path(String);

/// A file, or a directory with everything below it.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Kind {
    File,
    Directory,
}

/// Who holds a lock.
#[derive(ToSchema)]
pub(crate) struct Owner {
    /// A person, or an agent of theirs: `ada@example.com/agent-7`.
    id: String,
    name: String,
    /// The machine, or the session's label.
    host: String,
    /// The working tree or session; null: the person everywhere.
    #[schema(required)]
    workspace: Option<String>,
}

/// The process a lease is bound to.
#[derive(ToSchema)]
pub(crate) struct Process {
    pid: u32,
    started: u64,
    boot: String,
    pidns: u64,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum State {
    Held,
    Unreadable,
}

/// A lock. Where it is unreadable, all but path, state, problem and mine are null.
#[derive(ToSchema)]
pub(crate) struct Lock {
    path: String,
    #[schema(required)]
    kind: Option<Kind>,
    /// The acquisition: 32 hexadecimal digits.
    #[schema(required, pattern = r"^[0-9a-f]{32}$")]
    lease: Option<String>,
    /// The fencing number.
    #[schema(required)]
    seq: Option<u64>,
    #[schema(required)]
    owner: Option<Owner>,
    process: Option<Process>,
    #[schema(required)]
    reason: Option<String>,
    #[schema(required, format = DateTime)]
    acquired_at: Option<String>,
    #[schema(required, format = DateTime)]
    heartbeat_at: Option<String>,
    /// Null: never.
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(required)]
    ttl_seconds: Option<u64>,
    state: State,
    problem: Option<String>,
    /// Whether it is the caller's, in no workspace or in the one they ask for.
    mine: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Acquired,
    Renewed,
    Stolen,
}

/// A lock that was taken.
#[derive(ToSchema)]
pub(crate) struct Taken {
    #[schema(inline)]
    #[serde(flatten)]
    lock: Lock,
    outcome: Outcome,
    /// Of a stolen one: the locks that went for it, also that of a directory around it.
    #[schema(nullable = false)]
    displaced: Option<Vec<Lock>>,
}

/// A path that was refused.
#[derive(ToSchema)]
pub(crate) struct Refusal {
    path: String,
    code: String,
    #[schema(required)]
    holder: Option<Lock>,
}

/// What a request for paths came to.
#[derive(ToSchema)]
pub(crate) struct Locked {
    locked: Vec<Taken>,
    refused: Vec<Refusal>,
}

/// Locks, by path.
#[derive(ToSchema)]
pub(crate) struct Locks {
    locks: Vec<Lock>,
    /// Given where there are more.
    next_cursor: Option<String>,
    /// The number of the last change.
    seq: u64,
    #[schema(format = DateTime)]
    as_of: String,
}

/// Who made a change.
#[derive(ToSchema)]
pub(crate) struct Author {
    id: String,
    name: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum Happening {
    Locked,
    Renewed,
    Unlocked,
    Expired,
    Stolen,
}

/// Something that happened to a lock.
#[derive(ToSchema)]
pub(crate) struct Event {
    /// The number of the change.
    seq: u64,
    event: Happening,
    #[schema(format = DateTime)]
    at: String,
    path: String,
    lock: Lock,
    /// The lock that was replaced.
    previous: Option<Lock>,
    by: Option<Author>,
    /// Why a lock was taken away, in the words of who did it.
    note: Option<String>,
}

/// One event of the stream.
#[derive(ToSchema)]
pub(crate) struct Frame {
    /// What happened; or `reset`: read everything again.
    event: FrameKind,
    /// Where to begin again. The last event of a change has one.
    #[schema(nullable = false)]
    id: Option<String>,
    /// An `Event`; of a `reset`, only its `seq`.
    #[schema(content_media_type = "application/json")]
    data: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum FrameKind {
    Locked,
    Renewed,
    Unlocked,
    Expired,
    Stolen,
    Reset,
}

/// What happened, newest first.
#[derive(ToSchema)]
pub(crate) struct History {
    events: Vec<Event>,
    next_cursor: Option<String>,
}

/// A session that has begun.
#[derive(ToSchema)]
pub(crate) struct Session {
    /// Its id: 16 hexadecimal digits.
    #[schema(pattern = r"^[0-9a-f]{16}$")]
    session: String,
    /// How often to send a heartbeat; three missed end the session.
    heartbeat_seconds: u64,
}

/// A lease that a session has lost.
#[derive(ToSchema)]
pub(crate) struct Loss {
    path: String,
    lease: String,
    by: Option<Lock>,
    #[schema(format = DateTime)]
    at: String,
    /// `expired`, `stolen` or `removed`.
    reason: String,
    /// Who ended it, where that is known.
    ended_by: Option<Author>,
    /// In whose words.
    note: Option<String>,
}

/// What a session has, and has lost.
#[derive(ToSchema)]
pub(crate) struct Heartbeat {
    renewed: Vec<Lock>,
    lost: Vec<Loss>,
}

/// What a session held.
#[derive(ToSchema)]
pub(crate) struct Ended {
    released: Vec<Lock>,
}

/// Why not (RFC 9457).
#[derive(ToSchema)]
pub(crate) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    /// `held`, `forbidden`, `lost`, `not_held`, `bad_usage`, `bad_path`, `no_identity`, `busy`, `unreachable` …
    code: String,
    hint: Option<String>,
    /// Where paths were refused.
    refused: Option<Vec<Refusal>>,
}
