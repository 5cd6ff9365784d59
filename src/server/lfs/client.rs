//! What these clients send, and how they are told what is wrong.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Listing;
use crate::error::Code;
use crate::server::api::{Asked, unread};
use crate::server::app::{Shared, Visit};
use crate::server::problem::Problem;

/// A problem, as these clients read it.
pub(super) struct Refused(pub(super) Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Refused(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut problem = self.0;
        if problem.status == StatusCode::NOT_FOUND && problem.code == Code::NotARepository.as_str()
        {
            problem.status = StatusCode::FORBIDDEN;
        }
        problem.into_lfs()
    }
}

/// Somebody who asks by this API.
pub(super) struct Client(pub(super) Visit);

impl FromRequestParts<Shared> for Client {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refused> {
        Ok(Client(app.visit(parts).await?))
    }
}

/// A body.
pub(super) struct Sent(pub(super) Bytes);

impl FromRequest<Shared> for Sent {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, Refused> {
        let bytes = Bytes::from_request(request, app).await;
        Ok(Sent(bytes.map_err(unread)?))
    }
}

/// What a listing is of.
pub(super) struct Which(pub(super) Listing);

impl FromRequestParts<Shared> for Which {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Refused> {
        let asked = Asked::<Listing>::from_request_parts(parts, app).await?;
        Ok(Which(asked.0))
    }
}
