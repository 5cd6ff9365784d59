use super::*;
use crate::latch::policy;
use crate::rules::lock::{LeaseId, Liveness, Owner};
use crate::rules::path::{Kind, RepoPath};
use crate::rules::view::Content;

const SEQ: u64 = 1_795_176_000_000;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(i64::try_from(SEQ).unwrap()).unwrap()
}

/// A lock of one hour taken at noon; a trailing `/` makes it a directory's.
fn lock(path: &str, owner: &str) -> Lock {
    let kind = if path.ends_with('/') {
        Kind::Directory
    } else {
        Kind::File
    };
    Lock {
        path: RepoPath::new(path.trim_end_matches('/')).unwrap(),
        kind,
        lease: LeaseId::generate(noon()),
        seq: SEQ,
        reason: None,
        acquired_at: noon(),
        heartbeat_at: noon(),
        ttl: "1h".parse().unwrap(),
        owner: Owner {
            id: owner.into(),
            name: owner.into(),
            host: "ws".into(),
            workspace: Some("aaaaaaaaaaaaaaaa".into()),
        },
        process: None,
    }
}

fn entry(lock: &Lock) -> Entry {
    Entry {
        place: lock.claim().place().unwrap(),
        claim: lock.claim(),
        stored_at: None,
        content: Content::Lock {
            lock: Box::new(lock.clone()),
            life: Liveness::Unbound,
        },
    }
}

fn torn(path: &str) -> Entry {
    Entry {
        content: Content::Unreadable {
            problem: "torn".into(),
        },
        ..entry(&lock(path, "ada"))
    }
}

/// What `pusher` is told `minutes` after noon about a change of one path, beside the locks `others`.
fn told(
    rules: &str,
    pusher: &str,
    minutes: i64,
    step: (Option<Entry>, Option<Entry>),
    others: &[Entry],
) -> Option<Code> {
    let policy = policy::parse(std::path::Path::new("p"), rules).unwrap();
    let (old, new) = step;
    let place = old.as_ref().or(new.as_ref()).unwrap().place.clone();
    let entries = new.iter().chain(others).cloned().collect();
    let rules = Rules {
        policy: &policy,
        pusher,
        seq: SEQ,
        now: noon() + TimeDelta::minutes(minutes),
    };
    let after = View::new(SEQ, rules.now, policy.terms, entries);
    let step = Step {
        place,
        is_place: true,
        old,
        new,
    };
    rules.on_step(&step, &after).map(|(code, _)| code)
}

const STRICT: &str = "[force]\nwho = [\"lead\"]\n[server]\ntrusted = [\"bot\"]";

fn taking(new: &Lock, pusher: &str, others: &[Entry]) -> Option<Code> {
    told(STRICT, pusher, 0, (None, Some(entry(new))), others)
}

#[test]
fn what_is_free_is_taken_in_ones_own_name() {
    let hero = lock("hero.psd", "ada");
    assert_eq!(taking(&hero, "ada", &[]), None);
    assert_eq!(taking(&hero, "bob", &[]), Some(Code::Forbidden));
    assert_eq!(taking(&hero, "lead", &[]), Some(Code::Forbidden));
    assert_eq!(taking(&hero, "bot", &[]), None);
    assert_eq!(taking(&lock("hero.psd", "ada/agent"), "ada", &[]), None);
    assert_eq!(
        taking(&hero, "ada/agent", &[]),
        Some(Code::Forbidden),
        "an agent is not its person"
    );
}

#[test]
fn a_lock_beside_anothers_on_above_or_below_it_is_refused_and_ones_own_nests() {
    let town = lock("scenes/town", "ada");
    let above = entry(&lock("scenes/", "bob"));
    assert_eq!(taking(&town, "ada", &[above]), Some(Code::Held));
    let below = entry(&lock("scenes/town", "bob"));
    assert_eq!(
        taking(&lock("scenes/", "ada"), "ada", &[below]),
        Some(Code::Held)
    );
    let own = entry(&lock("scenes/", "ada"));
    assert_eq!(taking(&town, "ada", &[own]), None);
    let same_key = entry(&lock("scenes/town/", "ada"));
    assert_eq!(taking(&town, "ada", &[same_key]), Some(Code::Held));
    let mut elsewhere = lock("scenes/", "ada");
    elsewhere.owner.workspace = Some("bbbbbbbbbbbbbbbb".into());
    assert_eq!(taking(&town, "ada", &[entry(&elsewhere)]), Some(Code::Held));
    assert_eq!(taking(&town, "ada", &[torn("scenes/")]), Some(Code::Held));
    let aside = entry(&lock("scenes/cave", "bob"));
    assert_eq!(taking(&town, "ada", &[aside]), None);
}

#[test]
fn a_new_lock_says_the_truth_about_itself() {
    let hero = lock("hero.psd", "ada");
    let number = Lock {
        seq: SEQ - 1,
        ..hero.clone()
    };
    assert_eq!(taking(&number, "ada", &[]), Some(Code::BadUsage));
    let eternal = Lock {
        ttl: crate::rules::time::Ttl::Never,
        ..hero.clone()
    };
    assert_eq!(taking(&eternal, "ada", &[]), Some(Code::BadUsage));
    assert_eq!(
        told(STRICT, "ada", 0, (None, Some(torn("hero.psd"))), &[]),
        Some(Code::BadUsage)
    );
    for (minutes, refused) in [
        (0, None),
        (1, None),
        (2, Some(Code::Refused)),
        (-2, Some(Code::Refused)),
    ] {
        let step = (None, Some(entry(&hero)));
        assert_eq!(
            told(STRICT, "ada", minutes, step, &[]),
            refused,
            "{minutes}"
        );
    }
}

