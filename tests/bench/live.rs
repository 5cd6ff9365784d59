//! How fast and at what price changes are told: `cargo bench --bench live`.
//!
//! `ONLY=latency|waiting|burst|starting|idle` runs one part; `IDLE=300` watches the idle daemon for that many seconds
//! instead of 20. Times are taken beside something comparable in the same run; nothing here is a test.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use git_latch::os::paths::place_path;
use git_latch::os::watch::{Directories, Means};
use support::{LATCH, Repo, bobs, elapsed, elsewhere};

fn main() {
    let only = std::env::var("ONLY").ok();
    let parts: [(&str, fn()); 5] = [
        ("latency", latency),
        ("waiting", waiting),
        ("burst", burst),
        ("starting", starting),
        ("idle", idle),
    ];
    for (name, part) in parts {
        if only.as_deref().is_none_or(|only| only == name) {
            part();
        }
    }
}

/// A watch or a daemon, and its lines.
struct Told {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Told {
    fn start(repo: &Repo, arguments: &[&str]) -> Self {
        let mut command = repo.command(LATCH);
        command.arg("--json").args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Told { child, lines }
    }

    fn watch(repo: &Repo) -> Self {
        let mut watch = Self::start(repo, &["watch"]);
        let stderr = watch.child.stderr.as_mut().unwrap();
        BufReader::new(stderr)
            .read_line(&mut String::new())
            .unwrap();
        watch
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// A line of `/proc/<pid>/status`, in KiB.
    fn memory(&self, what: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The processor time used so far, by itself and by its children, in ticks of 10 ms (proc(5)).
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11..15]
            .iter()
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    }

    /// How many directories the system watches for it.
    fn watches(&self) -> usize {
        let infos = fs::read_dir(format!("/proc/{}/fdinfo", self.child.id())).unwrap();
        let infos = infos
            .flatten()
            .map(|info| fs::read_to_string(info.path()).unwrap_or_default());
        infos
            .map(|info| {
                info.lines()
                    .filter(|line| line.starts_with("inotify"))
                    .count()
            })
            .sum()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the lock of a path lies.
fn file(repo: &Repo, path: &str) -> PathBuf {
    let place = place_path(&bobs(path).claim().place().unwrap());
    repo.path().join(".git/latch/locks").join(place)
}

/// Locks ready to be published by one rename each.
fn staged(repo: &Repo, paths: impl Iterator<Item = String>) -> Vec<(PathBuf, PathBuf)> {
    let tmp = repo.path().join(".git/staged");
    fs::create_dir_all(&tmp).unwrap();
    let staged = paths.enumerate().map(|(n, path)| {
        let (from, to) = (tmp.join(n.to_string()), file(repo, &path));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&from, bobs(&path).to_toml()).unwrap();
        (from, to)
    });
    staged.collect()
}

fn quantiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}

fn latency() {
    println!(
        "from the rename that publishes a lock to its event on stdout; beside it a bare notification"
    );
    for locks in [10, 10_000] {
        let repo = Repo::new(10);
        repo.bob_locks((0..locks).map(elsewhere));
        let mut watch = Told::watch(&repo);
        let bare_directory = repo.path().join(".git/bare");
        fs::create_dir(&bare_directory).unwrap();
        let mut directories = Directories::new(Means::Events);
        directories.add(&bare_directory).unwrap();
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for (n, (from, to)) in staged(&repo, (0..1000).map(|n| elsewhere(100_000 + n)))
            .into_iter()
            .enumerate()
        {
            let other = bare_directory.join(n.to_string());
            fs::copy(&from, repo.path().join(".git/copy")).unwrap();
            let begin = Instant::now();
            fs::rename(&from, &to).unwrap();
            assert!(watch.line().contains("\"locked\""));
            ours.push(begin.elapsed());
            let begin = Instant::now();
            fs::rename(repo.path().join(".git/copy"), &other).unwrap();
            while directories
                .wait(Duration::from_secs(9))
                .unwrap()
                .paths
                .is_empty()
            {}
            bare.push(begin.elapsed());
        }
        let ((median, tail), (bare_median, bare_tail)) =
            (quantiles(&mut ours), quantiles(&mut bare));
        println!(
            "  {locks:>6} locks: median {median:.2} ms (at most 5), p99 {tail:.2} ms (at most 50); bare {bare_median:.2} and {bare_tail:.2}"
        );
    }
}

fn waiting() {
    let repo = Repo::new(10);
    fs::write(repo.path().join("here"), "").unwrap();
    repo.git(&["add", "here"]);
    repo.git(&["commit", "-q", "--no-verify", "-m", "here", "here"]);
    let (mut from_begin, mut from_end) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        repo.latch(&["-q", "--as", "bob", "lock", "here"]);
        let mut waiter = Told::start(&repo, &["lock", "--wait", "here"]);
        BufReader::new(waiter.child.stderr.as_mut().unwrap())
            .read_line(&mut String::new())
            .unwrap();
        let begin = Instant::now();
        repo.latch(&["-q", "--as", "bob", "unlock", "here"]);
        let unlocked = begin.elapsed();
        waiter.line();
        from_begin.push(begin.elapsed());
        from_end.push(begin.elapsed().saturating_sub(unlocked));
        repo.latch(&["-q", "unlock", "--force", "here"]);
    }
    let ((median, tail), (after, _)) = (quantiles(&mut from_begin), quantiles(&mut from_end));
    println!(
        "from the start of `unlock` to what a waiting `lock --wait` says: median {median:.1} ms (at most 20), p99 {tail:.1}; from its end {after:.1}"
    );
}

