use chrono::{TimeDelta, TimeZone as _};
use serde_json::json;

use super::locks::Action;
use super::messages::{Badge, Whose};
use super::*;
use crate::rules::lock::{LeaseId, Liveness, Lock, Owner, Process};
use crate::rules::path::{Claim, RepoPath};
use crate::rules::time::{DurationSpec, Ttl};
use crate::rules::view::Content;
use crate::server::engine::mentions;

const TERMS: LeaseLimits = LeaseLimits {
    ttl: Ttl::For(DurationSpec::from_secs(3600)),
    max_ttl: Ttl::Never,
    clock_skew: DurationSpec::from_secs(60),
};

const ADA: Viewer<'_> = Viewer {
    id: "ada@x",
    shown: "Ada",
    role: Role::Admin,
};

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 20, 22, 0, 0).unwrap()
}

/// A file's lock of an hour, taken at once.
fn lock(id: &str, path: &str) -> Lock {
    Lock {
        path: RepoPath::new(path).unwrap(),
        kind: Kind::File,
        lease: LeaseId::generate(now()),
        seq: 1,
        reason: None,
        acquired_at: now(),
        heartbeat_at: now(),
        ttl: TERMS.ttl,
        owner: Owner {
            id: id.into(),
            name: String::new(),
            host: "ws-1".into(),
            workspace: None,
        },
        process: None,
    }
}

fn entry(lock: Lock) -> Entry {
    let claim = lock.claim();
    Entry {
        place: claim.place().unwrap(),
        claim,
        stored_at: Some(lock.heartbeat_at),
        content: Content::Lock {
            lock: Box::new(lock),
            life: Liveness::Unbound,
        },
    }
}

fn unreadable(path: &str) -> Entry {
    let claim = Claim::new(&RepoPath::new(path).unwrap(), Kind::File);
    Entry {
        place: claim.place().unwrap(),
        claim,
        stored_at: Some(now()),
        content: Content::Unreadable {
            problem: "it is <empty>".into(),
        },
    }
}

fn page_of(viewer: &Viewer<'_>, locks: &[&Entry]) -> String {
    repository(&RepositoryPage {
        repo: "team/game",
        viewer,
        locks,
        terms: &TERMS,
        now: now(),
        seq: 7,
        total: locks.len(),
        filter: Filter::default(),
        next_cursor: None,
        folder: &[],
    })
}

/// The table's body: the template below it has every button of the role.
fn rows(page: &str) -> &str {
    let from = page.find("<tbody").unwrap();
    &page[from..from + page[from..].find("</tbody>").unwrap()]
}

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"'&";

#[test]
fn what_users_named_is_escaped() {
    let mut hostile = lock(HOSTILE, &format!("a/{HOSTILE}.psd"));
    hostile.owner.name = HOSTILE.into();
    hostile.owner.host = HOSTILE.into();
    hostile.reason = Some(HOSTILE.into());
    let hostile = entry(hostile);
    let page = repository(&RepositoryPage {
        repo: HOSTILE,
        viewer: &Viewer {
            id: HOSTILE,
            shown: HOSTILE,
            role: Role::Admin,
        },
        locks: &[&hostile],
        terms: &TERMS,
        now: now(),
        seq: 1,
        total: 1,
        filter: Filter {
            search: HOSTILE,
            mine: false,
            under: HOSTILE,
            cursor: Some(HOSTILE),
        },
        next_cursor: Some(HOSTILE),
        folder: &[FolderItem {
            name: HOSTILE.into(),
            path: HOSTILE.into(),
            kind: Kind::Directory,
            lock: Some(&hostile),
            locked_below: 1,
        }],
    });
    let others = [
        repositories(&[(HOSTILE.into(), Some(1))], ADA.person()),
        message(404, HOSTILE, HOSTILE),
        api(
            &json!({ "info": { "title": HOSTILE }, "paths": { HOSTILE: { "get": { "summary": HOSTILE } } } }),
        ),
    ];
    for html in others.iter().chain([&page]) {
        assert!(!html.contains("<img"), "{html}");
        assert!(!html.contains("\"'&"), "{html}");
    }
}

#[test]
fn no_text_turns_the_direction_of_its_neighbours() {
    let turned = entry(lock("ada@x", "cod\u{202e}gpj.exe"));
    let page = page_of(&ADA, &[&turned]);
    assert!(page.contains("<span class=\"own\">cod\\u{202e}gpj.exe</span>"));
    assert_eq!(messages::visible("a\u{7}b"), "a\\u{7}b");
}

