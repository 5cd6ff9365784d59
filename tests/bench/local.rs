//! What the local tier costs beside git itself: `cargo bench --bench local`.
//!
//! Each figure is a median, taken in turns with what it is compared with, in the same repository and the same run: the
//! ratios count, the times depend on the machine. Run by hand; nothing here is a test.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::Utc;
use git_latch::lock::{LeaseId, Lock, Owner};
use git_latch::path::{Kind, RepoPath};
use tempfile::TempDir;

const LATCH: &str = env!("CARGO_BIN_EXE_git-latch");
const TRACKED: usize = 100_000;
const LOCKS: usize = 100_000;

fn main() {
    println!(
        "{:<58} {:>10} {:>10} {:>7} {:>7}",
        "", "ours", "compared", "ratio", "at most"
    );
    locking_one_path();
    starting();
    judging_ten_of_many();
    judging_ten_with_required_patterns();
    judging_ten_beside_many_locks();
    judging_many_staged();
    locking_many_paths();
    listing_many_locks();
}

/// A repository of the benchmark's own.
struct Repo {
    home: TempDir,
}

impl Repo {
    /// One with that many tracked files in a thousand directories, of which none is in the working tree.
    fn new(tracked: usize) -> Self {
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

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    fn git(&self, arguments: &[&str]) {
        assert!(
            self.command("git")
                .args(arguments)
                .status()
                .unwrap()
                .success(),
            "{arguments:?}"
        );
    }

    fn latch(&self, arguments: &[&str]) {
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
    fn stage(&self, count: usize, content: &str) {
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
        let mut child = self
            .command("git")
            .args(["update-index", "--index-info"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(lines.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        // As `git status` would: the cache of trees is what makes git's own difference fast.
        self.git(&["write-tree"]);
    }

    /// Locks of Bob's, written straight into the lock directory.
    fn bob_locks(&self, paths: impl Iterator<Item = String>) {
        self.latch(&["lock", "--new", "first"]);
        self.latch(&["unlock", "first"]);
        let now = Utc::now();
        for path in paths {
            let lock = Lock {
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
            };
            let place = lock.claim().place().unwrap().to_path();
            let file = self.path().join(".git/latch/locks").join(place);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, lock.to_toml()).unwrap();
        }
    }
}

fn tracked(n: usize) -> String {
    format!("Assets/{:03}/part-{n:06}.FCStd", n % 1000)
}

fn elsewhere(n: usize) -> String {
    format!("Elsewhere/{:03}/part-{n:06}.FCStd", n % 1000)
}

/// The medians of several things done in turns.
fn medians(rounds: usize, things: &mut [&mut dyn FnMut()]) -> Vec<Duration> {
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

fn row(what: &str, ours: Duration, compared: Duration, at_most: f64) {
    let ratio = ours.as_secs_f64() / compared.as_secs_f64();
    let mark = if ratio > at_most { "  over" } else { "" };
    println!(
        "{what:<58} {:>7.2} ms {:>7.2} ms {ratio:>7.2} {at_most:>7.2}{mark}",
        ours.as_secs_f64() * 1e3,
        compared.as_secs_f64() * 1e3
    );
}

fn total(what: &str, ours: Duration, at_most: f64) {
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

/// What the disk takes to make one small file and its directory entry durable.
fn sync(directory: &Path, n: usize) {
    let path = directory.join(format!("synced-{n}"));
    let mut file = File::create(&path).unwrap();
    file.write_all(&[b'x'; 400]).unwrap();
    file.sync_all().unwrap();
    File::open(directory).unwrap().sync_all().unwrap();
}

fn locking_one_path() {
    let repo = Repo::new(1000);
    fs::write(repo.path().join("here"), "one\n").unwrap();
    let (mut n, mut three) = (0, Vec::new());
    for _ in 0..61 {
        let lock = elapsed(|| repo.latch(&["-q", "lock", "here"]));
        repo.latch(&["-q", "unlock", "--force", "here"]);
        let rev_parse = elapsed(|| repo.git(&["rev-parse", "HEAD"]));
        n += 1;
        let sync = elapsed(|| sync(repo.path(), n));
        three.push([lock, rev_parse, sync]);
    }
    let median = |column: usize| {
        let mut times: Vec<Duration> = three.iter().map(|times| times[column]).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let (lock, rev_parse, sync) = (median(0), median(1), median(2));
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "  rev-parse {:.2} ms, the disk's sync of a file and its directory {:.2} ms",
        milliseconds(rev_parse),
        milliseconds(sync)
    );
    row(
        "lock of one path : 3 x rev-parse + sync",
        lock,
        rev_parse * 3 + sync,
        1.0,
    );
}

fn elapsed(thing: impl FnOnce()) -> Duration {
    let start = Instant::now();
    thing();
    start.elapsed()
}

fn starting() {
    let repo = Repo::new(1000);
    repo.latch(&["-q", "init"]);
    let medians = medians(
        61,
        &mut [&mut || repo.latch(&["hook", "pre-commit"]), &mut || {
            repo.latch(&["--version"]);
        }],
    );
    row(
        "pre-commit, nobody holds a lock : start of the binary",
        medians[0],
        medians[1],
        2.0,
    );
}

fn judging_ten_of_many() {
    let repo = Repo::new(TRACKED);
    repo.bob_locks(std::iter::once(elsewhere(0)));
    repo.stage(10, "two\n");
    let medians = medians(
        31,
        &mut [&mut || repo.latch(&["hook", "pre-commit"]), &mut || {
            repo.git(&["diff", "--cached", "--name-only", "-z", "--no-renames"]);
        }],
    );
    row(
        "pre-commit, 10 staged of 100,000 : git diff --cached",
        medians[0],
        medians[1],
        1.4,
    );
}

fn judging_ten_with_required_patterns() {
    let repo = Repo::new(TRACKED);
    fs::write(repo.path().join(".gitattributes"), "*.blend lockable\n").unwrap();
    fs::write(
        repo.path().join(".latch.toml"),
        "[require]\npatterns = [\"*.blend\"]\n",
    )
    .unwrap();
    repo.bob_locks(std::iter::once(elsewhere(0)));
    repo.stage(10, "two\n");
    let names: String = (0..10).map(|n| tracked(n) + "\0").collect();
    let medians = medians(
        31,
        &mut [&mut || repo.latch(&["hook", "pre-commit"]), &mut || {
            repo.git(&["diff", "--cached", "--name-only", "-z", "--no-renames"]);
            let mut child = repo
                .command("git")
                .args(["check-attr", "--stdin", "-z", "lockable"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            child
                .stdin
                .take()
                .unwrap()
                .write_all(names.as_bytes())
                .unwrap();
            child.wait().unwrap();
        }],
    );
    row(
        "the same with `lockable` : git diff --cached + check-attr",
        medians[0],
        medians[1],
        1.4,
    );
}

fn judging_ten_beside_many_locks() {
    let (one, many) = (Repo::new(TRACKED), Repo::new(TRACKED));
    one.bob_locks(std::iter::once(elsewhere(0)));
    many.bob_locks((0..LOCKS).map(elsewhere));
    for repo in [&one, &many] {
        repo.stage(10, "two\n");
    }
    let medians = medians(
        31,
        &mut [&mut || many.latch(&["hook", "pre-commit"]), &mut || {
            one.latch(&["hook", "pre-commit"]);
        }],
    );
    row(
        "pre-commit, 100,000 locks elsewhere : one lock",
        medians[0],
        medians[1],
        1.1,
    );
}

fn judging_many_staged() {
    let repo = Repo::new(TRACKED);
    repo.bob_locks((0..LOCKS).map(elsewhere));
    repo.stage(10_000, "two\n");
    let medians = medians(
        15,
        &mut [&mut || repo.latch(&["hook", "pre-commit"]), &mut || {
            repo.git(&["diff", "--cached", "--name-only", "-z", "--no-renames"]);
        }],
    );
    row(
        "pre-commit, 10,000 staged, 100,000 locks : git diff",
        medians[0],
        medians[1],
        1.5,
    );
}

fn locking_many_paths() {
    let repo = Repo::new(1000);
    let paths: Vec<String> = (0..1000).map(tracked).collect();
    let mut arguments = vec!["-q", "lock"];
    arguments.extend(paths.iter().map(String::as_str));
    for path in &paths {
        let path = repo.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "one\n").unwrap();
    }
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        repo.latch(&arguments);
        times.push(start.elapsed());
        repo.latch(&["-q", "unlock", "--all", "--force"]);
    }
    times.sort_unstable();
    total("lock of 1,000 paths at once", times[2], 1.0);
}

fn listing_many_locks() {
    let repo = Repo::new(10);
    repo.bob_locks((0..LOCKS).map(elsewhere));
    let medians = medians(
        7,
        &mut [&mut || repo.latch(&["list"]), &mut || {
            repo.latch(&["list", "--json"]);
        }],
    );
    total("list of 100,000 locks", medians[0], 0.6);
    total("list --json of 100,000 locks", medians[1], 0.6);
    for arguments in [&["list"][..], &["list", "--json"]] {
        let child = repo.command(LATCH).args(arguments).spawn().unwrap();
        println!(
            "  {} at its largest: {} MB",
            arguments.join(" "),
            largest(child) / 1024
        );
    }
}

/// The most memory that a process had, in KiB, looked at until it ends (proc(5): `VmHWM`).
fn largest(mut child: Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(now.unwrap_or_default());
    }
    most
}
