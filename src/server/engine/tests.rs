use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::git::scratch::Scratch;
use crate::os::clock::SystemClock;
use crate::rules::lease::{Acquired, Batch, Force, Released, Steal, Wanted};
use crate::rules::lock::LeaseId;
use crate::rules::time::Ttl;

/// A bare repository, served; and what is told of it.
fn service(scratch: &Scratch) -> (Arc<RepoService>, Receiver<Arc<Published>>) {
    let bare = scratch.with_origin();
    let (sender, told) = channel();
    let tell: Publish = Box::new(move |told| drop(sender.send(told.clone())));
    let opened = RepoService::open(
        "game",
        Path::new(&bare),
        Author::default(),
        &SystemClock,
        tell,
    );
    (Arc::new(opened.unwrap()), told)
}

fn person(id: &str) -> Me {
    me(Owner {
        id: id.into(),
        name: id.into(),
        host: "here".into(),
        workspace: None,
    })
}

fn lock(id: &str, path: &str, steal: Steal) -> Command<Acquired> {
    let path = RepoPath::new(path).unwrap();
    let taking = AcquireRequest {
        wanted: vec![Wanted {
            path,
            kind: Kind::File,
            lease: LeaseId::generate(SystemClock.now()),
        }],
        reason: Some("because".into()),
        ttl: "1h".parse::<Ttl>().unwrap(),
        steal,
        batch: Batch::Atomic,
    };
    Command::lock(person(id), taking, true)
}

/// Asks without seeing to it; gives where the answer will be.
fn submit<T: Send + 'static>(service: &RepoService, ask: Command<T>) -> Receiver<(u64, T)> {
    let (sender, answer) = channel();
    let _ = service.submit(ask, move |result| drop(sender.send(result.unwrap())));
    answer
}

#[test]
fn those_who_wait_become_one_change() {
    let scratch = Scratch::new();
    let (service, told) = service(&scratch);
    let answers: Vec<_> = (0..10)
        .map(|n| {
            submit(
                &service,
                lock(&format!("p{n}@x"), &format!("a/{n}"), Steal::No),
            )
        })
        .collect();
    service.drain(&SystemClock);
    let seqs: BTreeSet<u64> = answers
        .iter()
        .map(|answer| answer.recv().unwrap().0)
        .collect();
    assert_eq!(seqs.len(), 1);
    let change = told.recv().unwrap();
    let events = change.events.as_ref().unwrap();
    let by: BTreeSet<_> = events
        .iter()
        .filter_map(|e| e.by.as_ref())
        .map(|by| &by.id)
        .collect();
    assert_eq!((events.len(), by.len()), (10, 10));
    assert!(told.try_recv().is_err());
}

#[test]
fn the_later_holder_of_a_path_has_the_larger_number() {
    let scratch = Scratch::new();
    let (service, _told) = service(&scratch);
    let first = submit(&service, lock("ada@x", "hero", Steal::No));
    let second = submit(&service, lock("bob@x", "Hero", Steal::Yes));
    service.drain(&SystemClock);
    let (ada, _) = first.recv().unwrap();
    let (bob, stolen) = second.recv().unwrap();
    assert_eq!(stolen.locked[0].displaced.len(), 1);
    assert!(bob > ada, "{bob} {ada}");
    assert_eq!(stolen.locked[0].lock.seq, bob);
}

#[test]
fn who_is_refused_in_a_change_does_not_spoil_it_for_the_others() {
    let scratch = Scratch::new();
    let (service, _told) = service(&scratch);
    let ada = submit(&service, lock("ada@x", "hero", Steal::No));
    let bob = submit(&service, lock("bob@x", "hero", Steal::No));
    let eve = submit(&service, lock("eve@x", "villain", Steal::No));
    service.drain(&SystemClock);
    assert_eq!(ada.recv().unwrap().1.locked.len(), 1);
    assert_eq!(bob.recv().unwrap().1.refused.len(), 1);
    assert_eq!(eve.recv().unwrap().1.locked.len(), 1);
}

#[test]
fn history_knows_who_removed_what_was_not_theirs() {
    let scratch = Scratch::new();
    let (service, _told) = service(&scratch);
    let (_, taken) = service
        .ask(lock("ada@x", "hero", Steal::No), &SystemClock)
        .unwrap();
    let renewal = Renewal::of(&taken.locked[0].lock);
    let reason = Some("she is away".to_owned());
    let release = Command::release(person("eve@x"), renewal, Force::Yes, true, reason);
    let released = submit(&service, release);
    let other = submit(&service, lock("bob@x", "villain", Steal::No));
    service.drain(&SystemClock);
    assert!(matches!(released.recv().unwrap().1, Released::Free(_)));
    other.recv().unwrap();
    let path = RepoPath::new("hero").unwrap();
    let page = service.history(Some(&path), None, 10).unwrap();
    let by: Vec<_> = page
        .events
        .iter()
        .map(|e| e.by.as_ref().unwrap().id.as_str())
        .collect();
    assert_eq!(by, ["eve@x", "ada@x"]);
}

#[test]
fn a_page_of_locks_ends_where_the_next_begins() {
    let scratch = Scratch::new();
    let (service, _told) = service(&scratch);
    for n in 0..25 {
        service
            .ask(lock("ada@x", &format!("a/{n:02}"), Steal::No), &SystemClock)
            .unwrap();
    }
    let mut query = Query {
        limit: Some(10),
        ..Query::default()
    };
    let mut seen = Vec::new();
    loop {
        let listed = service.list(&query, SystemClock.now());
        seen.extend(listed.entries.iter().map(Entry::shown_path));
        query.after = listed.next;
        if query.after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).map(|n| format!("a/{n:02}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(service.count(&query, SystemClock.now()), 25);
}

#[test]
fn a_lock_that_somebody_else_puts_back_is_not_believed_though_the_tree_is_the_same() {
    let scratch = Scratch::new();
    let (service, _told) = service(&scratch);
    let answer = submit(&service, lock("ada@x", "hero", Steal::No));
    service.drain(&SystemClock);
    let (seq, _) = answer.recv().unwrap();
    let bare = scratch.git(&["config", "remote.origin.url"]);
    let git_dir = format!("--git-dir={}", bare.trim());
    let git = |arguments: &[&str]| {
        let all = [&[git_dir.as_str()], arguments].concat();
        scratch.git(&all).trim().to_owned()
    };
    let nothing = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let mut tip = "refs/latch/locks".to_owned();
    let locks = git(&["rev-parse", "refs/latch/locks^{tree}"]);
    for (n, tree) in [(1, nothing), (2, locks.as_str())] {
        let message = format!("x\n\nLatch-Seq: {}\n", seq + n);
        tip = git(&["commit-tree", tree, "-p", &tip, "-m", &message]);
    }
    git(&["update-ref", "refs/latch/locks", &tip]);
    service.follow(&SystemClock).unwrap();
    let listed = service.list(&Query::default(), SystemClock.now()).entries;
    assert!(
        matches!(listed[0].content, Content::Unreadable { .. }),
        "{listed:?}"
    );
}
