//! What the shared tier costs beside git itself: `cargo bench --bench shared`.
//!
//! Remotes are bare repositories on this machine, reached by their path and by `git http-backend` on loopback. Figures
//! are medians taken in turns, as in the benchmark of the local tier. `git lfs` is shown where it is installed, against
//! a server that answers at once: what it costs is its own.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

#[path = "../it/support/http.rs"]
mod http;
mod support;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{LATCH, Repo, bobs, elapsed, elsewhere, feed, head, medians, row, total, tracked};
use tempfile::TempDir;

const LOCKS: usize = 100_000;

fn main() {
    head();
    // One of them, by its name.
    match std::env::var("ONLY").as_deref() {
        Ok("receiving") => return receiving(),
        Ok("refs") => return receiving_refs(),
        Ok("syncing") => return syncing_many_locks(),
        Ok("sixteen") => return sixteen_at_once(),
        Ok("locking") => return locking("by path", |remote| remote.path.display().to_string()),
        _ => {}
    }
    locking("by path", |remote| remote.path.display().to_string());
    locking("over http", |remote| {
        let config = remote.home.path().join("gitconfig");
        fs::write(&config, "").unwrap();
        let root = http::serve(remote.home.path(), &config);
        root.replace("http://", "http://ada:secret@") + "/remote.git"
    });
    git_lfs();
    syncing_many_locks();
    renewing_many();
    receiving();
    receiving_refs();
    sixteen_at_once();
}

/// A bare repository with one commit.
struct Remote {
    home: TempDir,
    path: PathBuf,
}

impl Remote {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("remote.git");
        let seed = Repo::new(1000);
        seed.git(&["gc", "-q"]);
        seed.git(&["clone", "-q", "--bare", ".", path.to_str().unwrap()]);
        let remote = Remote { home, path };
        remote.git(&["config", "http.receivepack", "true"]);
        remote.git(&["config", "gc.auto", "0"]);
        remote
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.current_dir(&self.path).args(arguments);
        assert!(command.status().unwrap().success(), "{arguments:?}");
    }

    fn hook(&self, script: &str) {
        let path = self.path.join("hooks/pre-receive");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    }
}

/// A lock of one path beside a bare push of one commit to one ref; a thousand beside one.
fn locking(how: &str, url: impl Fn(&Remote) -> String) {
    let remote = Remote::new();
    let url = url(&remote);
    let repo = Repo::clone_of(&url, true);
    let (mut locks, mut pushes, mut thousands) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..21 {
        locks.push(elapsed(|| repo.latch(&["-q", "lock", "--new", "one"])));
        repo.latch(&["-q", "unlock", "--force", "one"]);
        let message = n.to_string();
        let commit = repo.told(&["commit-tree", "HEAD^{tree}", "-m", &message]);
        let refspec = format!("+{commit}:refs/bench/one");
        pushes.push(elapsed(|| {
            repo.git(&["push", "-q", "--no-verify", "origin", &refspec]);
        }));
    }
    // Each time by somebody who holds nothing else: a large scene with its textures, in ten folders.
    for n in 0..5 {
        let fresh = Repo::clone_of(&url, true);
        fresh.latch(&["-q", "sync"]);
        // Until the changes of others before are no crowd any more.
        std::thread::sleep(Duration::from_secs(4));
        let paths: Vec<String> = (0..1000)
            .map(|file| format!("Scene{n}/{:02}/texture-{file:04}.psd", file % 10))
            .collect();
        let lock = ["-q", "lock", "--new"].into_iter();
        let many: Vec<&str> = lock.chain(paths.iter().map(String::as_str)).collect();
        thousands.push(elapsed(|| fresh.latch(&many)));
    }
    // The same on a remote as far away as most are.
    remote.hook("sleep 0.3");
    let (mut far, mut far_thousands) = (Vec::new(), Vec::new());
    for n in 0..3 {
        let fresh = Repo::clone_of(&url, true);
        fresh.latch(&["-q", "sync"]);
        let paths: Vec<String> = (0..1000)
            .map(|file| format!("Far{n}/{:02}/texture-{file:04}.psd", file % 10))
            .collect();
        let lock = ["-q", "lock", "--new"].into_iter();
        let many: Vec<&str> = lock.chain(paths.iter().map(String::as_str)).collect();
        std::thread::sleep(Duration::from_secs(4));
        far_thousands.push(elapsed(|| fresh.latch(&many)));
        repo.latch(&["-q", "sync"]);
        std::thread::sleep(Duration::from_secs(4));
        let one = format!("far-{n}");
        far.push(elapsed(|| repo.latch(&["-q", "lock", "--new", &one])));
    }
    row(
        &format!("lock {how} of 1,000 paths : of one, 0.3 s a push"),
        median(far_thousands),
        median(far),
        2.0,
    );
    let (lock, push, thousand) = (median(locks), median(pushes), median(thousands));
    row(
        &format!("lock {how} : bare push of one commit"),
        lock,
        push,
        1.5,
    );
    row(
        &format!("lock {how} of 1,000 paths : of one"),
        thousand,
        lock,
        2.0,
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The stock client's locks of 1, 10 and 100 files.
fn git_lfs() {
    let is_there = Command::new("git").args(["lfs", "version"]).output();
    if !is_there.is_ok_and(|output| output.status.success()) {
        println!("  git lfs is not installed: not shown");
        return;
    }
    let repo = Repo::new(1);
    repo.git(&["config", "lfs.url", &lfs_server()]);
    repo.git(&["config", "lfs.locksverify", "true"]);
    for count in [1, 10, 100] {
        let time = elapsed(|| {
            for n in 0..count {
                repo.git(&["lfs", "lock", &format!("{count}-{n}.psd")]);
            }
        });
        println!(
            "  git lfs lock of {count}: {:.0} ms",
            time.as_secs_f64() * 1e3
        );
    }
}

/// A server that grants every lock at once.
fn lfs_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            let mut length = 0;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap_or(0);
                }
            }
            let mut body = vec![0; length];
            let _ = stream.read_exact(&mut body);
            let text = String::from_utf8_lossy(&body).into_owned();
            let path = text.split("\"path\":\"").nth(1).unwrap_or_default();
            let path = path.split('"').next().unwrap_or_default();
            let answer = format!(
                "{{\"lock\":{{\"id\":\"x\",\"path\":\"{path}\",\"locked_at\":\"2026-01-01T00:00:00Z\",\"owner\":{{\"name\":\"Ada\"}}}}}}"
            );
            let _ = write!(
                stream.get_mut(),
                "HTTP/1.1 201 Created\r\nContent-Type: application/vnd.git-lfs+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
                answer.len()
            );
        }
    });
    format!("http://{address}/lfs")
}

