//! Races: many processes at once, and never two holders.

use std::io::Write as _;
use std::process::{Child, Stdio};

use crate::support::{LATCH, Run, Sandbox, Tree};

/// How many processes race.
const RACERS: usize = 32;

/// Starts processes that wait for a word on their standard input and then run `git latch` with these arguments.
fn at_the_start(tree: &Tree<'_>, racers: &[(String, Vec<String>)]) -> Vec<Child> {
    let start = |(owner, arguments): &(String, Vec<String>)| {
        let mut command = tree.by(owner).command("sh");
        command
            .args(["-c", "read go; exec \"$0\" \"$@\"", LATCH])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    racers.iter().map(start).collect()
}

/// Lets them run, and waits for all.
fn race(tree: &Tree<'_>, racers: &[(String, Vec<String>)]) -> Vec<Run> {
    let mut children = at_the_start(tree, racers);
    for child in &mut children {
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
    children
        .into_iter()
        .map(|child| Run::from(child.wait_with_output().unwrap()))
        .collect()
}

fn racer(n: usize, arguments: &[&str]) -> (String, Vec<String>) {
    let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    (format!("racer-{n}@example.com"), arguments)
}

/// Asserts that nobody failed otherwise than by a plain no; gives the winners.
fn winners(runs: &[Run]) -> Vec<usize> {
    for run in runs {
        assert!(matches!(run.code, 0 | 1), "{run:?}");
    }
    let won = runs.iter().enumerate().filter(|(_, run)| run.code == 0);
    won.map(|(n, _)| n).collect()
}

#[test]
fn one_path_has_one_winner_every_round() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    for _ in 0..8 {
        let racers: Vec<_> = (0..RACERS)
            .map(|n| racer(n, &["lock", "hero.psd"]))
            .collect();
        let won = winners(&race(&tree, &racers));
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(
            tree.locks(),
            [("hero.psd".into(), racers[won[0]].0.clone())]
        );
        tree.ok(&["unlock", "--force", "-m", "next", "hero.psd"]);
    }
}

#[test]
fn overlapping_directories_have_no_two_owners() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let wanted = ["scenes", "scenes/town.tscn", ".", "scenes/cave.tscn"];
    for _ in 0..6 {
        let racers: Vec<_> = (0..RACERS)
            .map(|n| racer(n, &["lock", wanted[n % 4]]))
            .collect();
        let won: Vec<&str> = winners(&race(&tree, &racers))
            .iter()
            .map(|n| wanted[n % 4])
            .collect();
        let is_file = |path: &&str| path.contains('/');
        // Either one directory, or the two files.
        assert!(
            won.len() == 1 || (won.len() == 2 && won.iter().all(is_file) && won[0] != won[1]),
            "{won:?}"
        );
        for (path, _) in tree.locks() {
            tree.ok(&["unlock", "--force", "-m", "next", &path]);
        }
    }
}

#[test]
fn sets_in_different_orders_are_whole_or_not_at_all_and_end() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let sets: [&[&str]; 3] = [
        &["lock", "hero.psd", "notes.txt", "scenes/town.tscn"],
        &["lock", "scenes/town.tscn", "notes.txt"],
        &["lock", "notes.txt", "hero.psd"],
    ];
    for _ in 0..6 {
        let racers: Vec<_> = (0..RACERS).map(|n| racer(n, sets[n % 3])).collect();
        let won = winners(&race(&tree, &racers));
        // Every two of the sets share a path.
        assert_eq!(won.len(), 1, "{won:?}");
        let locks = tree.locks();
        assert_eq!(locks.len(), sets[won[0] % 3].len() - 1);
        assert!(locks.iter().all(|(_, owner)| *owner == racers[won[0]].0));
        for (path, _) in locks {
            tree.ok(&["unlock", "--force", "-m", "next", &path]);
        }
    }
}

#[test]
fn different_paths_do_not_hinder_each_other() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let racers: Vec<_> = (0..RACERS)
        .map(|n| racer(n, &["lock", "--new", &format!("part-{n}/a")]))
        .collect();
    assert_eq!(winners(&race(&tree, &racers)).len(), RACERS);
    assert_eq!(tree.locks().len(), RACERS);
    let racers: Vec<_> = (0..RACERS)
        .map(|n| racer(n, &["unlock", &format!("part-{n}/a")]))
        .collect();
    assert_eq!(winners(&race(&tree, &racers)).len(), RACERS);
    assert_eq!(
        std::fs::read_dir(tree.path.join(".locks")).unwrap().count(),
        0
    );
}

#[test]
fn one_working_trees_record_keeps_every_lease_of_a_race() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let racers: Vec<_> = (0..RACERS)
        .map(|n| {
            let locking = racer(n, &["lock", "--new", &format!("p{n}")]).1;
            ("ada@example.com".to_owned(), locking)
        })
        .collect();
    assert_eq!(winners(&race(&tree, &racers)).len(), RACERS);
    tree.ok(&["unlock", "--all"]);
    for n in 0..RACERS {
        tree.write(&format!("p{n}"), "");
        tree.latch(&["unlock", &format!("p{n}")])
            .ended(3)
            .said("is not locked");
    }
    assert_eq!(tree.read(".git/latch/held.toml"), "");
}

#[test]
fn of_steals_releases_and_renewals_no_late_one_touches_a_successor() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    for _ in 0..4 {
        let first = tree.by("racer-0@example.com");
        first.ok(&["lock", "scenes"]);
        let racers: Vec<_> = (0..RACERS)
            .map(|n| match n {
                0 => racer(0, &["renew", "scenes"]),
                1 => racer(0, &["unlock", "scenes"]),
                n if n % 2 == 0 => racer(n, &["lock", "--steal", "-m", "due", "scenes/town.tscn"]),
                n => racer(n, &["lock", "--steal", "-m", "due", "scenes"]),
            })
            .collect();
        for run in race(&tree, &racers) {
            assert!(matches!(run.code, 0 | 1 | 3), "{run:?}");
        }
        let before = tree.locks();
        assert_eq!(before.len(), 1, "{before:?}");
        assert_ne!(before[0].1, "racer-0@example.com");
        first.latch(&["renew"]);
        first.latch(&["unlock", "scenes"]);
        first.latch(&["unlock", "scenes/town.tscn"]);
        assert_eq!(tree.locks(), before);
        tree.ok(&["unlock", "--force", "-m", "next", &before[0].0]);
    }
}

#[test]
fn an_expiring_lock_goes_to_one_of_those_who_wait_for_it() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    tree.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    tree.ok(&["lock", "hero.psd", "--ttl", "1s"]);
    let racers: Vec<_> = (0..16)
        .map(|n| racer(n, &["lock", "--wait=5s", "hero.psd"]))
        .collect();
    let won = winners(&race(&tree, &racers));
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(tree.locks()[0].1, racers[won[0]].0);
    tree.latch(&["renew", "hero.psd"]).ended(3);
    assert_eq!(tree.locks()[0].1, racers[won[0]].0);
}

#[test]
#[ignore = "takes minutes: the same races for many rounds"]
fn one_path_has_one_winner_for_many_rounds() {
    for _ in 0..40 {
        one_path_has_one_winner_every_round();
        overlapping_directories_have_no_two_owners();
        sets_in_different_orders_are_whole_or_not_at_all_and_end();
        of_steals_releases_and_renewals_no_late_one_touches_a_successor();
    }
}
