//! `git latch serve`: locks over HTTP, for browsers, backends and stock Git LFS clients.
//!
//! The only folder that names tokio and axum. It turns requests into questions and changes of `crate::server::engine`, and their
//! answers into JSON, events and pages; the engine decides what a lock is and who may have it.
//!
//! A request comes through `listen` (connections, TLS), `safety` (is it for us, is it ours), `address` (repository
//! names have slashes), [`auth`] (who asks) and `app` (what they may), to one of `api`, `lfs`, `web`.

mod access;
mod address;
mod api;
mod app;
pub mod auth;
pub(crate) mod engine;
mod frames;
mod lfs;
mod listen;
mod metrics;
mod page;
mod problem;
mod render;
mod repos;
mod safety;
pub mod users;
mod web;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::Layer as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

pub use app::LOCKS_EACH;
pub use repos::Source;

use access::{AccessLog, Principal};
use app::{App, Shared};
use auth::Authenticator;
use listen::Listen;
use metrics::Metrics;
use problem::Problem;
use repos::Repos;

use crate::os::network::raise_open_files;
use crate::os::signals;
use crate::rules::error::{Code, Error, Result};
use crate::rules::event::Author;
use crate::rules::time::{Clock, rfc3339};

/// The largest body of a request, in bytes.
const BODY: usize = 1 << 20;
/// How long a request may take to be answered, and how long its body may stand still.
const ANSWER: Duration = Duration::from_secs(90);
const BODY_STANDS_STILL: Duration = Duration::from_secs(15);
/// Maximum number of open connections, where nothing else is said.
pub const CONNECTIONS: usize = 16_384;

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// What.
    pub source: Source,
    /// Where to listen; port 0 is any.
    pub listen: SocketAddr,
    /// Names by which clients reach the server.
    pub hosts: Vec<String>,
    /// Who is let in.
    pub authenticator: Authenticator,
    /// Whether people are told apart: without, only this machine is listened to.
    pub has_users: bool,
    /// Where the contents of Git LFS lie; `{repo}` in it is the repository's name.
    pub lfs_upstream: Option<String>,
    /// Certificate and key, in PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Where the access log goes; `-` is standard error.
    pub access_log: Option<PathBuf>,
    /// Maximum number of open connections.
    pub connections: usize,
    /// Maximum number of locks of one person in one repository.
    pub locks_each: usize,
    /// Who makes the changes that nobody asked for.
    pub server: Author,
    /// Where all times come from.
    pub clock: &'static dyn Clock,
}

/// The document of the API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "git-latch",
        description = "Leases on paths of git repositories. Errors are `application/problem+json`. \
            `{repo}` is the repository's path below the root, without `.git`, its slashes as they are or as `%2F`."
    ),
    components(schemas(api::schema::Problem))
)]
struct Document;

/// Serves until SIGINT or SIGTERM. `ready` is told the address as soon as clients can connect.
///
/// # Errors
/// Where it cannot begin: a bind that is refused, a certificate that cannot be read, a repository that cannot be served.
pub fn run(options: Options, ready: impl FnOnce(&str)) -> Result<()> {
    if !options.has_users && !options.listen.ip().is_loopback() {
        return Err(Error::bad_usage(
            format!(
                "anyone who reaches {} could change every lock",
                options.listen
            ),
            "require logins with `--users FILE` (`git latch user add` writes it), or listen on 127.0.0.1",
        ));
    }
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(8 << 20)
        .build()
        .map_err(Error::io("start the threads of", "the server"))?;
    let result = runtime.block_on(serve(options, ready));
    // What still runs is a change under way, which is written whole or not at all.
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

async fn serve(options: Options, ready: impl FnOnce(&str)) -> Result<()> {
    let tls = match &options.tls {
        Some((cert, key)) => Some(listen::tls(cert, key)?),
        None => None,
    };
    if options.has_users && tls.is_none() && !options.listen.ip().is_loopback() {
        tracing::warn!(
            "passwords cross the network in clear: give --tls-cert and --tls-key, or put a proxy with TLS before it"
        );
    }
    let log = options
        .access_log
        .as_deref()
        .map(AccessLog::open)
        .transpose()?;
    let listener = TcpListener::bind(options.listen).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrNotAvailable => "it is not an address of this machine",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need special permission",
            _ => "another server may be using it; choose another with `--listen ADDRESS:PORT`, port 0 for any",
        };
        Error::bad_usage(
            format!("cannot listen on {}: {error}", options.listen),
            hint,
        )
    })?;
    let address = listener
        .local_addr()
        .map_err(Error::io("ask for the address of", "the server"))?;
    let (end, ending) = watch::channel(false);
    let app = Arc::new(App {
        repos: Repos::new(options.source, options.server, options.clock)?,
        authenticator: options.authenticator,
        metrics: Metrics::new(),
        clock: options.clock,
        hosts: options.hosts.into(),
        lfs_upstream: options.lfs_upstream,
        locks_each: options.locks_each,
        reading: Semaphore::new(app::READING),
        ending: ending.clone(),
    });
    app.repos.open_the_only().await?;
    // Heard from now on, before anybody knows that the server runs. Nobody listens any more where sending fails.
    heed(signals::on_stop(move || {
        let _ = end.send(true);
    }));
    if let Some(log) = log.clone() {
        // It was moved away.
        heed(signals::on_hangup(move || log.reopen()));
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    ready(&format!("{scheme}://{address}"));
    let listen = Listen {
        listener,
        tls,
        at_most: options.connections,
        router: router(app.clone(), log),
        app,
    };
    listen.serve(ending).await;
    Ok(())
}

