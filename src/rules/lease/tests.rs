use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::rules::lock::{Liveness, Owner, Process};
use crate::rules::time::DurationSpec;
use crate::rules::view::{Content, LeaseLimits};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

const TERMS: LeaseLimits = LeaseLimits {
    ttl: Ttl::For(DurationSpec::from_secs(86_400)),
    max_ttl: Ttl::For(DurationSpec::from_secs(14 * 86_400)),
    clock_skew: DurationSpec::from_secs(60),
};

fn ttl(seconds: u32) -> Ttl {
    Ttl::For(DurationSpec::from_secs(seconds))
}

/// `id@workspace`.
fn me(who: &str) -> Me {
    let (id, workspace) = who.split_once('@').unwrap_or((who, "here"));
    Me {
        owner: Owner {
            id: id.into(),
            name: id.into(),
            host: "host".into(),
            workspace: Some(workspace.into()),
        },
        inside: Vec::new(),
    }
}

fn target(path: &str) -> (RepoPath, Kind) {
    match path.strip_suffix('/') {
        Some(directory) => (RepoPath::new(directory).unwrap(), Kind::Directory),
        None => (RepoPath::new(path).unwrap(), Kind::File),
    }
}

/// A lock that `who` took at second 0, for 1000 seconds; a path ending in `/` is a directory.
fn lock(who: &str, path: &str) -> Lock {
    let (path, kind) = target(path);
    Lock {
        path,
        kind,
        lease: LeaseId::generate(at(0)),
        seq: 1,
        reason: None,
        acquired_at: at(0),
        heartbeat_at: at(0),
        ttl: ttl(1000),
        owner: me(who).owner,
        process: None,
    }
}

fn entry(lock: Lock, life: Liveness) -> Entry {
    let claim = lock.claim();
    Entry {
        place: claim.place().unwrap(),
        claim,
        stored_at: Some(lock.heartbeat_at),
        content: Content::Lock {
            lock: Box::new(lock),
            life,
        },
    }
}

fn held(who: &str, path: &str) -> Entry {
    entry(lock(who, path), Liveness::Unbound)
}

fn unreadable(path: &str, stored: i64) -> Entry {
    Entry {
        stored_at: Some(at(stored)),
        content: Content::Unreadable {
            problem: "torn".into(),
        },
        ..held("nobody", path)
    }
}

/// A view at a second, with both witnesses.
fn view(second: i64, entries: &[Entry]) -> View {
    let mut view = View::new(1, at(second), TERMS, entries.to_vec());
    view.store_now = Some(at(second));
    view
}

fn request<'a>(me: &'a Me, paths: &[&str], steal: Steal) -> Request<'a> {
    let wanted = |path: &&str| {
        let (path, kind) = target(path);
        Wanted {
            path,
            kind,
            lease: LeaseId::generate(at(0)),
        }
    };
    Request {
        wanted: paths.iter().map(wanted).collect(),
        me,
        reason: None,
        ttl: ttl(1000),
        process: None,
        steal,
        batch: Batch::Atomic,
        force: &ForcePolicy::Anyone,
    }
}

/// The outcome for one path: a word, or whose lock it was refused by.
fn outcome(view: &View, who: &str, path: &str, steal: Steal) -> String {
    let me = me(who);
    let request = Request {
        reason: Some("due".into()),
        ..request(&me, &[path], steal)
    };
    let (_, answer) = acquire(view, &request).unwrap();
    match (answer.locked.first(), answer.refused.first()) {
        (Some(taken), None) => taken.outcome.as_str().into(),
        (None, Some(refusal)) if refusal.why == Why::InProgress => "in progress".into(),
        (None, Some(refusal)) => refusal.code.as_str().into(),
        _ => panic!("{answer:?}"),
    }
}

fn plain(view: &View, who: &str, path: &str) -> String {
    outcome(view, who, path, Steal::No)
}

#[test]
fn what_is_free_is_acquired_mine_is_renewed_and_anothers_is_refused() {
    let view = view(10, &[held("ada", "a"), held("bob", "b")]);
    assert_eq!(plain(&view, "ada", "a"), "renewed");
    assert_eq!(plain(&view, "ada", "b"), "held");
    assert_eq!(plain(&view, "ada", "c"), "acquired");
    assert_eq!(plain(&view, "ada", "B"), "held");
}

