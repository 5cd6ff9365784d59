//! What every request is answered with: the repositories, who may do what, the limits, the numbers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};

use super::access::Principal;
use super::auth::{Authenticator, Caller, Denied};
use super::metrics::Metrics;
use super::problem::Problem;
use super::repos::{Hosted, Repos};
use super::safety;
use super::users::Role;
use crate::rules::error::{Code, Error};
use crate::rules::lock::{Lock, Owner};
use crate::rules::report::{NoTrees, Viewpoint};
use crate::rules::spelling::Here;
use crate::rules::time::Clock;
use crate::rules::view::{Entry, LeaseLimits, Me};
use crate::server::engine::{RepoService, me};

/// Maximum number of locks of one person in one repository, where nothing else is said.
pub const LOCKS_EACH: usize = 10_000;
/// How many sessions one person may have in one repository.
pub(crate) const SESSIONS_EACH: usize = 1_000;
/// How many paths one request may name.
pub(crate) const PATHS: usize = 1_000;

/// How many read the history, or have git list files, at a time.
pub(crate) const READING: usize = 4;
/// How long somebody waits for their turn to.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What a server is made of; shared by all requests.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) repos: Repos,
    pub(crate) authenticator: Authenticator,
    pub(crate) metrics: Metrics,
    /// The only one: nothing here asks the system for the time.
    pub(crate) clock: &'static dyn Clock,
    /// Names by which the server is reached, besides addresses.
    pub(crate) hosts: safety::Hosts,
    pub(crate) lfs_upstream: Option<String>,
    pub(crate) locks_each: usize,
    /// For what reads the history, or has git list files: a few at a time.
    pub(crate) reading: Semaphore,
    /// Turns true when the server ends.
    pub(crate) ending: watch::Receiver<bool>,
}

/// The state of the router.
pub(crate) type Shared = Arc<App>;

/// Somebody who asks something of a repository, and may.
#[derive(Debug)]
pub(crate) struct RequestContext {
    pub(crate) app: Shared,
    pub(crate) caller: Caller,
    pub(crate) role: Role,
    pub(crate) repo: Arc<Hosted>,
    /// Whether the request came through a proxy: its connection says nothing of the client.
    pub(crate) is_relayed: bool,
}

impl RequestContext {
    pub(crate) fn service(&self) -> &RepoService {
        &self.repo.service
    }

    /// The present moment, by the server's clock.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.app.clock.now()
    }

    /// How somebody sees locks at this moment.
    pub(crate) fn viewpoint<'a>(&self, me: &'a Me, terms: &'a LeaseLimits) -> Viewpoint<'a> {
        Viewpoint {
            me,
            now: self.now(),
            terms,
            here: Here::root(),
            trees: &NoTrees,
        }
    }

    /// Refuses who may not do this.
    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail = format!(
            "{} has the role `{}` here; this needs `{}`",
            self.caller.id,
            self.role.as_str(),
            role.as_str()
        );
        Err(Problem::of(Code::Forbidden, detail))
    }

    /// Whether others' locks may be taken away by whoever asks: an admin, and the policy lets them.
    pub(crate) fn may_force(&self) -> bool {
        self.role >= Role::Admin && self.service().policy().force.allows(&self.caller.id)
    }

    /// Who asks, without a session: `host` is what people are shown as the place.
    pub(crate) fn me(&self, host: &str) -> Me {
        me(self.owner(host))
    }

    /// Reads something that costs the disk, or git: not too much of it at a time.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&RepoService) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let waiting = tokio::time::timeout(LONGEST_WAIT, self.app.reading.acquire()).await;
        let Ok(Ok(_turn)) = waiting else {
            let problem = Problem::of(
                Code::Busy,
                "too many requests are reading at the moment; try again",
            );
            return Err(problem.retry_after(LONGEST_WAIT));
        };
        let service = self.repo.service.clone();
        let joined = tokio::task::spawn_blocking(move || read(&service)).await;
        let done = joined.map_err(|_| Problem::of(Code::Io, "it could not be read"))?;
        Ok(done?)
    }

    /// Waits until what is in memory is not older than the ref is now.
    pub(crate) async fn catch_up(&self) {
        if self.service().is_behind() {
            let service = self.repo.service.clone();
            let clock = self.app.clock;
            let following = tokio::task::spawn_blocking(move || service.follow_if_possible(clock));
            // Where it cannot follow, there is what was known last, and its age.
            let _ = following.await;
        }
    }

    /// Looks at the ref once more, before a no is given on what may be old.
    pub(crate) async fn refresh(&self) -> Result<(), Problem> {
        let clock = self.app.clock;
        self.read(move |service| service.refresh(clock)).await
    }

    /// The live lock of a lease, as far as it can be read. Another server, or a push, may have made it a moment ago.
    pub(crate) async fn lock_of(&self, lease: &str) -> Result<Option<Lock>, Problem> {
        let mut entry = self.service().lease(lease, self.now());
        if entry.is_none() {
            self.refresh().await?;
            entry = self.service().lease(lease, self.now());
        }
        Ok(entry.as_ref().and_then(Entry::lock).cloned())
    }

    pub(crate) fn owner(&self, host: &str) -> Owner {
        Owner {
            id: self.caller.id.clone(),
            name: self.caller.shown.clone(),
            host: host.to_owned(),
            workspace: None,
        }
    }
}