#[test]
fn a_renewal_is_the_owners_changes_nothing_else_and_raises_nobody_from_the_dead() {
    let was = lock("hero.psd", "ada");
    let at = |minutes: i64| Lock {
        heartbeat_at: noon() + TimeDelta::minutes(minutes),
        ..was.clone()
    };
    let renew = |pusher: &str, minutes: i64, is: &Lock| {
        told(
            STRICT,
            pusher,
            minutes,
            (Some(entry(&was)), Some(entry(is))),
            &[],
        )
    };
    assert_eq!(renew("ada", 30, &at(30)), None);
    assert_eq!(renew("bob", 30, &at(30)), Some(Code::Forbidden));
    assert_eq!(renew("lead", 30, &at(30)), Some(Code::Forbidden));
    assert_eq!(renew("ada", 62, &at(62)), Some(Code::Lost));
    assert_eq!(renew("ada", 0, &at(-1)), Some(Code::BadUsage));
    let shorter = Lock {
        ttl: "20m".parse().unwrap(),
        ..at(30)
    };
    assert_eq!(renew("ada", 30, &shorter), Some(Code::BadUsage));
    let why = Lock {
        reason: Some("for the second day".into()),
        ..at(30)
    };
    assert_eq!(renew("ada", 30, &why), None);
    assert_eq!(renew("bob", 30, &why), Some(Code::Forbidden));
    let older = Lock {
        acquired_at: noon() - TimeDelta::minutes(1),
        ..at(30)
    };
    assert_eq!(renew("ada", 30, &older), Some(Code::BadUsage));
    let mut passed_on = at(30);
    passed_on.owner.id = "ada/agent".into();
    assert_eq!(renew("ada", 30, &passed_on), Some(Code::BadUsage));
    assert_eq!(renew("ada", 30, &at(50)), Some(Code::Refused));
}

#[test]
fn what_lives_is_removed_by_its_owner_or_whom_the_policy_names() {
    let hero = lock("hero.psd", "ada");
    let remove = |rules: &str, pusher: &str, minutes: i64| {
        told(rules, pusher, minutes, (Some(entry(&hero)), None), &[])
    };
    assert_eq!(remove(STRICT, "ada", 5), None);
    assert_eq!(remove(STRICT, "bob", 5), Some(Code::Forbidden));
    assert_eq!(remove(STRICT, "lead", 5), None);
    assert_eq!(remove(STRICT, "bot", 5), None);
    assert_eq!(remove("", "bob", 5), None);
    assert_eq!(
        remove(STRICT, "bob", 60),
        Some(Code::Forbidden),
        "in its grace"
    );
    assert_eq!(remove(STRICT, "bob", 61), None);
    assert_eq!(
        told(STRICT, "bob", 0, (Some(torn("a")), None), &[]),
        Some(Code::Forbidden)
    );
    assert_eq!(told(STRICT, "lead", 0, (Some(torn("a")), None), &[]), None);
}

#[test]
fn a_takeover_is_a_removal_and_a_taking() {
    let hero = lock("hero.psd", "ada");
    let take = |pusher: &str, minutes: i64| {
        let new = Lock {
            heartbeat_at: noon() + TimeDelta::minutes(minutes),
            ..lock("hero.psd", pusher)
        };
        told(
            STRICT,
            pusher,
            minutes,
            (Some(entry(&hero)), Some(entry(&new))),
            &[],
        )
    };
    assert_eq!(take("bob", 5), Some(Code::Forbidden));
    assert_eq!(take("lead", 5), None);
    assert_eq!(take("bob", 61), None);
}

#[test]
fn numbers_only_grow_and_do_not_run_ahead() {
    let policy = crate::latch::policy::Policy::default();
    let rules = |seq| Rules {
        policy: &policy,
        pusher: "ada",
        seq,
        now: noon(),
    };
    assert_eq!(rules(SEQ).on_number(5), None);
    assert_eq!(rules(SEQ + 60_000).on_number(5), None);
    assert!(rules(SEQ + 60_001).on_number(5).is_some());
    assert_eq!(rules(SEQ + 90_000).on_number(SEQ + 89_999), None);
    assert!(rules(SEQ).on_number(SEQ).is_some());
    assert!(rules(0).on_number(0).is_some());
}

#[test]
fn a_change_is_one_commit_on_top_or_a_root_with_the_same_tree() {
    let policy = crate::latch::policy::Policy::default();
    let rules = Rules {
        policy: &policy,
        pusher: "ada",
        seq: SEQ,
        now: noon(),
    };
    let commit = |id: &str, tree: &str, parents: &[&str]| Revision {
        commit: id.into(),
        tree: tree.into(),
        message: String::new(),
        at: noon(),
        parents: parents.iter().map(|p| (*p).to_owned()).collect(),
        committer: "ada".into(),
        author: "ada".into(),
        authored_at: noon(),
    };
    let old = commit("1", "t", &["0"]);
    let is_fine = |old, new: Revision| rules.on_succession(old, &new).is_none();
    assert!(is_fine(None, commit("2", "u", &[])));
    assert!(!is_fine(None, commit("2", "u", &["1"])));
    assert!(is_fine(Some(&old), commit("2", "u", &["1"])));
    assert!(is_fine(Some(&old), commit("2", "t", &[])));
    assert!(!is_fine(Some(&old), commit("2", "u", &[])));
    assert!(!is_fine(Some(&old), commit("2", "u", &["0"])));
    assert!(!is_fine(Some(&old), commit("2", "u", &["1", "0"])));
    let late = Revision {
        at: noon() + TimeDelta::hours(2),
        ..commit("2", "u", &["1"])
    };
    assert!(!is_fine(Some(&old), late));
}
