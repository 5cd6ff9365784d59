//! What the local tier costs beside git itself: `cargo bench --bench local`.
//!
//! Each figure is a median, taken in turns with what it is compared with, in the same repository and the same run: the
//! ratios count, the times depend on the machine. Run by hand; nothing here is a test.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use support::{LATCH, Repo, elapsed, elsewhere, feed, head, medians, row, total, tracked};

const TRACKED: usize = 100_000;
const LOCKS: usize = 100_000;

fn main() {
    head();
    locking_one_path();
    starting();
    judging_ten_of_many();
    judging_ten_with_required_patterns();
    judging_ten_beside_many_locks();
    judging_many_staged();
    locking_many_paths();
    listing_many_locks();
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
            let mut ask = repo.command("git");
            feed(
                ask.args(["check-attr", "--stdin", "-z", "lockable"]),
                &names,
            );
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