/// Without signals the server ends when its process does.
fn heed(caught: std::io::Result<()>) {
    if let Err(error) = caught {
        tracing::debug!(%error, "signals cannot be received");
    }
}

/// The document of the API behind an authenticator, as JSON.
#[must_use]
pub(crate) fn document(authenticator: &Authenticator) -> serde_json::Value {
    let (_, mut document) = described().split_for_parts();
    if !authenticator.is_open() {
        let ways = ["basic", "bearer"];
        document.security = Some(
            ways.map(|way| SecurityRequirement::new(way, [""; 0]))
                .into(),
        );
        let components = document.components.get_or_insert_default();
        for (way, scheme) in ways
            .into_iter()
            .zip([HttpAuthScheme::Basic, HttpAuthScheme::Bearer])
        {
            components.add_security_scheme(way, SecurityScheme::Http(Http::new(scheme)));
        }
    }
    let mut document = json!(document);
    correct_links(&mut document);
    document
}

/// Gives links the names of the standard: `utoipa` 5 writes `operation_id`.
fn correct_links(value: &mut Value) {
    if let Some(links) = value.get_mut("links").and_then(Value::as_object_mut) {
        for link in links.values_mut().filter_map(Value::as_object_mut) {
            if let Some(id) = link.shift_remove("operation_id") {
                link.insert("operationId".into(), id);
            }
        }
    }
    match value {
        Value::Object(all) => all.values_mut().for_each(correct_links),
        Value::Array(all) => all.iter_mut().for_each(correct_links),
        _ => {}
    }
}

fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi()).nest("/api/v1/repos/{repo}/-", api::router())
}

/// All that is answered.
fn router(app: Shared, log: Option<AccessLog>) -> Router {
    let (api, _) = described().split_for_parts();
    let inner = api
        .nest("/-/lfs", lfs::router())
        .merge(web::router())
        .fallback(web::nothing)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(RequestBodyTimeoutLayer::new(BODY_STANDS_STILL))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(app.hosts.clone(), safety::guard))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::of(Code::Io, "internal error; see the server's log").into_response()
        }))
        .layer(from_fn(unknown_methods))
        .layer(from_fn(render::problems))
        .layer(from_fn_with_state((app.clone(), log), observe))
        .with_state(app);
    // Before anything is routed.
    let led = tower::util::MapRequestLayer::new(address::lead).layer(inner);
    Router::new().fallback_service(led)
}

/// Answers that something takes too long: every wait ends.
async fn in_time(request: Request, next: Next) -> Response {
    if let Ok(response) = tokio::time::timeout(ANSWER, next.run(request)).await {
        return response;
    }
    let detail = "no answer in time; the request may still take effect";
    Problem::of(Code::Busy, detail)
        .retry_after(ANSWER)
        .into_response()
}

/// What the router says about methods that nobody has, as a problem.
async fn unknown_methods(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::BadUsage,
        "this address does not allow that method",
    );
    let mut answer = problem.into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow.clone());
    }
    answer
}

/// Counts a request, and writes it down.
async fn observe(
    State((app, log)): State<(Shared, Option<AccessLog>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let asker = Principal::default();
    request.extensions_mut().insert(asker.clone());
    let method = request.method().clone();
    let told = log.as_ref().map(|_| {
        let peer = request
            .extensions()
            .get::<axum::extract::ConnectInfo<SocketAddr>>();
        let client = peer.map(|peer| {
            app.authenticator
                .client_of(peer.0.ip(), request.headers())
                .to_string()
        });
        let outside = request.extensions().get::<address::Outside>();
        let target = outside.map_or_else(|| request.uri(), |outside| &outside.0);
        (target.to_string(), client)
    });
    let response = next.run(request).await;
    let took = began.elapsed().as_secs_f64();
    app.metrics
        .answered(&method, response.status().as_u16(), took);
    if let (Some(log), Some((target, client))) = (log, told) {
        log.say(json!({
            "at": rfc3339(app.clock.now()),
            "client": client,
            "user": asker.name(),
            "method": method.as_str(),
            "target": target,
            "status": response.status().as_u16(),
            "milliseconds": (took * 1e6).round() / 1e3,
        }));
    }
    response
}
