use super::*;
use crate::os::mode::Sharing;
use crate::rules::lock::{Liveness, Owner};
use crate::rules::time::{DurationSpec, Ttl};
use crate::rules::view::{self, LeaseLimits};

const TERMS: LeaseLimits = LeaseLimits {
    ttl: Ttl::For(DurationSpec::from_secs(86_400)),
    max_ttl: Ttl::For(DurationSpec::from_secs(86_400)),
    clock_skew: DurationSpec::from_secs(60),
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn me(id: &str) -> Me {
    Me {
        owner: Owner {
            id: id.into(),
            name: id.into(),
            host: "host".into(),
            workspace: Some("here".into()),
        },
        inside: Vec::new(),
    }
}

/// A lock for 1000 seconds, taken at a second.
fn lock(id: &str, path: &str, taken: i64) -> Lock {
    Lock {
        path: RepoPath::new(path).unwrap(),
        kind: Kind::File,
        lease: LeaseId::generate(at(taken)),
        seq: 1,
        reason: None,
        acquired_at: at(taken),
        heartbeat_at: at(taken),
        ttl: Ttl::For(DurationSpec::from_secs(1000)),
        owner: me(id).owner,
        process: None,
    }
}

fn view(second: i64, locks: &[&Lock]) -> View {
    let entry = |lock: &&Lock| Entry {
        place: lock.claim().place().unwrap(),
        claim: lock.claim(),
        stored_at: None,
        content: view::Content::Lock {
            lock: Box::new((*lock).clone()),
            life: Liveness::Unbound,
        },
    };
    View::new(1, at(second), TERMS, locks.iter().map(entry).collect())
}

fn record() -> (tempfile::TempDir, HeldFile) {
    let home = tempfile::tempdir().unwrap();
    let held = HeldFile::of(home.path(), Sharing::Umask);
    (home, held)
}

#[test]
fn how_a_lease_was_lost_is_told_and_news_only_once() {
    let (_home, held) = record();
    let (stolen, removed, expired) = (
        lock("ada", "s", 0),
        lock("ada", "r", 0),
        lock("ada", "e", 0),
    );
    held.confirm(&[&stolen, &removed]).unwrap();
    held.confirm(&[&expired]).unwrap();
    let bobs = lock("bob", "s", 300);
    let told = |second| {
        let losses = held.losses(&view(second, &[&bobs]), &me("ada")).unwrap();
        let tell = |l: Loss| (l.path, l.cause.as_str(), l.at, l.is_news);
        losses.into_iter().map(tell).collect::<Vec<_>>()
    };
    let first = told(500);
    assert_eq!(first[0], ("s".into(), "stolen", at(300), true));
    assert_eq!(first[1], ("r".into(), "removed", at(500), true));
    let second = told(2000);
    assert_eq!(second[0], ("s".into(), "stolen", at(300), false));
    assert_eq!(second[1], ("r".into(), "removed", at(500), false));
    assert!(told(8 * 86_400).is_empty(), "a week is enough");
}

#[test]
fn one_whose_time_was_over_has_expired_whoever_has_the_path_now() {
    let (_home, held) = record();
    held.confirm(&[&lock("ada", "a", 0)]).unwrap();
    let losses = held
        .losses(&view(2000, &[&lock("bob", "a", 1500)]), &me("ada"))
        .unwrap();
    assert_eq!((losses[0].cause, losses[0].at), (Cause::Expired, at(1000)));
    assert!(losses[0].by.is_some());
}

#[test]
fn what_was_never_published_was_never_lost() {
    let (_home, held) = record();
    let (never, there) = (lock("ada", "a", 0), lock("ada", "b", 0));
    held.enter(&[&never, &there]).unwrap();
    // Its command may be at work for a while.
    for (second, known) in [(10, 2), (599, 2), (601, 1)] {
        let view = view(second, &[&there]);
        assert!(held.losses(&view, &me("ada")).unwrap().is_empty());
        assert_eq!(held.read().unwrap().len(), known, "{second}");
    }
    let left = held.read().unwrap();
    assert_eq!(
        (left.len(), left[0].path.as_str(), left[0].confirmed),
        (1, "b", true)
    );
}

#[test]
fn owners_in_one_tree_are_asked_each_for_their_own() {
    let (_home, held) = record();
    held.confirm(&[&lock("ada", "a", 0)]).unwrap();
    held.confirm(&[&lock("ada/agent", "a", 5)]).unwrap();
    assert!(held.losses(&view(10, &[]), &me("bob")).unwrap().is_empty());
    assert_eq!(held.losses(&view(10, &[]), &me("ada")).unwrap().len(), 1);
    assert_eq!(held.read().unwrap().len(), 2);
}

#[test]
fn it_is_added_to_and_written_anew_and_says_the_same() {
    let (_home, held) = record();
    for second in 0..200 {
        held.confirm(&[&lock("ada", "a", second), &lock("ada", "b", second)])
            .unwrap();
    }
    let left = held.read().unwrap();
    assert_eq!(left.len(), 2);
    assert_eq!(left[0].expires_at, Some(rfc3339(at(1199))));
    assert!(std::fs::metadata(&held.path).unwrap().len() < 2 * file::WORTH_REWRITING);
    held.strike(|_| true).unwrap();
    held.confirm(&[&lock("ada", "c", 0)]).unwrap();
    assert_eq!(held.read().unwrap().len(), 1);
}

#[test]
fn what_was_to_be_taken_takes_nothing_away_from_what_is_held() {
    let (_home, held) = record();
    let (has, wants) = (lock("ada", "a", 0), lock("ada", "a", 100));
    held.confirm(&[&has]).unwrap();
    held.enter(&[&wants]).unwrap();
    let losses = held.losses(&view(200, &[]), &me("ada")).unwrap();
    assert_eq!((losses.len(), &losses[0].lease), (1, &has.lease));
    held.confirm(&[&wants]).unwrap();
    let losses = held.losses(&view(300, &[&wants]), &me("ada")).unwrap();
    assert!(losses.is_empty());
}

#[test]
fn what_is_being_given_back_is_not_lost_unless_it_stays_mine() {
    let (_home, held) = record();
    let (a, b) = (lock("ada", "a", 0), lock("ada", "b", 0));
    held.confirm(&[&a, &b]).unwrap();
    let is_a = |h: &Held| h.path == "a";
    assert_eq!(held.announce_release(is_a).unwrap().len(), 1);
    let lost = |second, locks: &[&Lock]| {
        let losses = held.losses(&view(second, locks), &me("ada")).unwrap();
        losses.into_iter().map(|l| l.path).collect::<Vec<_>>()
    };
    // Not yet: a reader in between changes nothing.
    assert_eq!(lost(10, &[&a, &b]), Vec::<String>::new());
    assert_eq!(lost(20, &[]), ["b"]);
    assert_eq!(held.read().unwrap().len(), 1, "it is not listed any more");
    held.confirm(&[&a]).unwrap();
    held.announce_release(is_a).unwrap();
    held.withdraw_release(&[a.lease]).unwrap();
    assert_eq!(lost(30, &[]), ["b", "a"]);
}

#[test]
fn of_a_damaged_record_what_can_be_read_counts() {
    let (_home, held) = record();
    held.confirm(&[&lock("ada", "a", 0)]).unwrap();
    let torn = std::fs::read_to_string(&held.path).unwrap();
    let torn = torn + &"\0".repeat(300) + "\n[[lease]]\npath = \"b\"\nki";
    std::fs::write(&held.path, torn).unwrap();
    held.confirm(&[&lock("ada", "c", 0)]).unwrap();
    let listed: Vec<String> = held.read().unwrap().into_iter().map(|h| h.path).collect();
    assert_eq!(listed, ["a", "c"]);
    assert_eq!(
        held.losses(&view(10, &[]), &me("ada")).unwrap().len(),
        2,
        "each is told"
    );
    // Told is written, and the record is whole again.
    assert!(!std::fs::read_to_string(&held.path).unwrap().contains('\0'));
}
