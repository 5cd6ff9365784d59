//! The library, as a Rust program uses it: `with_lock` and its outcomes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use git_latch::git::target::Target;
use git_latch::latch::identity::Environment;
use git_latch::latch::keep::{WithLock, with_lock};
use git_latch::latch::{Latch, LockOptions};
use git_latch::os::clock::SystemClock;
use git_latch::rules::lease::Steal;

use crate::support::{Sandbox, Tree};

fn open(tree: &Tree<'_>, owner: &str) -> Latch {
    let environment = Environment {
        owner: Some(owner.into()),
        host: "test".into(),
        ..Environment::default()
    };
    Latch::open(&tree.path, &environment).unwrap()
}

#[test]
fn work_is_done_under_the_lock_and_the_lock_is_given_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let latch = open(&ada, "ada@example.com");
    let hero = [Target::file("hero.psd").unwrap()];
    let outcome = with_lock(&latch, &hero, &LockOptions::default(), &SystemClock, || {
        ada.locks().len()
    });
    assert!(matches!(outcome, Ok(WithLock::Done(1))));
    assert_eq!(ada.locks(), []);
}

#[test]
fn held_by_another_and_in_progress_here_are_told_apart() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let hero = [Target::file("hero.psd").unwrap()];
    let options = LockOptions::default();
    let (mine, bobs) = (open(&ada, "ada@example.com"), open(&ada, "bob@example.com"));
    let outer = with_lock(&mine, &hero, &options, &SystemClock, || {
        let again = with_lock(&mine, &hero, &options, &SystemClock, || ()).unwrap();
        let other = with_lock(&bobs, &hero, &options, &SystemClock, || ()).unwrap();
        (
            matches!(again, WithLock::InProgress(_)),
            matches!(other, WithLock::Held(_)),
        )
    });
    assert!(matches!(outer, Ok(WithLock::Done((true, true)))));
}

#[test]
fn a_panic_gives_the_lock_back() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let latch = open(&ada, "ada@example.com");
    let hero = [Target::file("hero.psd").unwrap()];
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        with_lock(&latch, &hero, &LockOptions::default(), &SystemClock, || {
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(ada.locks(), []);
}

#[test]
fn a_lock_that_is_lost_meanwhile_is_told_and_not_taken_from_its_successor() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let (mine, bobs) = (open(&ada, "ada@example.com"), open(&ada, "bob@example.com"));
    let hero = [Target::file("hero.psd").unwrap()];
    let steal = LockOptions {
        steal: Steal::Yes,
        reason: Some("due".into()),
        ..LockOptions::default()
    };
    let outcome = with_lock(&mine, &hero, &LockOptions::default(), &SystemClock, || {
        bobs.lock(&hero, &steal, &SystemClock).unwrap();
    });
    assert_eq!(ada.locks(), [("hero.psd".into(), "bob@example.com".into())]);
    assert!(matches!(outcome, Ok(WithLock::Lost { .. })), "{outcome:?}");
}
