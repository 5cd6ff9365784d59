//! What the benchmarks have in common: a repository of their own, medians taken in turns, the table.
#![allow(dead_code, reason = "each benchmark uses what it needs")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use git_latch::os::paths::place_path;
use git_latch::rules::lock::{LeaseId, Lock, Owner};
use git_latch::rules::path::{Kind, RepoPath};
use tempfile::TempDir;

pub(crate) const LATCH: &str = env!("CARGO_BIN_EXE_git-latch");

/// The first line of the table.
pub(crate) fn head() {
    println!(
        "{:<58} {:>10} {:>10} {:>7} {:>7}",
        "", "ours", "compared", "ratio", "at most"
    );
}

/// A repository of the benchmark's own.
pub(crate) struct Repo {
    home: TempDir,
}

impl Repo {
    /// One with that many tracked files in a thousand directories, of which none is in the working tree.
    pub(crate) fn new(tracked: usize) -> Self {
        let repo = Repo {
            home: tempfile::tempdir().unwrap(),
        };
        repo.git(&["init", "-q"]);
        for (key, value) in [
            ("user.email", "ada@example.com"),
            ("user.name", "Ada"),
            ("gc.auto", "0"),
        ] {
            repo.git(&["config", key, value]);
        }
        repo.stage(tracked, "one\n");
        repo.git(&["commit", "-q", "--no-verify", "-m", "one"]);
        repo
    }

    /// A clone of a bare repository, which shares its locks if it is told to.
    pub(crate) fn clone_of(url: &str, shares: bool) -> Self {
        let repo = Repo {
            home: tempfile::tempdir().unwrap(),
        };
        let path = repo.path().to_str().unwrap();
        repo.git(&["clone", "-q", "--no-checkout", url, path]);
        for (key, value) in [
            ("user.email", "ada@example.com"),
            ("user.name", "Ada"),
            ("gc.auto", "0"),
        ] {
            repo.git(&["config", key, value]);
        }
        if shares {
            repo.latch(&["-q", "init", "--remote", "origin"]);
        }
        repo
    }

    /// What git says.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        let mut command = self.command("git");
        let output = command.args(arguments).stdout(Stdio::piped()).output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }

    pub(crate) fn path(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    pub(crate) fn git(&self, arguments: &[&str]) {
        assert!(
            self.command("git")
                .args(arguments)
                .status()
                .unwrap()
                .success(),
            "{arguments:?}"
        );
    }

    pub(crate) fn latch(&self, arguments: &[&str]) {
        assert!(
            self.command(LATCH)
                .args(arguments)
                .status()
                .unwrap()
                .success(),
            "{arguments:?}"
        );
    }

    /// Puts the first `count` files into the index, with this content.
    pub(crate) fn stage(&self, count: usize, content: &str) {
        let blob = self.path().join(".git/blob");
        fs::write(&blob, content).unwrap();
        let oid = self
            .command("git")
            .args(["hash-object", "-w", ".git/blob"])
            .stdout(Stdio::piped())
            .output();
        let oid = String::from_utf8(oid.unwrap().stdout).unwrap();
        let mut lines = String::new();
        for n in 0..count {
            writeln!(lines, "100644 {}\t{}", oid.trim(), tracked(n)).unwrap();
        }
        let mut update = self.command("git");
        feed(update.args(["update-index", "--index-info"]), &lines);
        // As `git status` would: the cache of trees is what makes git's own difference fast.
        self.git(&["write-tree"]);
    }

    /// Locks of Bob's, written straight into the lock directory.
    pub(crate) fn bob_locks(&self, paths: impl Iterator<Item = String>) {
        self.bob_has(paths.map(|path| bobs(&path)));
    }

    /// A lock of Bob's on a folder.
    pub(crate) fn bob_locks_folder(&self, path: &str) {
        let lock = Lock {
            kind: Kind::Directory,
            ..bobs(path)
        };
        self.bob_has(std::iter::once(lock));
    }

    fn bob_has(&self, locks: impl Iterator<Item = Lock>) {
        self.latch(&["lock", "--new", "first"]);
        self.latch(&["unlock", "--force", "first"]);
        for lock in locks {
            let place = place_path(&lock.claim().place().unwrap());
            let file = self.path().join(".git/latch/locks").join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, lock.to_toml()).unwrap();
        }
    }
}

/// Runs a program with this on standard input; it must succeed.
pub(crate) fn feed(command: &mut Command, input: &str) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success(), "{command:?}");
}

/// A lock of Bob's.
pub(crate) fn bobs(path: &str) -> Lock {
    let now = Utc::now();
    Lock {
        path: RepoPath::new(path).unwrap(),
        kind: Kind::File,
        lease: LeaseId::generate(now),
        seq: 1,
        reason: Some("at work on it".into()),
        acquired_at: now,
        heartbeat_at: now,
        ttl: "24h".parse().unwrap(),
        owner: Owner {
            id: "bob@example.com".into(),
            name: "Bob".into(),
            host: "elsewhere".into(),
            workspace: Some("0123456789abcdef".into()),
        },
        process: None,
    }
}

pub(crate) fn tracked(n: usize) -> String {
    format!("Assets/{:03}/part-{n:06}.FCStd", n % 1000)
}

pub(crate) fn elsewhere(n: usize) -> String {
    format!("Elsewhere/{:03}/part-{n:06}.FCStd", n % 1000)
}

/// The medians of several things done in turns.
pub(crate) fn medians(rounds: usize, things: &mut [&mut dyn FnMut()]) -> Vec<Duration> {
    let mut times = vec![Vec::new(); things.len()];
    for round in 0..=rounds {
        for (thing, times) in things.iter_mut().zip(&mut times) {
            let start = Instant::now();
            thing();
            // The first round fills the caches.
            if round > 0 {
                times.push(start.elapsed());
            }
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect()
}

/// A line of the table; an infinite goal is none.
pub(crate) fn row(what: &str, ours: Duration, compared: Duration, at_most: f64) {
    let ratio = ours.as_secs_f64() / compared.as_secs_f64();
    let mark = if ratio > at_most { "  over" } else { "" };
    let goal = if at_most.is_finite() {
        format!("{at_most:.2}")
    } else {
        String::new()
    };
    println!(
        "{what:<58} {:>7.2} ms {:>7.2} ms {ratio:>7.2} {goal:>7}{mark}",
        ours.as_secs_f64() * 1e3,
        compared.as_secs_f64() * 1e3
    );
}

pub(crate) fn total(what: &str, ours: Duration, at_most: f64) {
    let mark = if ours.as_secs_f64() > at_most {
        "  over"
    } else {
        ""
    };
    println!(
        "{what:<58} {:>7.2} ms {:>10} {:>7} {at_most:>5.1} s{mark}",
        ours.as_secs_f64() * 1e3,
        "",
        ""
    );
}

pub(crate) fn elapsed(thing: impl FnOnce()) -> Duration {
    let start = Instant::now();
    thing();
    start.elapsed()
}