#[test]
fn a_lease_ends_for_its_owner_at_its_ttl_and_for_others_after_the_grace() {
    let entries = [held("ada", "a")];
    let seen = |second| {
        (
            plain(&view(second, &entries), "ada", "a"),
            plain(&view(second, &entries), "bob", "a"),
        )
    };
    let both = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(seen(999), both("renewed", "held"));
    // The owner gets a new lease; others still wait.
    assert_eq!(seen(1000), both("acquired", "held"));
    assert_eq!(seen(1059), both("acquired", "held"));
    assert_eq!(seen(1060), both("acquired", "acquired"));
}

#[test]
fn the_grace_of_a_long_lease_is_a_hundredth_of_it() {
    let long = Lock {
        ttl: ttl(100_000),
        ..lock("ada", "a")
    };
    let entries = [entry(long, Liveness::Unbound)];
    assert_eq!(plain(&view(100_999, &entries), "bob", "a"), "held");
    assert_eq!(plain(&view(101_000, &entries), "bob", "a"), "acquired");
}

#[test]
fn a_takeover_by_time_wants_both_witnesses() {
    let mut late = held("ada", "a");
    late.stored_at = Some(at(500));
    let mut early = view(1100, &[held("ada", "a")]);
    early.store_now = Some(at(900));
    assert_eq!(plain(&view(1100, &[late]), "bob", "a"), "held");
    assert_eq!(plain(&early, "bob", "a"), "held");
    assert_eq!(
        plain(&view(1100, &[held("ada", "a")]), "bob", "a"),
        "acquired"
    );
}

#[test]
fn a_heartbeat_in_the_future_counts_from_when_it_was_stored() {
    let future = Lock {
        heartbeat_at: at(1_000_000),
        ..lock("ada", "a")
    };
    let mut entry = entry(future, Liveness::Unbound);
    entry.stored_at = Some(at(0));
    assert_eq!(
        plain(&view(1059, std::slice::from_ref(&entry)), "bob", "a"),
        "held"
    );
    assert_eq!(
        plain(&view(1060, std::slice::from_ref(&entry)), "bob", "a"),
        "acquired"
    );
    assert!(entry.clock_difference(at(10), &TERMS).is_some());
    assert!(held("ada", "a").clock_difference(at(10), &TERMS).is_none());
}

#[test]
fn a_lease_without_end_never_expires_by_time() {
    let never = Lock {
        ttl: Ttl::Never,
        ..lock("ada", "a")
    };
    let entries = [entry(never, Liveness::Unbound)];
    assert_eq!(plain(&view(1_000_000_000, &entries), "bob", "a"), "held");
}

#[test]
fn a_process_that_is_dead_frees_at_once_one_that_lives_holds_and_an_unknown_one_has_its_time() {
    let bound = |life| [entry(lock("ada", "a"), life)];
    assert_eq!(
        plain(&view(1, &bound(Liveness::Dead)), "bob", "a"),
        "acquired"
    );
    assert_eq!(
        plain(&view(9999, &bound(Liveness::Alive)), "bob", "a"),
        "held"
    );
    assert_eq!(
        plain(&view(1, &bound(Liveness::Unknown)), "bob", "a"),
        "held"
    );
    assert_eq!(
        plain(&view(1060, &bound(Liveness::Unknown)), "bob", "a"),
        "acquired"
    );
}

#[test]
fn another_living_process_of_mine_is_in_progress_unless_i_run_inside_it() {
    let bound = entry(lock("ada", "a"), Liveness::Alive);
    let lease = bound.lock().unwrap().lease.to_string();
    let view = view(10, &[bound]);
    assert_eq!(plain(&view, "ada", "a"), "in progress");
    assert_eq!(outcome(&view, "ada", "a", Steal::Yes), "in progress");
    let inside = Me {
        inside: vec![lease],
        ..me("ada")
    };
    let (_, answer) = acquire(&view, &request(&inside, &["a"], Steal::No)).unwrap();
    assert_eq!(answer.locked[0].outcome, Outcome::Renewed);
}