#[derive(Deserialize)]
struct RepoName {
    repo: String,
}

/// The address that a request came from.
pub(crate) fn peer_of(parts: &Parts) -> IpAddr {
    let known = parts.extensions.get::<ConnectInfo<SocketAddr>>();
    known.map_or(IpAddr::from([0, 0, 0, 0]), |info| info.0.ip())
}

/// Whether somebody stands between the client and us.
fn is_relayed(headers: &HeaderMap) -> bool {
    let marks = ["x-forwarded-for", "forwarded", "via", "x-real-ip"];
    marks.iter().any(|mark| headers.contains_key(*mark))
}

impl App {
    /// Who asks.
    pub(crate) async fn authenticate(&self, parts: &Parts) -> Result<Caller, Problem> {
        let admitted = self
            .authenticator
            .authenticate(peer_of(parts), &parts.headers)
            .await;
        if let (Ok(caller), Some(asker)) = (&admitted, parts.extensions.get::<Principal>()) {
            asker.is(&caller.id);
        }
        admitted.map_err(|denied| {
            self.metrics.denied();
            match denied {
                Denied::Missing => Problem::of(
                    Code::NoIdentity,
                    "a name and password, or a token, are required",
                ),
                Denied::Wrong => Problem::of(Code::NoIdentity, "wrong name, password or token"),
                Denied::TooMany { retry_after } => Problem::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    Code::NoIdentity,
                    "too many wrong passwords; wait",
                )
                .retry_after(retry_after),
                Denied::Unavailable(error) => {
                    Problem::of(Code::Io, format!("the users cannot be read: {error}"))
                }
            }
        })
    }

    /// Who asks something of a repository, if they may see it at all. Every change begins here.
    pub(crate) async fn visit(
        self: &Arc<Self>,
        parts: &mut Parts,
    ) -> Result<RequestContext, Problem> {
        safety::check_type(parts)?;
        let caller = self.authenticate(parts).await?;
        let Path(RepoName { repo: name }) = Path::from_request_parts(parts, &())
            .await
            .map_err(|_| Problem::of(Code::NotARepository, "no such repository"))?;
        let name = name.strip_suffix(".git").unwrap_or(&name);
        let Some(role) = caller.role_in(name) else {
            let detail = format!(
                "{} has no role in {}",
                caller.id,
                crate::rules::spelling::quoted(name.as_bytes())
            );
            return Err(Problem::of(Code::Forbidden, detail));
        };
        let repo = self.repos.find(name).await?;
        if repo.service.is_away() {
            let shown = crate::rules::spelling::quoted(name.as_bytes());
            let detail = format!("the repository {shown} is unavailable at the moment");
            return Err(Problem::of(Code::Unreachable, detail));
        }
        Ok(RequestContext {
            is_relayed: caller.is_proxied || is_relayed(&parts.headers),
            app: self.clone(),
            caller,
            role,
            repo,
        })
    }
}

impl FromRequestParts<Shared> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        app.visit(parts).await
    }
}