#[test]
fn addresses_are_encoded_segment_by_segment() {
    assert_eq!(
        links::history("a b/ü", Some("x/y?&.psd"), None),
        "/a%20b/%C3%BC/-/history?path=x%2Fy%3F%26.psd"
    );
}

#[test]
fn buttons_are_those_of_the_role() {
    let offered = |role, whose| -> Vec<&str> {
        let all = [
            (Action::Unlock, "unlock"),
            (Action::TakeOver, "take over"),
            (Action::ForceUnlock, "force unlock"),
        ];
        let is_offered = |(action, _): &(Action, _)| action.is_for(role, whose);
        all.into_iter()
            .filter(is_offered)
            .map(|(_, name)| name)
            .collect()
    };
    for whose in [Whose::Mine, Whose::Elsewhere, Whose::Other, Whose::Nobody] {
        assert!(offered(Role::Viewer, whose).is_empty());
    }
    assert_eq!(offered(Role::Editor, Whose::Mine), ["unlock"]);
    assert_eq!(offered(Role::Editor, Whose::Elsewhere), ["take over"]);
    assert!(offered(Role::Editor, Whose::Other).is_empty());
    let both = ["take over", "force unlock"];
    assert_eq!(offered(Role::Admin, Whose::Mine), ["unlock"]);
    assert_eq!(offered(Role::Admin, Whose::Elsewhere), both);
    assert_eq!(offered(Role::Admin, Whose::Other), both);
    assert!(offered(Role::Admin, Whose::Nobody).is_empty());
}

#[test]
fn a_page_offers_what_its_viewer_may_do() {
    let (own, other) = (entry(lock("ada@x", "own")), entry(lock("bob@x", "other")));
    let shown = |role| page_of(&Viewer { role, ..ADA }, &[&own, &other]);
    let viewer = shown(Role::Viewer);
    assert!(!viewer.contains("<button class"));
    assert!(!viewer.contains("id=\"lock-form\""));
    let editor = shown(Role::Editor);
    assert!(editor.contains("id=\"lock-form\""));
    assert!(rows(&editor).contains("aria-label=\"Unlock own\""));
    assert!(!editor.contains("force-unlock"));
    let admin = shown(Role::Admin);
    assert!(rows(&admin).contains("aria-label=\"Force unlock other\""));
    assert!(rows(&admin).contains("aria-label=\"Take over other\""));
    assert!(!rows(&admin).contains("aria-label=\"Take over own\""));
}

#[test]
fn mine_in_a_workspace_is_elsewhere_for_a_browser() {
    let mut in_workspace = lock("ada@x", "a");
    in_workspace.owner.workspace = Some("b1946ac92492d234".into());
    let whose = |lock: Lock| Whose::of(&entry(lock), &ADA);
    assert_eq!(whose(in_workspace), Whose::Elsewhere);
    assert_eq!(whose(lock("ada@x/agent-7", "a")), Whose::Elsewhere);
    assert_eq!(whose(lock("ada@x", "a")), Whose::Mine);
    assert_eq!(whose(lock("ada@xy", "a")), Whose::Other);
}

#[test]
fn a_badge_tells_what_ends_soon_and_what_has_ended() {
    let badge = |ttl: &str, passed: i64| {
        let mut lock = lock("ada@x", "a");
        lock.ttl = ttl.parse().unwrap();
        Badge::of(&entry(lock), now() + TimeDelta::seconds(passed), &TERMS)
    };
    assert_eq!(badge("10h", 8 * 3600), None);
    assert_eq!(badge("10h", 8 * 3600 + 1), Some(Badge::Soon));
    assert_eq!(badge("30m", 1200), None);
    assert_eq!(badge("30m", 1201), Some(Badge::Soon));
    assert_eq!(badge("30m", 1799), Some(Badge::Soon));
    assert_eq!(badge("30m", 1800), Some(Badge::Ending));
    assert_eq!(badge("never", 1_000_000), None);
}

#[test]
fn a_short_lease_of_a_process_is_no_news_until_it_has_ended() {
    let mut bound = lock("ada@x", "a");
    bound.ttl = "3m".parse().unwrap();
    bound.process = Some(Process {
        pid: 1,
        started: 1,
        boot: "b".into(),
        pidns: 1,
    });
    let mut bound = entry(bound);
    let later = now() + TimeDelta::minutes(3);
    assert_eq!(Badge::of(&bound, now(), &TERMS), None);
    assert_eq!(Badge::of(&bound, later, &TERMS), Some(Badge::Ending));
    if let Content::Lock { life, .. } = &mut bound.content {
        *life = Liveness::Alive;
    }
    assert_eq!(Badge::of(&bound, later, &TERMS), None);
}