#[test]
fn a_process_of_mine_that_nobody_can_see_is_in_progress_until_its_grace_is_over() {
    let bound = Lock {
        process: Some(Process {
            pid: 7,
            started: 0,
            boot: String::new(),
            pidns: 0,
        }),
        ..lock("ada", "a")
    };
    let entries = [entry(bound, Liveness::Unknown)];
    for (now, expected) in [
        (10, "in progress"),
        (1059, "in progress"),
        (1060, "acquired"),
    ] {
        assert_eq!(plain(&view(now, &entries), "ada", "a"), expected, "{now}");
    }
    let path = RepoPath::new("a").unwrap();
    let came_to = |now, force| {
        let what = Release::Path(&path);
        release(
            &view(now, &entries),
            &me("ada"),
            &what,
            force,
            &ForcePolicy::Anyone,
        )
        .1
    };
    assert!(matches!(came_to(1059, Force::No), Released::InProgress(_)));
    assert!(matches!(came_to(10, Force::Yes), Released::Free(_)));
    assert!(matches!(came_to(1060, Force::No), Released::Lost));
    // What is bound to nothing is mine, whatever the store says of processes.
    let unbound = [entry(lock("ada", "a"), Liveness::Unknown)];
    assert_eq!(plain(&view(10, &unbound), "ada", "a"), "renewed");
}

#[test]
fn the_same_person_elsewhere_is_another_holder_whom_she_may_replace_without_a_word() {
    let view = view(10, &[held("ada@there", "a"), held("ada/agent@there", "b")]);
    let ada = me("ada@here");
    assert_eq!(plain(&view, "ada@here", "a"), "held");
    for path in ["a", "b"] {
        let request = Request {
            force: &ForcePolicy::Only(Vec::new()),
            ..request(&ada, &[path], Steal::Yes)
        };
        let (_, answer) = acquire(&view, &request).unwrap();
        assert_eq!(answer.locked[0].outcome, Outcome::Stolen, "{path}");
    }
    // Her agent may not do the same to her.
    assert!(acquire(&view, &request(&me("ada/agent@here"), &["a"], Steal::Yes)).is_err());
}

#[test]
fn whoever_is_below_me_holds_by_themselves_and_what_they_hold_is_mine_to_renew_and_give_back() {
    let entries = [held("ada/s1", "a"), held("ada/s1", "d/f"), held("ada", "p")];
    let view = view(10, &entries);
    // Two who may both edit are two holders: nobody takes, nests or renews by asking for it.
    for (who, path) in [
        ("ada", "a"),
        ("ada", "d/"),
        ("ada/s1", "p"),
        ("ada/s2", "a"),
        ("ada/s10", "a"),
    ] {
        assert_eq!(plain(&view, who, path), "held", "{who} {path}");
    }
    assert_eq!(outcome(&view, "ada", "a", Steal::Yes), "stolen");
    let give_back = |who: &str, lock: &Entry| {
        let release = Release::Path(&lock.lock().unwrap().path);
        let (changes, _) =
            super::release(&view, &me(who), &release, Force::No, &ForcePolicy::Anyone);
        changes.len()
    };
    let extend = |who: &str, lock: &Entry| {
        let lease = [Renewal::of(lock.lock().unwrap())];
        renew(&view, &me(who), &lease, None).1.renewed.len()
    };
    for (who, which, may) in [
        ("ada", 0, 1),
        ("ADA", 0, 1),
        ("ada@there", 0, 0),
        ("ada/s2", 0, 0),
        ("ada/s1/x", 0, 0),
        ("ada/s1", 2, 0),
        ("ad", 0, 0),
        ("", 0, 0),
    ] {
        assert_eq!(give_back(who, &entries[which]), may, "{who} {which}");
        assert_eq!(extend(who, &entries[which]), may, "{who} {which}");
    }
}

#[test]
fn a_lease_renewed_from_above_is_lost_to_what_its_own_holder_could_not_have() {
    let entries = [held("ada/s1", "d/"), held("ada", "d/f")];
    let view = view(10, &entries);
    let lease = [Renewal::of(entries[0].lock().unwrap())];
    assert_eq!(renew(&view, &me("ada"), &lease, None).1.lost.len(), 1);
}

#[test]
fn the_case_of_an_id_makes_no_other_holder() {
    let entries = [held("Ada", "a"), held("J\u{f6}rg", "j")];
    let at_10 = view(10, &entries);
    assert_eq!(plain(&at_10, "aDA", "a"), "renewed");
    assert_eq!(plain(&at_10, "JO\u{308}RG", "j"), "renewed");
    // Over for its owner, however it is spelled.
    assert_eq!(plain(&view(1000, &entries), "ada", "a"), "acquired");
    assert!(ForcePolicy::Only(vec!["ADA".into()]).allows("ada/agent"));
}

