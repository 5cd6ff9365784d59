//! Which locks stand against a push, page by page.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, page_of, shown, shown_entry};
use crate::rules::lock::{Lock, is_or_below};
use crate::rules::path::{Key, Kind};
use crate::rules::view::Entry;
use crate::server::api::{Body, cursor_of, key_of};
use crate::server::app::RequestContext;
use crate::server::engine::{Listed, Query};
use crate::server::problem::Problem;

/// How many entries one directory lock may become, all pages together.
const SPREAD: usize = 100_000;

#[derive(Deserialize)]
pub(super) struct Verify {
    cursor: Option<String>,
    limit: Option<u64>,
}

pub(super) async fn verify(
    visit: RequestContext,
    Body(request): Body<Verify>,
) -> Result<Response, Problem> {
    if request.cursor.as_deref().is_none_or(str::is_empty) {
        visit.renew_due();
    }
    visit.catch_up().await;
    let limit = page_of(request.limit);
    let cursor = request
        .cursor
        .as_deref()
        .filter(|cursor| !cursor.is_empty());
    let (after, told) = cursor.map(place_of).transpose()?.unwrap_or((None, 0));
    let query = Query {
        after: after.clone(),
        limit: Some(limit),
        ..Query::default()
    };
    let listed = visit.service().list(&query, visit.now());
    let page = Page::of(&visit, listed, (after, told), limit).await?;
    let mut body = json!({"ours": page.ours, "theirs": page.theirs});
    if let Some(next) = page.next {
        body["next_cursor"] = json!(next);
    }
    Ok(answer(StatusCode::OK, body))
}

/// Where a page of a verification ended: after a key, and within the directory lock that follows, after so many files.
fn place_of(cursor: &str) -> Result<(Option<Key>, usize), Problem> {
    let (key, told) = cursor.split_once('.').unwrap_or((cursor, "0"));
    let told = told
        .parse()
        .map_err(|_| Problem::bad_usage("invalid cursor"))?;
    let key = (!key.is_empty()).then(|| key_of(key)).transpose()?;
    Ok((key, told))
}

/// A page of a verification.
#[derive(Default)]
struct Page {
    ours: Vec<Value>,
    theirs: Vec<Value>,
    next: Option<String>,
}

impl Page {
    /// Of locks in order; a directory's is one entry for each tracked file below it, as its clients know files only.
    /// `last` is where the page before ended, and how many entries of the next lock were told there.
    async fn of(
        visit: &RequestContext,
        listed: Listed,
        (mut last, mut told): (Option<Key>, usize),
        limit: usize,
    ) -> Result<Self, Problem> {
        let mut page = Page::default();
        for entry in listed.entries {
            if page.len() >= limit {
                page.next = last.as_ref().map(cursor_of);
                return Ok(page);
            }
            let files = files_of(visit, &entry).await?;
            if let Some((lock, files)) = entry.lock().zip(files) {
                let room = limit - page.len();
                for (n, file) in files.iter().enumerate().skip(told).take(room) {
                    let id = format!("{}_{n}", lock.lease);
                    page.push(visit, &entry, shown(&id, file, lock));
                }
                if told + room < files.len() {
                    let key = last.as_ref().map_or(String::new(), cursor_of);
                    page.next = Some(format!("{key}.{}", told + room));
                    return Ok(page);
                }
            } else {
                page.push(visit, &entry, shown_entry(&entry));
            }
            told = 0;
            last = Some(entry.claim.key);
        }
        page.next = listed.next.as_ref().map(cursor_of);
        Ok(page)
    }

    fn len(&self) -> usize {
        self.ours.len() + self.theirs.len()
    }

    fn push(&mut self, visit: &RequestContext, entry: &Entry, value: Value) {
        let is_ours = |lock: &Lock| is_or_below(&lock.owner.id, &visit.caller.id);
        if entry.lock().is_some_and(is_ours) {
            self.ours.push(value);
        } else {
            self.theirs.push(value);
        }
    }
}

/// The tracked files below a directory lock; `None` for a file's, and where there are none.
async fn files_of(visit: &RequestContext, entry: &Entry) -> Result<Option<Vec<String>>, Problem> {
    if entry.lock().is_none_or(|lock| lock.kind == Kind::File) {
        return Ok(None);
    }
    let claim = entry.claim.clone();
    let mut files = visit
        .read(move |service| service.files_below(&claim))
        .await?;
    files.truncate(SPREAD);
    Ok(Some(files).filter(|files| !files.is_empty()))
}
