//! The Git LFS locking API as `git latch serve` speaks it, byte by byte: what clients rely on.

use serde_json::{Value, json};

use crate::support::Sandbox;
use crate::support::server::{Answer, Client, paths, served};

/// Asserts the status and the type; gives the body.
#[track_caller]
fn told(answer: &Answer, status: u16) -> Value {
    assert_eq!(
        answer.header("content-type"),
        "application/vnd.git-lfs+json"
    );
    answer.is(status)
}

fn create(client: &Client, path: &str) -> Answer {
    client.lfs(
        "POST",
        "locks",
        &json!({"path": path, "ref": {"name": "refs/heads/main"}}),
    )
}

fn verify(client: &Client, body: &Value) -> Value {
    told(&client.lfs("POST", "locks/verify", body), 200)
}

#[test]
fn a_lock_has_id_path_moment_and_owner_always() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let none = told(&ada.lfs("GET", "locks", &Value::Null), 200);
    assert_eq!(none, json!({"locks": []}));
    assert_eq!(verify(&ada, &json!({})), json!({"ours": [], "theirs": []}));
    let created = told(&create(&ada, "hero.psd"), 201);
    let lock = &created["lock"];
    assert!(created.get("message").is_none());
    assert_eq!(
        (&lock["path"], &lock["owner"]),
        (&json!("hero.psd"), &json!({"name": "ada"}))
    );
    let id = lock["id"].as_str().unwrap();
    assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    let at = lock["locked_at"].as_str().unwrap();
    assert_eq!((at.len(), &at[19..]), (20, "Z"), "{at}");
    let listed = told(&bob.lfs("GET", "locks", &Value::Null), 200);
    assert_eq!(listed, json!({"locks": [lock]}));
    assert_eq!(
        verify(&bob, &json!({"ref": {"name": "x"}})),
        json!({"ours": [], "theirs": [lock]})
    );
    let unlocked = told(
        &ada.lfs(
            "POST",
            &format!("locks/{id}/unlock"),
            &json!({"force": false}),
        ),
        200,
    );
    assert_eq!(unlocked["lock"], *lock);
}

#[test]
fn a_conflict_has_the_lock_and_a_message() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    let lock = told(&create(&ada, "hero.psd"), 201)["lock"].clone();
    for (who, path, said) in [
        (&bob, "hero.psd", "is locked by ada"),
        (&bob, "HERO.psd", "is locked by ada"),
        (&ada, "hero.psd", "already locked by you"),
    ] {
        let conflict = told(&create(who, path), 409);
        assert_eq!(conflict["lock"]["id"], lock["id"]);
        assert!(
            conflict["message"].as_str().unwrap().contains(said),
            "{conflict}"
        );
    }
    ada.lock(&["scenes/"]).is(201);
    let conflict = told(&create(&bob, "scenes/town.tscn"), 409);
    assert_eq!(
        (
            &conflict["lock"]["path"],
            &conflict["lock"]["owner"]["name"]
        ),
        (&json!("scenes/"), &json!("ada"))
    );
}

#[test]
fn refusals_have_a_message_and_never_mean_that_there_is_no_such_api() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let unknown = ada.of("unknown");
    for (method, what) in [
        ("GET", "locks"),
        ("POST", "locks"),
        ("POST", "locks/verify"),
        ("POST", "locks/1/unlock"),
        ("POST", "what"),
    ] {
        let refused = told(&unknown.lfs(method, what, &json!({"path": "x"})), 403);
        assert_ne!(refused["message"], "", "{what}");
    }
    assert_eq!(ada.lfs("POST", "nothing/at/all", &json!({})).status(), 403);
    let refused = told(
        &server.anybody().lfs("POST", "locks/verify", &json!({})),
        401,
    );
    assert!(refused["message"].as_str().unwrap().contains("password"));
    for path in ["", "/x", "../x", ".git/config", "a//b"] {
        let refused = told(&create(&ada, path), 422);
        assert_ne!(refused["message"], "", "{path}");
    }
    let gone = told(
        &ada.lfs(
            "POST",
            "locks/0193a7c2f5e87d2aa1b3c4d5e6f70812/unlock",
            &json!({}),
        ),
        404,
    );
    assert!(
        gone["message"].as_str().unwrap().contains("no lock"),
        "{gone}"
    );
    let form = ada.ask(
        "POST",
        "/remote.git/info/lfs/locks",
        &[("content-type", "text/plain")],
        b"{}",
    );
    assert_ne!(told(&form, 415)["message"], "");
}