#[test]
fn an_unreadable_lock_is_shown_with_its_problem_and_without_buttons() {
    let broken = unreadable("a/b.psd");
    let page = page_of(&ADA, &[&broken]);
    let row = rows(&page);
    assert!(row.contains("data-badge=\"unreadable\""), "{row}");
    assert!(row.contains("it is &lt;empty&gt;"));
    assert!(!row.contains("<button"));
}

#[test]
fn search_folds_case_and_looks_at_path_owner_and_reason() {
    let mut found = lock("bob@x", "Assets/Hero.psd");
    found.reason = Some("Überarbeitung".into());
    let found = entry(found);
    for text in ["", "  ", "hero.PSD", "BOB@", "über"] {
        assert!(mentions(&found, text), "{text}");
    }
    assert!(!mentions(&found, "heroes"));
}

#[test]
fn a_filter_stays_in_the_links() {
    let page = repository(&RepositoryPage {
        repo: "game",
        viewer: &ADA,
        locks: &[],
        terms: &TERMS,
        now: now(),
        seq: 1,
        total: 501,
        filter: Filter {
            search: "a b",
            mine: true,
            under: "x/y",
            cursor: None,
        },
        next_cursor: Some("z"),
        folder: &[],
    });
    assert!(page.contains("href=\"/game?q=a%20b&amp;mine=true&amp;under=x%2Fy&amp;cursor=z\""));
    assert!(page.contains("href=\"/game?q=a%20b&amp;mine=true&amp;under=x\""));
    assert!(page.contains("No lock matches."));
}

#[test]
fn a_history_tells_who_took_from_whom() {
    let event = Event {
        seq: 9,
        happening: crate::rules::event::Happening::Stolen,
        at: now(),
        path: "a".into(),
        lock: entry(lock("ada@x", "a")),
        previous: Some(entry(lock("bob@x", "a"))),
        by: None,
        note: None,
    };
    let page = history(&HistoryPage {
        repo: "game",
        viewer: &ADA,
        path: Some("a"),
        events: &[event],
        next_cursor: Some("8"),
    });
    assert!(page.contains("taken over from <bdi>bob@x</bdi>"), "{page}");
    assert!(page.contains("href=\"/game/-/history?path=a&amp;cursor=8\""));
}

#[test]
fn a_description_becomes_a_page_with_links_to_its_schemas() {
    let page = api(&json!({
        "info": { "title": "Locks", "version": "1" },
        "paths": { "/locks/{lease}": {
            "parameters": [{ "$ref": "#/components/parameters/lease" }],
            "delete": {
                "summary": "Gives `one` back",
                "requestBody": { "content": { "application/json": { "schema": { "type": "array", "items": { "type": "string" } } } } },
                "responses": { "200": { "description": "Gone", "content": {
                    "application/json": { "schema": { "$ref": "#/components/schemas/Lock" } } } } } } } },
        "components": {
            "parameters": { "lease": { "name": "lease", "in": "path", "required": true, "schema": { "type": "string" } } },
            "schemas": { "Lock": { "type": "object", "required": ["path"], "properties": {
                "path": { "type": "string" }, "next": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Lock" }] } } } } }
    }));
    assert!(page.contains("<b>DELETE</b> /locks/{lease}"));
    assert!(page.contains(">path, required</td>"));
    assert!(page.contains("array of string"));
    assert!(page.contains("href=\"#schema-Lock\""));
    assert!(page.contains("id=\"schema-Lock\""));
    assert!(page.contains("null or <a href=\"#schema-Lock\"><code>Lock</code></a>, optional"));
}

#[test]
fn the_policy_of_the_pages_holds_for_script_and_style() {
    for forbidden in [
        "innerHTML",
        "insertAdjacentHTML",
        "eval(",
        ".style.",
        "http://",
    ] {
        assert!(!SCRIPT.contains(forbidden), "{forbidden}");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    let locked = entry(lock("ada@x", "a"));
    let page = page_of(&ADA, &[&locked]);
    assert!(!page.contains("style=") && !page.contains("onclick"));
    assert!(page.contains("<script type=\"module\" src=\"/-/page.js\"></script>"));
}