/// Writes that many locks of Bob's into a remote.
fn fill(remote: &Remote, path: fn(usize) -> String, count: usize) {
    let mut input = String::from(
        "commit refs/latch/locks\ncommitter Bob <bob@example.com> 1700000000 +0000\ndata <<END\nlock many\n\nLatch-Seq: 1700000000000\nEND\n",
    );
    for n in 0..count {
        let lock = bobs(&path(n));
        let text = lock.to_toml();
        let place = lock.claim().place().unwrap();
        let place = String::from_utf8(place.as_bytes().to_vec()).unwrap();
        write!(
            input,
            "M 100644 inline {place}\ndata {}\n{text}\n",
            text.len()
        )
        .unwrap();
    }
    let mut import = Command::new("git");
    import.args(["fast-import", "--quiet"]);
    feed(import.current_dir(&remote.path), &input);
}

fn syncing_many_locks() {
    let remote = Remote::new();
    let url = remote.path.display().to_string();
    let (writer, reader) = (Repo::clone_of(&url, true), Repo::clone_of(&url, true));
    fill(&remote, tracked, LOCKS);
    total(
        "first sync of 100,000 locks in 1,000 folders",
        elapsed(|| reader.latch(&["-q", "sync"])),
        10.0,
    );
    writer.latch(&["-q", "sync"]);
    let plain = Repo::clone_of(&url, false);
    let fetch = [
        "fetch",
        "-q",
        "--no-tags",
        "origin",
        "+refs/latch/locks:refs/locks",
    ];
    plain.git(&fetch);
    let (mut syncs, mut fetches) = (Vec::new(), Vec::new());
    for n in 0..15 {
        writer.latch(&["-q", "lock", "--new", &format!("new-{n}")]);
        fetches.push(elapsed(|| plain.git(&fetch)));
        syncs.push(elapsed(|| reader.latch(&["-q", "sync"])));
    }
    let (sync, fetch) = (median(syncs), median(fetches));
    println!(
        "  sync after one change: {:.1} ms, of which a bare fetch {:.1} ms",
        sync.as_secs_f64() * 1e3,
        fetch.as_secs_f64() * 1e3
    );
    total(
        "sync after one change beside 100,000 locks, over the fetch",
        sync.saturating_sub(fetch),
        0.1,
    );
    let nothing = medians(15, &mut [&mut || reader.latch(&["-q", "sync"])]);
    println!(
        "  sync when nothing changed: {:.1} ms",
        nothing[0].as_secs_f64() * 1e3
    );
}

