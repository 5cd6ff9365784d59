//! What the hooks cost whoever runs git: `cargo bench --bench hooks`.
//!
//! The same command in the same repository, in turns: without hooks, with an empty one of sh, with ours, and with those
//! of Git LFS where it is installed. Figures are medians of one run; the ratios count, the times depend on the machine.
//! `ONLY=commit`, `push` or `switch` runs one of them.
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on has failed"
)]
#![expect(clippy::print_stdout, reason = "the table is the result")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::{LATCH, Repo, elapsed, elsewhere, head, row};
use tempfile::TempDir;

/// How often each is done.
const ROUNDS: usize = 41;
/// How many locks others have.
const LOCKS: usize = 200;

fn main() {
    head();
    let only = std::env::var("ONLY").unwrap_or_default();
    let is_wanted = |name: &str| only.is_empty() || only == name;
    if is_wanted("commit") {
        for files in [1000, 100_000] {
            committing(files);
        }
    }
    if is_wanted("push") {
        pushing();
    }
    if is_wanted("switch") {
        switching();
    }
}

/// Directories of hooks to run git with.
struct Hooks {
    home: TempDir,
    ours: PathBuf,
}

impl Hooks {
    /// Ours are installed into the repository.
    fn of(repo: &Repo) -> Self {
        repo.latch(&["-q", "init"]);
        let hooks = Hooks {
            home: tempfile::tempdir().unwrap(),
            ours: repo.path().join(".git/hooks"),
        };
        let empty = hooks.home.path().join("empty");
        fs::create_dir(&empty).unwrap();
        write_hook(&empty.join("pre-commit"), "#!/bin/sh\n");
        hooks
    }

    fn none(&self) -> PathBuf {
        self.home.path().join("none")
    }

    fn empty(&self) -> PathBuf {
        self.home.path().join("empty")
    }

    /// Those that `git lfs install` writes; `None` where it is not installed.
    fn lfs(&self) -> Option<PathBuf> {
        let directory = self.home.path().join("lfs");
        let git = |arguments: &[&str]| {
            let mut command = Command::new("git");
            let output = command.arg("-C").arg(&directory).args(arguments).output();
            output.unwrap().status.success()
        };
        fs::create_dir_all(&directory).unwrap();
        let installed = git(&["init", "-q"]) && git(&["lfs", "install", "--local"]);
        installed.then(|| directory.join(".git/hooks"))
    }
}