#[test]
fn the_type_may_have_a_charset_and_the_ref_may_be_missing() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let ada = server.by("ada");
    let kind = [
        (
            "content-type",
            "application/vnd.git-lfs+json; charset=utf-8",
        ),
        ("accept", "application/vnd.git-lfs+json"),
    ];
    told(
        &ada.ask(
            "POST",
            "/remote.git/info/lfs/locks",
            &kind,
            br#"{"path":"hero.psd"}"#,
        ),
        201,
    );
    // Without `.git`, as some name it, and with what newer clients may say.
    let more = br#"{"path":"notes.txt","ref":{"name":"refs/heads/x"},"more":[1]}"#;
    told(&ada.ask("POST", "/remote/info/lfs/locks", &kind, more), 201);
    let listed = ada.ask(
        "GET",
        "/remote.git/info/lfs/locks?refspec=refs%2Fheads%2Fmain&limit=0&cursor=&path=&id=",
        &kind,
        b"",
    );
    assert_eq!(paths(&told(&listed, 200)["locks"]).len(), 2);
    assert_eq!(
        told(
            &ada.ask("POST", "/remote.git/info/lfs/locks/verify", &kind, b""),
            200
        )["theirs"],
        json!([])
    );
}

#[test]
fn cursors_advance_and_end() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.lock(&["."]).is(201);
    ada.lock(&["a.psd", "scenes/", "scenes/x.tscn", "zebra.psd"])
        .is(201);
    let whole = verify(&bob, &json!({}))["theirs"].clone();
    let ids: Vec<Value> = whole
        .as_array()
        .unwrap()
        .iter()
        .map(|lock| lock["id"].clone())
        .collect();
    // Four files of the whole repository, two of the directory, three of their own.
    assert_eq!(ids.len(), 9, "{whole}");
    for limit in 1..=9 {
        let (mut walked, mut cursor) = (Vec::new(), json!(""));
        for _ in 0..20 {
            let page = verify(&bob, &json!({"limit": limit, "cursor": cursor}));
            walked.extend(
                page["theirs"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|lock| lock["id"].clone()),
            );
            assert_ne!(page.get("next_cursor"), Some(&cursor));
            cursor = page.get("next_cursor").cloned().unwrap_or_default();
            if cursor.is_null() {
                break;
            }
            assert_ne!(cursor, "");
        }
        assert_eq!(walked, ids, "{limit}");
    }
    let mut seen = ids.clone();
    seen.dedup();
    assert_eq!(seen.len(), 9);
    let is_word = |id: &Value| {
        id.as_str()
            .unwrap()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    assert!(ids.iter().all(is_word), "{ids:?}");
}

#[test]
fn a_list_is_walked_and_an_entry_of_a_directory_stands_for_its_lock() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let (ada, bob) = (server.by("ada"), server.by("bob"));
    ada.lock(&["."]).is(201);
    ada.lock(&["a.psd", "b.psd"]).is(201);
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = told(
            &bob.lfs(
                "GET",
                &format!("locks?limit=1&cursor={cursor}"),
                &Value::Null,
            ),
            200,
        );
        walked.extend(paths(&page["locks"]));
        let Some(next) = page.get("next_cursor") else {
            break;
        };
        next.as_str().unwrap().clone_into(&mut cursor);
    }
    assert_eq!(walked, ["./", "a.psd", "b.psd"]);
    let entry = verify(&ada, &json!({}))["ours"][1].clone();
    let id = entry["id"].as_str().unwrap();
    let found = told(
        &ada.lfs("GET", &format!("locks?id={id}"), &Value::Null),
        200,
    );
    assert_eq!(paths(&found["locks"]), ["./"], "{id}");
    told(
        &ada.lfs("POST", &format!("locks/{id}/unlock"), &json!({})),
        200,
    );
    assert_eq!(ada.listed(""), ["a.psd", "b.psd"]);
}

#[test]
fn locks_of_agents_are_their_persons() {
    let sandbox = Sandbox::new();
    let server = served(&sandbox);
    let clone = crate::support::clones::clone(&sandbox, "ada");
    clone
        .by("ada@example.com/agent-7")
        .ok(&["lock", "hero.psd"]);
    clone.by("ada@example.community").ok(&["lock", "notes.txt"]);
    let ada = server.by("ada");
    crate::support::eventually("both are seen", || ada.listed("").len() == 2);
    let verified = verify(&ada, &json!({}));
    assert_eq!(paths(&verified["ours"]), ["hero.psd"]);
    assert_eq!(paths(&verified["theirs"]), ["notes.txt"]);
}