/// Ten thousand leases of one workspace in one push.
fn renewing_many() {
    let remote = Remote::new();
    let repo = Repo::clone_of(&remote.path.display().to_string(), true);
    for batch in 0..10 {
        let paths: Vec<String> = (batch * 1000..(batch + 1) * 1000).map(tracked).collect();
        let lock = ["-q", "lock", "--new"].into_iter();
        let all: Vec<&str> = lock.chain(paths.iter().map(String::as_str)).collect();
        repo.latch(&all);
    }
    let count = || -> usize {
        let mut command = Command::new("git");
        command.current_dir(&remote.path);
        let listed = command
            .args(["rev-list", "--count", "refs/latch/locks"])
            .output();
        String::from_utf8(listed.unwrap().stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    };
    let before = count();
    let time = elapsed(|| repo.latch(&["-q", "renew"]));
    println!(
        "  renew of 10,000 leases: {:.0} ms, {} push",
        time.as_secs_f64() * 1e3,
        count() - before
    );
}

/// What pre-receive costs for a push of 2,000 commits over 50,000 paths.
fn receiving() {
    let source = Repo::new(1);
    let blob = source.told(&["hash-object", "-w", "/dev/null"]);
    let mut input = String::new();
    for commit in 0..2000 {
        writeln!(
            input,
            "commit refs/heads/many\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 1\nx"
        )
        .unwrap();
        for n in 0..25 {
            writeln!(input, "M 100644 {blob} {}", tracked(commit * 25 + n)).unwrap();
        }
    }
    feed(
        source.command("git").args(["fast-import", "--quiet"]),
        &input,
    );
    let new = source.told(&["rev-parse", "refs/heads/many"]);
    // As in a quarantine: the objects are there, and no ref names them.
    let objects = source.path().join(".git/objects");
    let line = format!("{} {new} refs/heads/many\n", "0".repeat(40));
    let pipe = format!(
        "git rev-list {new} --not --all | git diff-tree --stdin -r --cc --root --no-renames --name-only -z"
    );
    let run = |remote: &Remote, program: &str, arguments: &[&str], input: &str| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&remote.path);
        command.env("GIT_DIR", ".").stdout(Stdio::null());
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects);
        feed(command.env("GIT_LATCH_PUSHER", "bob@example.com"), input);
    };
    for (where_locked, path) in [
        ("elsewhere", elsewhere as fn(usize) -> String),
        ("on these and as many others", tracked),
    ] {
        let remote = Remote::new();
        fill(&remote, path, LOCKS);
        let times = medians(
            9,
            &mut [
                &mut || run(&remote, LATCH, &["hook", "pre-receive"], &line),
                &mut || run(&remote, "sh", &["-c", &pipe], ""),
            ],
        );
        println!("  2,000 commits, 50,000 paths; 100,000 locks {where_locked}:");
        row("pre-receive : git's own pass", times[0], times[1], 3.0);
    }
}

/// What a push does to refs.
#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Making,
    Deleting,
    Forcing,
}

/// A push of many refs, each of one commit on HEAD's branch over paths of its own.
struct Refs {
    what: &'static str,
    doing: Doing,
    /// Below which they lie.
    below: &'static str,
    count: usize,
    /// How many paths each changes.
    each: usize,
    /// How many of all paths the pusher has locked.
    locked: usize,
}

/// What pre-receive costs for pushes of many refs, beside one pass of git over the same commits.
fn receiving_refs() {
    let of = |what, doing, below, (count, each), locked| Refs {
        what,
        doing,
        below,
        count,
        each,
        locked,
    };
    let (heads, tags) = ("refs/heads/", "refs/tags/");
    for refs in [
        of("1,000 new refs", Doing::Making, heads, (1000, 50), LOCKS),
        of(
            "1,000 new refs of one path",
            Doing::Making,
            heads,
            (1000, 1),
            1000,
        ),
        of(
            "1,000 new refs, no locks",
            Doing::Making,
            heads,
            (1000, 50),
            0,
        ),
        of(
            "1,000 refs deleted",
            Doing::Deleting,
            heads,
            (1000, 50),
            LOCKS,
        ),
        of(
            "1,000 refs updated by force",
            Doing::Forcing,
            heads,
            (1000, 50),
            LOCKS,
        ),
        of("200 tags", Doing::Making, tags, (200, 250), LOCKS),
        of("one ref", Doing::Making, heads, (1, 50_000), LOCKS),
    ] {
        receive(&refs);
    }
}

impl Refs {
    /// Writes them into a repository; gives what they name there.
    fn write(&self, repository: &Path, content: &str) -> Vec<String> {
        let head = told(repository, &["rev-parse", "HEAD"]);
        let mut input = format!("blob\nmark :1\ndata {}\n{content}\n", content.len());
        for n in 0..self.count {
            writeln!(
                input,
                "commit {}{n:04}\ncommitter Bob <bob@example.com> 1700000000 +0000\ndata 1\nx\nfrom {head}",
                self.below
            )
            .unwrap();
            for path in n * self.each..(n + 1) * self.each {
                writeln!(input, "M 100644 :1 {}", tracked(path)).unwrap();
            }
        }
        let mut import = Command::new("git");
        import.args(["fast-import", "--quiet", "--force"]);
        feed(import.current_dir(repository), &input);
        let pattern = format!("{}[0-9]*", self.below);
        let named = ["for-each-ref", "--format=%(objectname)", &pattern];
        let named = told(repository, &named);
        named.lines().map(str::to_owned).collect()
    }
}