#[test]
fn what_is_mine_everywhere_is_renewed_beside_what_a_workspace_of_mine_has_in_it() {
    let everywhere = |path: &str| {
        let mut lock = lock("ada", path);
        lock.owner.workspace = None;
        lock
    };
    let wide = everywhere("e/");
    let entries = [entry(wide.clone(), Liveness::Unbound), held("ada", "e/f")];
    let mut person = me("ada");
    person.owner.workspace = None;
    let view = view(500, &entries);
    let (_, answer) = renew(&view, &person, &[Renewal::of(&wide)], None);
    assert_eq!((answer.renewed.len(), answer.lost.len()), (1, 0));
    // Another person's is none of mine.
    let entries = [entry(wide.clone(), Liveness::Unbound), held("bob", "e/f")];
    let view = self::view(500, &entries);
    let (_, answer) = renew(&view, &person, &[Renewal::of(&wide)], None);
    assert_eq!((answer.renewed.len(), answer.lost.len()), (0, 1));
}

#[test]
fn stealing_from_another_person_wants_a_reason_and_the_policys_leave() {
    let view = view(10, &[held("ada", "a"), unreadable("u", 0)]);
    let bob = me("bob");
    let error = acquire(&view, &request(&bob, &["a"], Steal::Yes)).unwrap_err();
    assert_eq!(error.code(), Code::BadUsage);
    assert_eq!(outcome(&view, "bob", "a", Steal::Yes), "stolen");
    assert_eq!(outcome(&view, "bob", "u", Steal::Yes), "held");
    let only = ForcePolicy::Only(vec!["carol".into()]);
    let request = Request {
        reason: Some("due".into()),
        force: &only,
        ..request(&bob, &["a"], Steal::Yes)
    };
    let (changes, answer) = acquire(&view, &request).unwrap();
    assert_eq!(answer.refused[0].code, Code::Forbidden);
    assert!(changes.is_empty());
    assert!(only.allows("carol/agent") && !only.allows(&bob.owner.id));
}

#[test]
fn a_directory_conflicts_above_and_below_and_mine_may_nest() {
    let view = view(10, &[held("ada", "a/b/"), held("ada", "x/y")]);
    for (path, bob, ada) in [
        ("a/b/c", "held", "acquired"),
        ("a/b/c/", "held", "acquired"),
        ("a/", "held", "acquired"),
        ("x/", "held", "acquired"),
        ("a/b/", "held", "renewed"),
        ("a/bc", "acquired", "acquired"),
        ("a/c", "acquired", "acquired"),
    ] {
        assert_eq!(plain(&view, "bob", path), bob, "bob {path}");
        assert_eq!(plain(&view, "ada", path), ada, "ada {path}");
    }
}

#[test]
fn a_file_and_a_directory_of_one_key_never_stand_together() {
    let view = view(10, &[held("ada", "a")]);
    assert_eq!(plain(&view, "bob", "a/"), "held");
    assert_eq!(plain(&view, "ada", "a/"), "held");
    // Her own other lock is given back, not stolen.
    assert_eq!(outcome(&view, "ada", "a/", Steal::Yes), "held");
    assert_eq!(outcome(&view, "bob", "a/", Steal::Yes), "stolen");
}

#[test]
fn several_are_all_or_nothing_or_what_is_free() {
    let view = view(10, &[held("ada", "a")]);
    let bob = me("bob");
    let together = request(&bob, &["a", "b", "c"], Steal::No);
    let (changes, answer) = acquire(&view, &together).unwrap();
    assert!(changes.is_empty() && answer.locked.is_empty());
    assert_eq!(answer.refused.len(), 1);
    let partial = Request {
        batch: Batch::Partial,
        ..together
    };
    let (changes, answer) = acquire(&view, &partial).unwrap();
    assert_eq!(
        (changes.len(), answer.locked.len(), answer.refused.len()),
        (2, 2, 1)
    );
}

#[test]
fn who_takes_a_path_clears_away_what_has_expired_on_above_and_below_it() {
    let expired = |path| entry(lock("bob", path), Liveness::Dead);
    let entries = [
        expired("a/"),
        expired("a/b/c"),
        expired("a/x"),
        held("ada", "z"),
    ];
    let ada = me("ada");
    let (changes, _) = acquire(&view(10, &entries), &request(&ada, &["a/b/"], Steal::No)).unwrap();
    let removed: Vec<&Place> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Remove { place, .. } => Some(place),
            _ => None,
        })
        .collect();
    assert_eq!(removed, [&entries[0].place, &entries[1].place]);
}

#[test]
fn unreadable_locks_block_until_the_default_ttl_is_over_by_the_stores_clock() {
    let entries = [unreadable("a", 0)];
    assert_eq!(plain(&view(86_400, &entries), "bob", "a"), "held");
    assert_eq!(plain(&view(86_400 + 863, &entries), "bob", "a"), "held");
    assert_eq!(plain(&view(86_400 + 864, &entries), "bob", "a"), "acquired");
}

