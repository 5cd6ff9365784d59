use super::*;
use crate::rules::path::Key;

fn step(place: &str, lease: Option<&LeaseId>, before: Option<&str>) -> Step {
    Step {
        place: place.into(),
        lease: lease.cloned(),
        before: before.map(str::to_owned),
        modified: None,
    }
}

/// A lock file of `a`, of this lease.
fn text(lease: &LeaseId) -> String {
    format!(
        "format = 1\npath = \"a\"\nkind = \"file\"\nlease = \"{lease}\"\nseq = 1\n\
         acquired_at = 2026-01-01T00:00:00.000Z\nheartbeat_at = 2026-01-01T00:00:00.000Z\nttl = \"1h\"\n\
         [owner]\nid = \"ada\"\nname = \"ada\"\nhost = \"host\"\n"
    )
}

#[test]
fn what_another_has_put_there_since_stays() {
    let home = tempfile::tempdir().unwrap();
    let (locks, tmp) = (home.path().join("locks"), home.path().join("tmp"));
    for directory in [&locks, &tmp] {
        std::fs::create_dir(directory).unwrap();
    }
    let [mine, other] =
        [0, 1].map(|n| LeaseId::generate(DateTime::UNIX_EPOCH + Duration::from_secs(n)));
    let journal = Journal {
        seq: 1,
        step: vec![
            step("a.lock", Some(&mine), None),
            step("b.lock", None, Some("old")),
        ],
    };
    let successors = [text(&other), "successor".into()];
    for (name, text) in ["a.lock", "b.lock"].iter().zip(&successors) {
        std::fs::write(locks.join(name), text).unwrap();
    }
    journal.undo(&locks, &tmp, Sharing::Umask).unwrap();
    for (name, text) in ["a.lock", "b.lock"].iter().zip(&successors) {
        assert_eq!(std::fs::read_to_string(locks.join(name)).unwrap(), *text);
    }
    // A reader looks at it in the same way.
    let entry =
        |name: &str, text: &str| entry_of(Place::from_bytes(name.into()), Ok(text.into()), None);
    let mut entries = vec![
        entry("a.lock", &successors[0]),
        entry("b.lock", "successor"),
    ];
    journal.undo_in(&mut entries, |_| true);
    assert_eq!(entries.len(), 2);
    let a = entries.iter().find(|e| e.claim.key == Key::of(b"a"));
    assert_eq!(a.and_then(|e| e.lock()).map(|l| &l.lease), Some(&other));
    // Its own step is taken back.
    std::fs::write(locks.join("a.lock"), text(&mine)).unwrap();
    journal.undo(&locks, &tmp, Sharing::Umask).unwrap();
    assert!(!locks.join("a.lock").exists());
}

#[test]
fn a_lock_may_be_older_than_all_counting() {
    let second = Duration::from_secs(1);
    let (before, after) = (system_time(-1_000_000_000), system_time(1_000_000_000));
    assert_eq!(before, SystemTime::UNIX_EPOCH - second);
    assert_eq!(after, SystemTime::UNIX_EPOCH + second);
}

#[test]
fn one_that_is_torn_undoes_nothing_and_one_that_leads_outside_neither() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("txn");
    for text in [
        "",
        "\0\0\0",
        "{\"seq\":1,\"st",
        "{\"step\":[{\"place\":\"../x\",\"lease\":null,\"before\":\"y\"}]}",
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!(Journal::read(&path).unwrap().unwrap().step, [], "{text}");
    }
}