fn write_hook(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Git with the hooks of a directory, ours first on its way to find programs.
fn git_with(repo: &Repo, hooks: &Path, arguments: &[&str]) {
    let mut path = Path::new(LATCH).parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    let mut command = repo.command("git");
    command
        .env("PATH", path)
        .arg("-c")
        .arg(format!("core.hooksPath={}", hooks.display()))
        .args(arguments);
    assert!(command.status().unwrap().success(), "{arguments:?}");
}

/// The medians of one thing done with each of the directories of hooks, in turns. `prepare` is not measured.
///
/// Git LFS's hooks leave their directory, which says to ours that the repository uses LFS: it goes before each turn.
fn medians_with(
    repo: &Repo,
    hooks: &[PathBuf],
    mut prepare: impl FnMut(usize),
    mut thing: impl FnMut(&Path),
) -> Vec<Duration> {
    let mut times = vec![Vec::new(); hooks.len()];
    let mut turn = 0;
    for round in 0..=ROUNDS {
        for (directory, times) in hooks.iter().zip(&mut times) {
            prepare(turn);
            drop(fs::remove_dir_all(repo.path().join(".git/lfs")));
            turn += 1;
            let time = elapsed(|| thing(directory));
            // The first round fills the caches.
            if round > 0 {
                times.push(time);
            }
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2]
    };
    times.into_iter().map(median).collect()
}

/// One repository whose files are in the working tree.
fn checked_out(files: usize) -> Repo {
    let repo = Repo::new(files);
    repo.git(&["reset", "-q", "--hard"]);
    repo
}

fn committing(files: usize) {
    let repo = checked_out(files);
    let hooks = Hooks::of(&repo);
    let mut directories = vec![hooks.none(), hooks.empty(), hooks.ours.clone()];
    directories.extend(hooks.lfs());
    let file = repo.path().join(support::tracked(0));
    let prepare = |turn: usize| {
        fs::write(&file, format!("{turn}\n")).unwrap();
        repo.git(&["add", "."]);
    };
    let commit = |hooks: &Path| git_with(&repo, hooks, &["commit", "-q", "-m", "one"]);
    let medians = medians_with(&repo, &directories, prepare, commit);
    let what = |rest: &str| format!("git commit, {files} files{rest}");
    row(
        &what(", an empty hook : plain"),
        medians[1],
        medians[0],
        f64::INFINITY,
    );
    let (small, large) = if files < 10_000 {
        (1.35, f64::INFINITY)
    } else {
        (f64::INFINITY, 1.1)
    };
    row(&what(" : an empty hook"), medians[2], medians[1], small);
    row(&what(" : plain"), medians[2], medians[0], large);
    if let Some(lfs) = medians.get(3) {
        row(
            &what(", git-lfs's hooks : plain"),
            *lfs,
            medians[0],
            f64::INFINITY,
        );
    }
    repo.bob_locks((0..LOCKS).map(elsewhere));
    let medians = medians_with(&repo, &directories[..3], prepare, commit);
    let large = if files < 10_000 { f64::INFINITY } else { 1.35 };
    row(
        &what(", 200 locks of others : plain"),
        medians[2],
        medians[0],
        large,
    );
}

/// A bare repository beside it, to push to by its path.
fn remote_of(repo: &Repo) -> TempDir {
    let remote = tempfile::tempdir().unwrap();
    let path = remote.path().to_str().unwrap();
    repo.git(&["init", "-q", "--bare", path]);
    repo.git(&["--git-dir", path, "config", "gc.auto", "0"]);
    repo.git(&["remote", "add", "origin", path]);
    repo.git(&[
        "push",
        "-q",
        "--no-verify",
        "origin",
        "HEAD:refs/heads/main",
    ]);
    remote
}

fn pushing() {
    let repo = Repo::new(1000);
    let _remote = remote_of(&repo);
    let hooks = Hooks::of(&repo);
    let mut directories = vec![hooks.none(), hooks.ours.clone()];
    directories.extend(hooks.lfs());
    let prepare = |turn: usize| {
        repo.stage(1, &format!("{turn}\n"));
        repo.git(&["commit", "-q", "--no-verify", "-m", "one"]);
    };
    let push = |hooks: &Path| git_with(&repo, hooks, &["push", "-q", "origin", "HEAD:main"]);
    let medians = medians_with(&repo, &directories, prepare, push);
    row("git push to a path : plain", medians[1], medians[0], 1.25);
    if let Some(lfs) = medians.get(2) {
        row(
            "git push to a path, git-lfs's hooks : plain",
            *lfs,
            medians[0],
            f64::INFINITY,
        );
    }
    repo.bob_locks_folder("Elsewhere");
    let medians = medians_with(&repo, &directories[..2], prepare, push);
    row(
        "git push, another holds a folder : plain",
        medians[1],
        medians[0],
        1.4,
    );
    repo.bob_locks((0..LOCKS).map(|n| elsewhere(n).replace("Elsewhere", "Other")));
    let medians = medians_with(&repo, &directories[..2], prepare, push);
    row(
        "git push, 200 locks of others : plain",
        medians[1],
        medians[0],
        1.4,
    );
}

fn switching() {
    let repo = checked_out(10_000);
    repo.git(&["branch", "-q", "side"]);
    repo.stage(10, "two\n");
    repo.git(&["commit", "-q", "--no-verify", "-m", "two"]);
    repo.git(&["reset", "-q", "--hard"]);
    let main = repo.told(&["branch", "--show-current"]);
    let hooks = Hooks::of(&repo);
    let mut directories = vec![hooks.none(), hooks.ours.clone()];
    directories.extend(hooks.lfs());
    // An even number of turns: all of them go to each of the two branches.
    let go = |hooks: &Path| {
        git_with(&repo, hooks, &["switch", "-q", "side"]);
        git_with(&repo, hooks, &["switch", "-q", &main]);
    };
    let medians = medians_with(&repo, &directories, |_| {}, go);
    row(
        "git switch twice, 10,000 files : plain",
        medians[1],
        medians[0],
        1.2,
    );
    if let Some(lfs) = medians.get(2) {
        row(
            "git switch twice, git-lfs's hooks : plain",
            *lfs,
            medians[0],
            f64::INFINITY,
        );
    }
}