#[test]
fn a_renewal_keeps_the_lease_and_never_shortens_its_life() {
    let entries = [held("ada", "a")];
    let renewal = Renewal {
        claim: entries[0].claim.clone(),
        lease: entries[0].lock().unwrap().lease.clone(),
    };
    let renewed = |ttl| {
        let leases = std::slice::from_ref(&renewal);
        let (_, answer) = renew(&view(500, &entries), &me("ada"), leases, ttl);
        answer.renewed[0].clone()
    };
    assert_eq!(renewed(None).expires_at(), Some(at(1500)));
    assert_eq!(renewed(Some(ttl(499))).expires_at(), Some(at(1500)));
    assert_eq!(renewed(Some(ttl(600))).expires_at(), Some(at(1100)));
    assert_eq!(renewed(Some(Ttl::Never)).expires_at(), None);
    assert_eq!(
        (renewed(None).lease, renewed(None).seq),
        (renewal.lease.clone(), 1)
    );
}

#[test]
fn a_renewal_is_lost_when_expired_gone_anothers_or_in_conflict() {
    let mine = held("ada", "a/b");
    let renewal = Renewal {
        claim: mine.claim.clone(),
        lease: mine.lock().unwrap().lease.clone(),
    };
    let is_lost = |second, entries: &[Entry]| {
        let leases = std::slice::from_ref(&renewal);
        let (changes, answer) = renew(&view(second, entries), &me("ada"), leases, None);
        assert_eq!(changes.is_empty(), !answer.lost.is_empty());
        !answer.lost.is_empty()
    };
    assert!(!is_lost(999, std::slice::from_ref(&mine)));
    assert!(is_lost(1000, std::slice::from_ref(&mine)));
    assert!(is_lost(10, &[]));
    assert!(
        is_lost(10, &[held("ada", "a/b")]),
        "a newer lease of mine is another lease"
    );
    assert!(is_lost(10, &[held("bob", "a/b")]));
    assert!(is_lost(10, &[mine.clone(), held("bob", "a/")]));
    assert!(
        !is_lost(10, &[mine.clone(), unreadable("a/", 0)]),
        "damage is no successor"
    );
    assert!(!is_lost(
        10,
        &[mine, entry(lock("bob", "a/"), Liveness::Dead)]
    ));
}

#[test]
fn a_release_frees_what_is_mine_and_never_a_successors() {
    let free = |entries: &[Entry], who: &str, what: &Release<'_>, force| {
        let (changes, came_to) = release(
            &view(10, entries),
            &me(who),
            what,
            force,
            &ForcePolicy::Anyone,
        );
        (changes.len(), matches!(came_to, Released::Free(_)))
    };
    let path = RepoPath::new("a").unwrap();
    let entries = [held("ada", "a")];
    assert_eq!(
        free(&entries, "ada", &Release::Path(&path), Force::No),
        (1, true)
    );
    assert_eq!(
        free(&entries, "bob", &Release::Path(&path), Force::No),
        (0, false)
    );
    assert_eq!(
        free(&entries, "bob", &Release::Path(&path), Force::Yes),
        (1, true)
    );
    let late = lock("ada", "a").lease.to_string();
    assert_eq!(
        free(&entries, "ada", &Release::Lease(&late), Force::Yes),
        (0, false)
    );
    let unreadable = [unreadable("a", 0)];
    assert_eq!(
        free(&unreadable, "bob", &Release::Path(&path), Force::No),
        (0, false)
    );
    assert_eq!(
        free(&unreadable, "bob", &Release::Path(&path), Force::Yes),
        (1, true)
    );
}

#[test]
fn a_late_release_says_lost_and_an_own_process_in_progress() {
    let path = RepoPath::new("a").unwrap();
    let came_to = |second, entry: Entry| {
        let what = Release::Path(&path);
        release(
            &view(second, &[entry]),
            &me("ada"),
            &what,
            Force::No,
            &ForcePolicy::Anyone,
        )
        .1
    };
    assert!(matches!(came_to(1000, held("ada", "a")), Released::Lost));
    assert!(matches!(came_to(5000, held("ada", "a")), Released::Lost));
    let bound = entry(lock("ada", "a"), Liveness::Alive);
    assert!(matches!(came_to(10, bound), Released::InProgress(_)));
    assert!(matches!(
        came_to(5000, held("bob", "a")),
        Released::NotMine(None)
    ));
}

