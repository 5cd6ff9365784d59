//! Numbers for Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::repos::Repos;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct InRepo {
    repo: String,
}

/// What is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    seconds: Histogram,
    denied: Counter,
    pub(crate) connections: Gauge,
    pub(crate) turned_away: Counter<u64, AtomicU64>,
    locks: Family<InRepo, Gauge>,
    sessions: Family<InRepo, Gauge>,
    listeners: Family<InRepo, Gauge>,
    waiting: Family<InRepo, Gauge>,
    changes: Family<InRepo, Gauge>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("git_latch"),
            requests: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.0005, 4.0, 9)),
            denied: Counter::default(),
            connections: Gauge::default(),
            turned_away: Counter::default(),
            locks: Family::default(),
            sessions: Family::default(),
            listeners: Family::default(),
            waiting: Family::default(),
            changes: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let all = &mut self.registry;
        all.register(
            "requests",
            "Requests that were answered",
            self.requests.clone(),
        );
        all.register_with_unit(
            "request_duration",
            "Time until a request was answered",
            Unit::Seconds,
            self.seconds.clone(),
        );
        all.register(
            "denied",
            "Requests without valid credentials",
            self.denied.clone(),
        );
        all.register(
            "connections",
            "Connections that are open",
            self.connections.clone(),
        );
        all.register(
            "connections_turned_away",
            "Connections over the limit",
            self.turned_away.clone(),
        );
        all.register(
            "locks",
            "Locks, including expired ones not removed yet",
            self.locks.clone(),
        );
        all.register("sessions", "Live sessions", self.sessions.clone());
        all.register("streams", "Open event streams", self.listeners.clone());
        all.register("waiting", "Change requests that wait", self.waiting.clone());
        all.register("seq", "The number of the last change", self.changes.clone());
    }

    pub(crate) fn denied(&self) {
        self.denied.inc();
    }

    pub(crate) fn answered(&self, method: &axum::http::Method, status: u16, seconds: f64) {
        // Anybody may invent methods: only those that are known get a row of their own.
        let known = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"];
        let method = known.iter().find(|known| **known == method.as_str());
        let method = method.map_or("other", |known| known).to_owned();
        self.requests
            .get_or_create(&Answered { method, status })
            .inc();
        self.seconds.observe(seconds);
    }

    /// The text that Prometheus reads.
    pub(crate) fn text(&self, repos: &Repos) -> String {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for hosted in repos.open() {
            let of = InRepo {
                repo: hosted.service.name().to_owned(),
            };
            let (locks, sessions, waiting) = hosted.service.counts();
            self.locks.get_or_create(&of).set(number(locks));
            self.sessions.get_or_create(&of).set(number(sessions));
            self.waiting.get_or_create(&of).set(number(waiting));
            self.listeners
                .get_or_create(&of)
                .set(number(hosted.listeners()));
            let seq = i64::try_from(hosted.service.seq()).unwrap_or(i64::MAX);
            self.changes.get_or_create(&of).set(seq);
        }
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
