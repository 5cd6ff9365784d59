//! The answers that say no, for the document: which there are, and what each stands for.
#![allow(dead_code, reason = "described here, given in `problem`")]

use utoipa::IntoResponses;

use super::schema::Problem;

/// What any request may be answered with.
#[derive(IntoResponses)]
pub(crate) enum Refusals {
    /// No credentials, or a wrong name, password or token
    #[response(
        status = 401,
        content_type = "application/problem+json",
        headers(("WWW-Authenticate" = String, description = "How to say who asks"))
    )]
    Unknown(Problem),
    /// The role, or the policy, does not allow it; or the request comes from another's page
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such repository, lease or session, or none any more
    #[response(status = 404, content_type = "application/problem+json")]
    Gone(Problem),
    /// More than the server takes: a body of 1 MiB, 1000 paths
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The address is longer than 8 KiB
    #[response(status = 414, content_type = "application/problem+json")]
    TooLong(Problem),
    /// The server is not called what `Host` says
    #[response(status = 421, content_type = "application/problem+json")]
    Misdirected(Problem),
    /// More locks or sessions than one person may have, or too many wrong passwords
    #[response(
        status = 429,
        content_type = "application/problem+json",
        headers(("Retry-After" = Option<u64>, description = "Seconds, where waiting helps"))
    )]
    TooMany(Problem),
    /// The repository is busy, or cannot be reached; nothing has changed
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("Retry-After" = u64, description = "Seconds"))
    )]
    Away(Problem),
}

/// What parameters may be answered with.
#[derive(IntoResponses)]
pub(crate) enum ParameterRefusals {
    /// A path, a length of time or another value is not what is expected
    #[response(status = 422, content_type = "application/problem+json")]
    Unfit(Problem),
}

/// What a body may be answered with.
#[derive(IntoResponses)]
pub(crate) enum BodyRefusals {
    /// The body is no JSON, or was cut short
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// It does not say that it is JSON
    #[response(status = 415, content_type = "application/problem+json")]
    OtherType(Problem),
    /// It is JSON, and not what is expected
    #[response(status = 422, content_type = "application/problem+json")]
    Unfit(Problem),
}

/// What requests for what somebody holds may be answered with.
#[derive(IntoResponses)]
pub(crate) enum HeldRefusals {
    /// Held by others; nothing has changed
    #[response(status = 409, content_type = "application/problem+json")]
    Held(Problem),
}
