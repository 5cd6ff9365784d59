//! `GET events`: what happens, as it happens, as server-sent events.
//!
//! Who comes back with a `Last-Event-ID` is told what was missed, or, where nobody remembers that far back, to read
//! everything again (`reset`). So is who reads too slowly: nobody waits for anybody.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use serde::Deserialize;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_stream::Stream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::{BroadcastStream, WatchStream};
use utoipa::IntoParams;

use super::super::app::RequestContext;
use super::super::frames::{Frames, reset};
use super::super::problem::Problem;
use super::refusals::{ParameterRefusals, Refusals};
use super::{Asked, schema};
use crate::rules::time::Clock;
use crate::rules::view::Me;
use crate::server::engine::{Published, RepoService};

/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it comes back, in milliseconds.
const RETRY: &str = "retry: 1000\n";

/// Whose stream it is.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The session that lives as long as the stream (not behind a proxy: there only heartbeats count)
    #[param(pattern = r"^[0-9a-f]{16}$")]
    session: Option<String>,
}

/// Follow what happens
#[utoipa::path(
    get, path = "/events", tag = "events", operation_id = "events",
    params(
        schema::InRepository,
        Which,
        ("Last-Event-ID" = Option<String>, Header, description = "The last id that was received: later events are sent first"),
    ),
    responses(
        (status = 200, description = "Events as they happen", body = schema::Frame, content_type = "text/event-stream"),
        ParameterRefusals,
        Refusals,
    )
)]
pub(crate) async fn stream(
    visit: RequestContext,
    headers: HeaderMap,
    Asked(which): Asked<Which>,
) -> Result<Response, Problem> {
    let mut reader = visit.me("");
    if let Some(id) = &which.session {
        if visit.service().session(id, &visit.caller.id).is_none() {
            return Err(super::sessions::no_session(id));
        }
        reader.owner.workspace = Some(id.clone());
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.map(str::trim).filter(|id| !id.is_empty());
    // What is no number is none that anybody remembers.
    let last: Option<u64> = last.map(|id| id.parse().unwrap_or(0));
    // Before what was missed is looked up: what happens meanwhile is in both, and told once.
    let news = visit.repo.listen();
    let (told, mut waiting, first) = if let Some(last) = last {
        let (told, waiting) = missed(&visit, last).await?;
        (told, waiting, format!("{RETRY}\n"))
    } else {
        // Whoever is cut off before the first event has a number to come back with as well.
        let seq = visit.service().seq();
        (seq, VecDeque::new(), format!("{RETRY}id: {seq}\n\n"))
    };
    waiting.push_front(Waiting::Bytes(Bytes::from(first)));
    // Last: a stream that does not begin must not end a session.
    let session = which.session.filter(|_| !visit.is_relayed);
    let joined = session.and_then(|id| Joined::new(&visit, &id));
    let stream = Events {
        clock: visit.app.clock,
        reader,
        told,
        waiting,
        news: BroadcastStream::new(news),
        ending: WatchStream::from_changes(visit.app.ending.clone()),
        keep_alive: Box::pin(sleep_until(Instant::now() + KEEP_ALIVE)),
        _joined: joined,
    };
    let mut response = Response::new(Body::from_stream(stream));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What is to be written before what happens from now on.
enum Waiting {
    Bytes(Bytes),
    /// Made into bytes when it is its turn: a reader who does not read costs no memory.
    Published(Arc<Published>),
}

/// What was missed since an id, and the number up to which that is everything.
async fn missed(visit: &RequestContext, last: u64) -> Result<(u64, VecDeque<Waiting>), Problem> {
    let seq = visit.service().seq();
    let again = || (seq, VecDeque::from([Waiting::Bytes(reset(seq))]));
    if last > seq {
        // Of a history that is not this one any more: what comes may have smaller numbers.
        return Ok(again());
    }
    let since = visit.read(move |service| service.since(last)).await?;
    Ok(since.map_or_else(again, |all| {
        let told = all.last().map_or(last, |told| told.seq);
        (told, all.into_iter().map(Waiting::Published).collect())
    }))
}

/// A stream that keeps a session alive.
struct Joined {
    service: Arc<RepoService>,
    session: String,
}

impl Joined {
    fn new(visit: &RequestContext, session: &str) -> Option<Self> {
        visit
            .service()
            .join(session, &visit.caller.id)
            .then(|| Joined {
                service: visit.repo.service.clone(),
                session: session.to_owned(),
            })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.service.leave(&self.session);
    }
}

/// The stream of one reader.
struct Events {
    clock: &'static dyn Clock,
    reader: Me,
    /// Up to which number everything is told.
    told: u64,
    waiting: VecDeque<Waiting>,
    news: BroadcastStream<Arc<Frames>>,
    ending: WatchStream<bool>,
    keep_alive: Pin<Box<Sleep>>,
    _joined: Option<Joined>,
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let events = self.get_mut();
        if Pin::new(&mut events.ending).poll_next(context).is_ready() {
            return Poll::Ready(None);
        }
        match events.waiting.pop_front() {
            Some(Waiting::Bytes(bytes)) => return events.say(bytes),
            Some(Waiting::Published(told)) => {
                let bytes = Frames::of(&told).bytes(&events.reader, events.clock.now());
                return events.say(bytes);
            }
            None => {}
        }
        loop {
            match Pin::new(&mut events.news).poll_next(context) {
                Poll::Ready(Some(Ok(frames))) if frames.seq() <= events.told => {}
                Poll::Ready(Some(Ok(frames))) => {
                    events.told = frames.seq();
                    return events.say(frames.bytes(&events.reader, events.clock.now()));
                }
                Poll::Ready(Some(Err(BroadcastStreamRecvError::Lagged(_)))) => {
                    let seq = events.told;
                    return events.say(reset(seq));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if events.keep_alive.as_mut().poll(context).is_ready() {
            return events.say(Bytes::from_static(b": alive\n\n"));
        }
        Poll::Pending
    }
}

impl Events {
    fn say(&mut self, bytes: Bytes) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(Ok(bytes)))
    }
}
