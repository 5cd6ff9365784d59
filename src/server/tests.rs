//! The document of the API against what is answered.

use std::collections::BTreeSet;

use super::*;
use crate::rules::event::{Event, Happening};
use crate::rules::lease::{Outcome, Refusal, Taken, Why};
use crate::rules::lock::{LeaseId, Liveness, Lock, Owner, Process};
use crate::rules::loss::{Cause, Loss};
use crate::rules::path::{Kind, RepoPath};
use crate::rules::report::Viewpoint;
use crate::rules::time::{DurationSpec, Ttl};
use crate::rules::view::{Content, Entry, LeaseLimits, Me};
use chrono::{DateTime, Utc};

const TERMS: LeaseLimits = LeaseLimits {
    ttl: Ttl::For(DurationSpec::from_secs(3600)),
    max_ttl: Ttl::Never,
    clock_skew: DurationSpec::from_secs(60),
};

fn now() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

fn owner() -> Owner {
    Owner {
        id: "ada@x".into(),
        name: "Ada".into(),
        host: "ws-1".into(),
        workspace: Some("b1946ac92492d234".into()),
    }
}

/// A lock of which all is known.
fn lock() -> Lock {
    Lock {
        path: RepoPath::new("a.psd").unwrap(),
        kind: Kind::File,
        lease: LeaseId::generate(now()),
        seq: 1,
        reason: Some("why".into()),
        acquired_at: now(),
        heartbeat_at: now(),
        ttl: TERMS.ttl,
        owner: owner(),
        process: Some(Process {
            pid: 1,
            started: 1,
            boot: "b".into(),
            pidns: 1,
        }),
    }
}

fn entry(content: Content) -> Entry {
    let claim = lock().claim();
    Entry {
        place: claim.place().unwrap(),
        claim,
        stored_at: Some(now()),
        content,
    }
}

fn held() -> Entry {
    entry(Content::Lock {
        lock: Box::new(lock()),
        life: Liveness::Unbound,
    })
}

fn unreadable() -> Entry {
    entry(Content::Unreadable {
        problem: "torn".into(),
    })
}

fn open() -> Authenticator {
    Authenticator::open(auth::Caller::admin("ada@x", "Ada"))
}

/// The properties of a schema, and those that are always there.
fn properties(schema: &Value) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let own = std::slice::from_ref(schema);
    let parts = schema["allOf"].as_array().map_or(own, Vec::as_slice);
    let all = parts
        .iter()
        .filter_map(|part| part["properties"].as_object());
    let always = parts.iter().filter_map(|part| part["required"].as_array());
    (
        all.flatten().map(|(name, _)| name.as_str()).collect(),
        always.flatten().filter_map(Value::as_str).collect(),
    )
}

fn keys(report: &Value) -> BTreeSet<&str> {
    let keys = report.as_object().unwrap().keys();
    keys.map(String::as_str).collect()
}

/// What is ever written is described, and what is always written is required.
fn check(name: &str, reports: &[Value]) {
    let document = document(&open());
    let (all, always) = properties(&document["components"]["schemas"][name]);
    let written: Vec<_> = reports.iter().map(keys).collect();
    let ever = written.iter().flatten().copied().collect();
    assert_eq!(all, ever, "{name}");
    let in_each = all
        .iter()
        .copied()
        .filter(|key| written.iter().all(|keys| keys.contains(key)));
    assert_eq!(always, in_each.collect(), "{name}");
}