fn burst() {
    const COUNT: usize = 10_000;
    let repo = Repo::new(10);
    repo.bob_locks(std::iter::once(elsewhere(999_999)));
    let staged = staged(&repo, (0..COUNT).map(elsewhere));
    let mut watch = Told::watch(&repo);
    let begin = Instant::now();
    let writer = std::thread::spawn(move || {
        for (from, to) in &staged {
            fs::rename(from, to).unwrap();
        }
        (begin.elapsed(), staged)
    });
    let seen = paths(&mut watch, COUNT, "locked");
    let told = begin.elapsed();
    let (written, staged) = writer.join().unwrap();
    println!(
        "burst of {COUNT} locks: written in {:.0} ms, all of {} paths told after {:.0} ms (at most 2000), {} MiB at most (50)",
        written.as_secs_f64() * 1e3,
        seen,
        told.as_secs_f64() * 1e3,
        watch.memory("VmHWM") / 1024
    );
    let begin = Instant::now();
    for (_, to) in &staged {
        fs::remove_file(to).unwrap();
    }
    let seen = paths(&mut watch, COUNT, "unlocked");
    println!(
        "  and {seen} unlocked, told after {:.0} ms, {} MiB at most",
        begin.elapsed().as_secs_f64() * 1e3,
        watch.memory("VmHWM") / 1024
    );
}

/// Reads events until so many paths were told of.
fn paths(watch: &mut Told, count: usize, event: &str) -> usize {
    let mut seen = HashSet::new();
    while seen.len() < count {
        let told: serde_json::Value = serde_json::from_str(&watch.line()).unwrap();
        assert_eq!(told["event"], event);
        seen.insert(told["path"].as_str().unwrap().to_owned());
    }
    seen.len()
}

fn starting() {
    let repo = Repo::new(10);
    for n in 0..100_000 {
        fs::create_dir_all(repo.path().join(format!("{}/{}", n / 1000, n))).unwrap();
    }
    repo.bob_locks((0..10).map(elsewhere));
    let (mut ours, mut git) = (Vec::new(), Vec::new());
    for _ in 0..31 {
        let mut watch = None;
        ours.push(elapsed(|| watch = Some(Told::watch(&repo))));
        git.push(elapsed(|| repo.git(&["rev-parse", "HEAD"])));
    }
    let ((median, tail), (git, _)) = (quantiles(&mut ours), quantiles(&mut git));
    println!(
        "start of watch in 100,000 directories with 10 locks: median {median:.1} ms (at most 50), p99 {tail:.1}; git rev-parse {git:.1}"
    );
}

fn idle() {
    let seconds = std::env::var("IDLE")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(20);
    let repo = Repo::new(10);
    repo.bob_locks((0..10_000).map(elsewhere));
    let mut daemon = Told::start(&repo, &["daemon"]);
    assert!(daemon.line().contains("started"));
    // What follows the start: folders, files edited before.
    std::thread::sleep(Duration::from_secs(3));
    let (begin, ticks) = (Instant::now(), daemon.ticks());
    std::thread::sleep(Duration::from_secs(seconds));
    let used = Duration::from_millis((daemon.ticks() - ticks) * 10);
    let part = used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    println!(
        "idle daemon, 10,000 foreign locks in 1,000 folders: {part:.3} % of a processor over {seconds} s (at most 0.1), {} MiB (at most 30), {} watches for {} directories with locks",
        daemon.memory("VmRSS") / 1024,
        daemon.watches(),
        directories(&repo.path().join(".git/latch/locks"))
    );
}

fn directories(directory: &Path) -> usize {
    let below = fs::read_dir(directory)
        .unwrap()
        .flatten()
        .map(|item| item.path());
    1 + below
        .filter(|path| path.is_dir())
        .map(|path| directories(&path))
        .sum::<usize>()
}
