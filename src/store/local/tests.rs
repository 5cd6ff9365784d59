use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::rules::lease::Change;
use crate::rules::lock::{LeaseId, Lock};
use crate::rules::path::{Claim, Kind, RepoPath};
use crate::rules::time::{DurationSpec, Ttl};
use crate::rules::view::Entry;
use crate::store::{Decision, Verdict};

const TERMS: LeaseLimits = LeaseLimits {
    ttl: Ttl::For(DurationSpec::from_secs(86_400)),
    max_ttl: Ttl::For(DurationSpec::from_secs(86_400)),
    clock_skew: DurationSpec::from_secs(60),
};

struct Home {
    directory: tempfile::TempDir,
    store: LocalStore,
}

impl Home {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = LocalStore::new(directory.path(), TERMS, "test");
        store.prepare().unwrap();
        Home { directory, store }
    }

    /// Makes a change without asking; what it said.
    fn change(&self, changes: &[Change]) -> Result<u64> {
        self.store
            .transact(&Scope::All, &crate::os::clock::SystemClock, &mut |_| {
                Ok(Decision::new(changes.to_vec(), Verdict::Yes))
            })
    }

    /// Who has which path, for a reader that cannot repair anything: somebody is at work.
    fn shown(&self, scope: &Scope) -> Vec<(String, String)> {
        let _guard = Guard::take(&self.store.guard(), "").unwrap();
        let view = self
            .store
            .view(scope, &crate::os::clock::SystemClock)
            .unwrap();
        let owner = |e: &Entry| e.lock().map_or("?".into(), |lock| lock.owner.id.clone());
        view.entries().map(|e| (e.shown_path(), owner(e))).collect()
    }

    fn all(&self) -> Vec<(String, String)> {
        self.shown(&Scope::All)
    }

    fn file(&self, place: &str) -> PathBuf {
        self.store.locks().join(place)
    }

    /// Makes half of a change, as a command that is killed before a step.
    fn half(&self, changes: &[Change], made: usize) {
        let journal = Journal::of(changes, 7, &self.store.locks()).unwrap();
        let (tmp, sharing) = (self.store.tmp(), Sharing::Umask);
        journal.write(&self.store.journal(), &tmp, sharing).unwrap();
        for change in &changes[..made] {
            let path = self.file(&String::from_utf8_lossy(change.place().unwrap().as_bytes()));
            if let Change::Acquire(lock) = change {
                files::create_directories(path.parent().unwrap(), sharing).unwrap();
                fs::write(path, lock.to_toml()).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
    }
}

/// A path ending in `/` is a directory.
fn lock(who: &str, path: &str) -> Lock {
    let now = crate::rules::time::to_millis(Utc::now());
    let (path, kind) = match path.strip_suffix('/') {
        Some(path) => (path, Kind::Directory),
        None => (path, Kind::File),
    };
    Lock {
        path: RepoPath::new(path).unwrap(),
        kind,
        lease: LeaseId::generate(now),
        seq: 1,
        reason: None,
        acquired_at: now,
        heartbeat_at: now,
        ttl: Ttl::For(DurationSpec::from_secs(1000)),
        owner: Owner {
            id: who.into(),
            name: who.into(),
            host: "host".into(),
            workspace: Some("here".into()),
        },
        process: None,
    }
}

fn acquire(lock: &Lock) -> Change {
    Change::Acquire(Box::new(lock.clone()))
}

fn remove(lock: &Lock) -> Change {
    Change::Remove {
        place: lock.claim().place().unwrap(),
        was_live: true,
        note: None,
    }
}

fn have(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(path, who): &(&str, &str)| ((*path).to_owned(), (*who).to_owned());
    pairs.iter().map(own).collect()
}

#[test]
fn a_change_undoes_the_half_done_one_before_it_without_any_reader() {
    let home = Home::new();
    let (old, new) = (lock("ada", "a"), lock("bob", "a"));
    home.change(&[acquire(&old)]).unwrap();
    home.half(&[acquire(&new), acquire(&lock("bob", "b"))], 2);
    home.change(&[acquire(&lock("carol", "c"))]).unwrap();
    assert!(!home.store.is_changing());
    assert_eq!(home.all(), have(&[("a", "ada"), ("c", "carol")]));
}

#[test]
fn readers_see_nothing_of_a_change_that_is_not_made() {
    let home = Home::new();
    let (file, deep) = (lock("ada", "d/x"), lock("ada", "d/e/y"));
    home.change(&[acquire(&file), acquire(&deep)]).unwrap();
    let before = home.all();
    let steps = [
        acquire(&lock("bob", "d/")),
        acquire(&lock("bob", "n")),
        remove(&file),
        remove(&deep),
    ];
    for made in 0..=steps.len() {
        home.half(&steps, made);
        assert_eq!(home.all(), before, "{made}");
        let claim = |path, kind| Claim::new(&RepoPath::new(path).unwrap(), kind);
        for (claim, expected) in [
            (claim("d/x", Kind::File), &before[1..]),
            (claim("d/e/y", Kind::File), &before[..1]),
            (claim("d", Kind::Directory), &before[..]),
            (claim("n", Kind::File), &[]),
        ] {
            assert_eq!(home.shown(&Scope::Claims(vec![claim])), expected, "{made}");
        }
        let place = Scope::Places(vec![file.claim().place().unwrap()]);
        assert_eq!(home.shown(&place), before[1..], "{made}");
        // Nobody at work: the next reader repairs it.
        home.store.view(&Scope::All, &Utc::now()).unwrap();
        assert!(!home.store.is_changing());
        assert_eq!(home.all(), before, "{made}");
    }
}

#[test]
fn a_number_is_shown_only_when_its_change_is() {
    let home = Home::new();
    let seq = home.change(&[acquire(&lock("ada", "a"))]).unwrap();
    let view = |now| {
        let view = View::new(seq, now, TERMS, Vec::new());
        home.store.write_seq(&view).unwrap();
        let _guard = Guard::take(&home.store.guard(), "").unwrap();
        home.store.view(&Scope::All, &Utc::now()).unwrap().seq
    };
    let steps = [acquire(&lock("bob", "b")), acquire(&lock("bob", "c"))];
    let journal = Journal::of(&steps, seq + 1, &home.store.locks()).unwrap();
    let now = Utc::now() - TimeDelta::days(1);
    assert_eq!(view(now), seq + 1);
    let tmp = home.store.tmp();
    journal
        .write(&home.store.journal(), &tmp, Sharing::Umask)
        .unwrap();
    assert_eq!(view(now), seq);
}

#[test]
fn what_cannot_be_published_is_taken_back_as_old_as_it_was() {
    let home = Home::new();
    let old = lock("ada", "a");
    home.change(&[acquire(&old)]).unwrap();
    let before = SystemTime::now() - Duration::from_secs(5000);
    let file = fs::File::open(home.file("a.lock")).unwrap();
    file.set_modified(before).unwrap();
    // A file stands where the second one needs a directory.
    fs::write(home.file("d"), "").unwrap();
    home.change(&[acquire(&lock("bob", "a")), acquire(&lock("bob", "d/x"))])
        .unwrap_err();
    assert_eq!(home.all(), have(&[("a", "ada")]));
    let modified = |place| fs::metadata(home.file(place)).unwrap().modified().unwrap();
    assert_eq!(modified("a.lock"), before);
    home.half(&[acquire(&lock("bob", "a")), acquire(&lock("bob", "b"))], 1);
    {
        // Who comes while the command is at work sees it so as well.
        let _guard = Guard::take(&home.store.guard(), "").unwrap();
        let view = home.store.view(&Scope::All, &Utc::now()).unwrap();
        let stored: Vec<_> = view.entries().map(|e| e.stored_at).collect();
        assert_eq!(stored, [Some(DateTime::<Utc>::from(before))]);
    }
    home.store.view(&Scope::All, &Utc::now()).unwrap();
    assert_eq!(modified("a.lock"), before);
}

#[test]
fn a_change_whose_guard_is_removed_decides_again_under_the_new_one() {
    for replaced in [false, true] {
        let home = Home::new();
        let (mine, other) = (lock("ada", "a"), lock("bob", "a"));
        let mut asked = 0;
        home.store
            .transact(&Scope::All, &Utc::now(), &mut |view| {
                asked += 1;
                if asked == 1 {
                    fs::remove_file(home.store.guard()).unwrap();
                    if replaced {
                        fs::write(home.store.guard(), "").unwrap();
                    }
                    home.change(&[acquire(&other)]).unwrap();
                }
                let is_free = view.entries().next().is_none();
                let steps = is_free.then(|| acquire(&mine));
                Ok(Decision::new(steps.into_iter().collect(), Verdict::Yes))
            })
            .unwrap();
        assert_eq!(
            (asked, home.all()),
            (2, have(&[("a", "bob")])),
            "{replaced}"
        );
    }
}

#[test]
fn one_whose_guard_is_removed_again_and_again_is_busy_and_has_changed_nothing() {
    let home = Home::new();
    let steps = [acquire(&lock("ada", "a")), acquire(&lock("ada", "b"))];
    let busy = home.store.transact(&Scope::All, &Utc::now(), &mut |_| {
        fs::remove_file(home.store.guard()).unwrap();
        Ok(Decision::new(steps.to_vec(), Verdict::Yes))
    });
    assert!(matches!(busy, Err(Error::Busy { .. })), "{busy:?}");
    assert_eq!(home.all(), []);
    assert!(!home.store.is_changing());
}

#[test]
fn the_directories_may_go_while_a_command_waits() {
    let home = Home::new();
    fs::remove_dir_all(home.directory.path().join("latch")).unwrap();
    home.change(&[acquire(&lock("ada", "a"))]).unwrap();
    assert_eq!(home.all(), have(&[("a", "ada")]));
}