fn report<T: serde::Serialize>(make: impl FnOnce(Viewpoint<'_>) -> T) -> Value {
    let me = Me {
        owner: owner(),
        inside: Vec::new(),
    };
    json!(make(Viewpoint {
        me: &me,
        now: now(),
        terms: &TERMS,
        here: crate::rules::spelling::Here::root(),
        trees: &crate::rules::report::NoTrees,
    }))
}

#[test]
fn the_document_has_the_operations_of_the_design() {
    let document = document(&open());
    let paths = document["paths"].as_object().unwrap();
    let found = paths.iter().flat_map(|(path, item)| {
        let path = path.strip_prefix("/api/v1/repos/{repo}/-/").unwrap();
        let methods = item.as_object().unwrap().keys();
        methods.map(move |method| format!("{method} {path}"))
    });
    let expected = [
        "delete locks/{lease}",
        "delete sessions/{id}",
        "get events",
        "get history",
        "get locks",
        "get locks/{lease}",
        "post locks",
        "post locks/{lease}/renew",
        "post sessions",
        "post sessions/{id}/heartbeat",
    ];
    let expected: BTreeSet<String> = expected.map(str::to_owned).into();
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn locks_are_as_the_document_says() {
    let whole = report(|viewpoint| viewpoint.entry(&held()));
    check("Owner", &[whole["owner"].clone()]);
    check("Process", &[whole["process"].clone()]);
    check(
        "Lock",
        &[whole, report(|viewpoint| viewpoint.entry(&unreadable()))],
    );
    let refusal = Refusal {
        path: lock().path,
        code: Code::Held,
        holder: None,
        why: Why::Rule,
    };
    check(
        "Refusal",
        &[report(|viewpoint| viewpoint.refusal(&refusal))],
    );
}

#[test]
fn a_lock_that_was_taken_says_besides_how() {
    let document = document(&open());
    let schemas = &document["components"]["schemas"];
    let (mut lock_has, mut always) = properties(&schemas["Lock"]);
    lock_has.extend(["outcome", "displaced"]);
    always.insert("outcome");
    assert_eq!(properties(&schemas["Taken"]), (lock_has, always));
    let taken = Taken {
        lock: lock(),
        outcome: Outcome::Acquired,
        displaced: Vec::new(),
    };
    let written = report(|viewpoint| viewpoint.taken(&taken));
    let entry = report(|viewpoint| viewpoint.entry(&held()));
    assert_eq!(&keys(&written) - &keys(&entry), ["outcome"].into());
    let stolen = Taken {
        outcome: Outcome::Stolen,
        displaced: vec![held()],
        ..taken
    };
    let written = report(|viewpoint| viewpoint.taken(&stolen));
    let more = ["outcome", "displaced"].into();
    assert_eq!(&keys(&written) - &keys(&entry), more);
}

#[test]
fn events_and_losses_are_as_the_document_says() {
    let author = Author {
        id: "eve@x".into(),
        name: "Eve".into(),
    };
    check("Author", &[json!(author)]);
    let bare = Event {
        seq: 1,
        happening: Happening::Stolen,
        at: now(),
        path: "a.psd".into(),
        lock: held(),
        previous: None,
        by: None,
        note: None,
    };
    let whole = Event {
        previous: Some(held()),
        by: Some(author),
        note: Some("release day".into()),
        ..bare.clone()
    };
    let removed = Event {
        happening: Happening::Unlocked,
        ..whole.clone()
    };
    check(
        "Event",
        &[bare, whole].map(|event| report(|viewpoint| viewpoint.event(&event))),
    );
    let bare = Loss {
        path: "a.psd".into(),
        lease: lock().lease,
        by: None,
        at: now(),
        cause: Cause::Stolen,
        is_news: true,
        ended: None,
    };
    let whole = Loss {
        by: Some(held()),
        ended: Some(Box::new(removed)),
        ..bare.clone()
    };
    check(
        "Loss",
        &[bare, whole].map(|loss| report(|viewpoint| viewpoint.loss(&loss))),
    );
}

#[test]
fn problems_are_as_the_document_says() {
    let bare = problem::Problem::of(Code::Held, "held");
    let whole = bare.clone().with_hint("wait").with("refused", [0; 0]);
    check(
        "Problem",
        &[bare, whole].map(|problem| render::standard(problem).into()),
    );
}

#[test]
fn only_a_guarded_server_asks_who_one_is() {
    assert_eq!(document(&open()).get("security"), None);
    let users = tempfile::NamedTempFile::new().unwrap();
    let header = "x-forwarded-user".parse().unwrap();
    let guarded =
        Authenticator::guarded(users.path().to_owned(), Vec::new(), Some(header)).unwrap();
    assert_eq!(
        document(&guarded)["security"],
        json!([{"basic": []}, {"bearer": []}])
    );
}

#[test]
fn links_lead_to_operations() {
    let document = document(&open());
    let begin = &document["paths"]["/api/v1/repos/{repo}/-/sessions"]["post"];
    let link = &begin["responses"]["201"]["links"]["heartbeat"];
    assert_eq!(link["operationId"], "heartbeat");
}

#[test]
fn a_list_is_no_body() {
    let whole =
        api::parse::<api::locks::LockRequest>(br#" [["a.psd"], null, null, null, false, false]"#);
    assert_eq!(whole.unwrap_err().status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn whoever_is_told_to_come_back_is_told_when() {
    let answer = problem::Problem::of(Code::Busy, "busy").into_response();
    assert_eq!(answer.headers()["retry-after"], "1");
}