fn told(repository: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    let output = command.current_dir(repository).args(arguments).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.trim().to_owned()
}

fn receive(refs: &Refs) {
    let remote = Remote::new();
    let source = remote.home.path().join("source.git");
    remote.git(&["clone", "-q", "--bare", ".", source.to_str().unwrap()]);
    let none = || vec!["0".repeat(40); refs.count];
    let old = match refs.doing {
        Doing::Making => none(),
        Doing::Deleting | Doing::Forcing => refs.write(&remote.path, "one"),
    };
    let new = match refs.doing {
        Doing::Deleting => none(),
        // As in a quarantine: the objects are there, and no ref names them.
        Doing::Making | Doing::Forcing => refs.write(&source, "two"),
    };
    fill(&remote, tracked, refs.locked);
    let mut lines = String::new();
    for (n, (old, new)) in old.iter().zip(&new).enumerate() {
        writeln!(lines, "{old} {new} {}{n:04}", refs.below).unwrap();
    }
    let head = told(&remote.path, &["rev-parse", "HEAD"]);
    let commits = match refs.doing {
        Doing::Making => [&*new, &["--not".into(), head]].concat(),
        Doing::Deleting => [&*old, &["--not".into(), head]].concat(),
        Doing::Forcing => [&*new, &["--not".into(), head], &*old].concat(),
    };
    let commits = commits.join("\n") + "\n";
    let run = |program: &str, arguments: &[&str], input: &str| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&remote.path);
        command.env("GIT_DIR", ".").stdout(Stdio::null());
        command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", source.join("objects"));
        feed(command.env("GIT_LATCH_PUSHER", "bob@example.com"), input);
    };
    let pipe =
        "git rev-list --stdin | git diff-tree --stdin -r --cc --root --no-renames --name-only -z";
    let times = medians(
        9,
        &mut [
            &mut || run(LATCH, &["hook", "pre-receive"], &lines),
            &mut || run("sh", &["-c", pipe], &commits),
        ],
    );
    row(
        &format!("pre-receive of {} : git's own pass", refs.what),
        times[0],
        times[1],
        3.0,
    );
}

/// Sixteen clones against a remote that takes 0.3 s for each push.
fn sixteen_at_once() {
    const CLONES: usize = 16;
    const ROUNDS: usize = 4;
    let remote = Remote::new();
    let url = remote.path.display().to_string();
    let clones: Vec<Repo> = (0..CLONES).map(|_| Repo::clone_of(&url, true)).collect();
    remote.hook("sleep 0.3");
    let at_once = |path: &(dyn Fn(usize, usize) -> String + Sync), round: usize| {
        std::thread::scope(|scope| {
            let start = |(n, clone)| scope.spawn(move || locked(clone, &path(n, round)));
            let threads: Vec<_> = clones.iter().enumerate().map(start).collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect::<Vec<_>>()
        })
    };
    let mut waits = Vec::new();
    let mut spent = Duration::ZERO;
    for round in 0..ROUNDS {
        spent += elapsed(|| {
            for (is_locked, took) in at_once(&|n, round| format!("own-{n}-{round}"), round) {
                assert!(is_locked);
                waits.push(took);
            }
        });
    }
    waits.sort_unstable();
    let rate = f64::from(u32::try_from(waits.len()).unwrap()) / spent.as_secs_f64();
    let p99 = waits[waits.len() * 99 / 100];
    println!(
        "  16 clones, different paths: {rate:.2} locks/s (over 2.5), p50 {:.1} s, p99 {:.1} s (under 8)",
        waits[waits.len() / 2].as_secs_f64(),
        p99.as_secs_f64()
    );
    for round in 0..2 {
        let winners = at_once(&|_, round| format!("same-{round}"), round);
        let winners = winners.iter().filter(|(is_locked, _)| *is_locked).count();
        println!("  16 clones, one path: {winners} has it");
    }
}

fn locked(clone: &Repo, path: &str) -> (bool, Duration) {
    let mut is_locked = false;
    let took = elapsed(|| {
        let mut command = clone.command(LATCH);
        command
            .args(["-q", "lock", "--new", path])
            .stderr(Stdio::null());
        is_locked = command.status().unwrap().success();
    });
    (is_locked, took)
}
