//! Events as they are written to streams: made once for everybody, whoever's lock it is.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use chrono::{DateTime, Utc};

use crate::rules::event::Event;
use crate::rules::lock::{Lock, Owner};
use crate::rules::report::{NoTrees, Viewpoint};
use crate::rules::spelling::Here;
use crate::rules::view::Me;
use crate::server::engine::{Published, me};

/// A change, ready to be written to any number of streams.
#[derive(Debug)]
pub(crate) struct Frames {
    told: Arc<Published>,
    /// Without any lock that is the reader's own: most readers'.
    of_others: OnceLock<Bytes>,
}

impl Frames {
    pub(crate) fn of(told: &Arc<Published>) -> Self {
        Frames {
            told: told.clone(),
            of_others: OnceLock::new(),
        }
    }

    pub(crate) fn seq(&self) -> u64 {
        self.told.seq
    }

    /// The bytes for one reader who reads now.
    pub(crate) fn bytes(&self, reader: &Me, now: DateTime<Utc>) -> Bytes {
        let Some(events) = &self.told.events else {
            return reset(self.told.seq);
        };
        let is_own = |lock: Option<&Lock>| lock.is_some_and(|lock| reader.owns(lock));
        let concerns = |event: &Event| {
            let previous = event.previous.as_ref().and_then(|entry| entry.lock());
            is_own(event.lock.lock()) || is_own(previous)
        };
        if events.iter().any(concerns) {
            return written(&self.told, events, reader, now);
        }
        let nobody = || written(&self.told, events, &nobody(), now);
        self.of_others.get_or_init(nobody).clone()
    }
}

/// Somebody who owns nothing.
fn nobody() -> Me {
    me(Owner {
        id: String::new(),
        name: String::new(),
        host: String::new(),
        workspace: None,
    })
}

/// The word that everything has to be read again.
pub(crate) fn reset(seq: u64) -> Bytes {
    Bytes::from(format!(
        "id: {seq}\nevent: reset\ndata: {{\"seq\":{seq}}}\n\n"
    ))
}

fn written(told: &Published, events: &[Event], reader: &Me, now: DateTime<Utc>) -> Bytes {
    let viewpoint = Viewpoint {
        me: reader,
        now,
        terms: &told.terms,
        here: Here::root(),
        trees: &NoTrees,
    };
    let mut text = Vec::with_capacity(events.len() * 640);
    for (n, event) in events.iter().enumerate() {
        // Who has read half of a change asks for the whole of it again.
        if n + 1 == events.len() {
            text.extend_from_slice(format!("id: {}\n", told.seq).as_bytes());
        }
        let word = event.happening.as_str();
        text.extend_from_slice(format!("event: {word}\ndata: ").as_bytes());
        // A report has nothing in it that JSON cannot say.
        let _ = serde_json::to_writer(&mut text, &viewpoint.event(event));
        text.extend_from_slice(b"\n\n");
    }
    Bytes::from(text)
}