#[test]
fn a_sweep_removes_what_is_over_and_nothing_else() {
    let entries = [
        held("ada", "a"),
        entry(lock("bob", "b"), Liveness::Dead),
        unreadable("c", 0),
    ];
    assert_eq!(sweep(&view(1059, &entries), |_| true).1.len(), 1);
    assert_eq!(sweep(&view(1060, &entries), |_| true).1.len(), 2);
    assert_eq!(sweep(&view(90_000, &entries), |_| true).1.len(), 3);
}

#[test]
fn the_number_of_a_change_only_grows() {
    let at_seq = |seq| View::new(seq, at(0), TERMS, Vec::new()).next_seq();
    assert_eq!(at_seq(0), 1_800_000_000_000);
    assert_eq!(at_seq(1_900_000_000_000), 1_900_000_000_001);
    assert_eq!(at_seq(1_800_000_000_000), 1_800_000_000_001);
}

/// One step of a history: who does what to which path, after how many seconds.
#[derive(Clone, Debug)]
enum Step {
    Lock(usize, usize, bool),
    Unlock(usize, usize, bool),
    Renew(usize),
    Sweep,
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize, 0..7_usize, any::<bool>()).prop_map(|(w, p, s)| Step::Lock(w, p, s)),
        2 => (0..4_usize, 0..7_usize, any::<bool>()).prop_map(|(w, p, f)| Step::Unlock(w, p, f)),
        2 => (0..4_usize).prop_map(Step::Renew),
        1 => Just(Step::Sweep),
        2 => (1..1200_i64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..40)
}

const PEOPLE: [&str; 4] = ["ada@one", "ada@two", "bob@three", "bob/agent@three"];
const PATHS: [&str; 7] = ["a/", "a/b", "a/b/", "a/b/c", "a/c/", "A/B", "d"];

/// What a store does with changes.
fn apply(entries: &mut Vec<Entry>, changes: Vec<Change>, now: DateTime<Utc>) {
    for change in changes {
        match change {
            Change::Remove { place, .. } => entries.retain(|e| e.place != place),
            Change::Acquire(lock) | Change::Renew(lock) => {
                let mut fresh = entry(*lock, Liveness::Unbound);
                fresh.stored_at = Some(now);
                entries.retain(|e| e.place != fresh.place);
                entries.push(fresh);
            }
        }
    }
}

fn take(step: &Step, view: &View) -> Vec<Change> {
    match *step {
        Step::Lock(who, path, steals) => {
            let (me, steal) = (me(PEOPLE[who]), if steals { Steal::Yes } else { Steal::No });
            let request = Request {
                reason: Some("due".into()),
                ..request(&me, &[PATHS[path]], steal)
            };
            acquire(view, &request).unwrap().0
        }
        Step::Unlock(who, path, forced) => {
            let force = if forced { Force::Yes } else { Force::No };
            let (path, _) = target(PATHS[path]);
            release(
                view,
                &me(PEOPLE[who]),
                &Release::Path(&path),
                force,
                &ForcePolicy::Anyone,
            )
            .0
        }
        Step::Renew(who) => {
            let me = me(PEOPLE[who]);
            let mine = view.entries().filter(|e| me.has(e)).filter_map(Entry::lock);
            let leases: Vec<Renewal> = mine
                .map(|lock| Renewal {
                    claim: lock.claim(),
                    lease: lock.lease.clone(),
                })
                .collect();
            renew(view, &me, &leases, None).0
        }
        Step::Sweep => sweep(view, |_| true).0,
        Step::Wait(_) => Vec::new(),
    }
}

proptest! {
    #[test]
    fn whatever_happens_no_path_has_two_holders(steps in steps()) {
        let mut entries: Vec<Entry> = Vec::new();
        let mut now = 0;
        for step in steps {
            if let Step::Wait(seconds) = step {
                now += seconds;
            }
            let changes = take(&step, &view(now, &entries));
            apply(&mut entries, changes, at(now));
            let view = view(now, &entries);
            let live: Vec<&Entry> = view.live().collect();
            for (n, one) in live.iter().enumerate() {
                for other in &live[n + 1..] {
                    let (a, b) = (one.lock().unwrap(), other.lock().unwrap());
                    let is_one_holder = a.owner == b.owner && one.claim.key != other.claim.key;
                    prop_assert!(is_one_holder || !one.claim.overlaps(&other.claim), "{a:?} {b:?}");
                }
            }
        }
    }
}
