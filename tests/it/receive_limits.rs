//! What the lock ref may bring, where pushes are judged.

use crate::support::judged::{judged, latch, push};
use crate::support::{Run, Sandbox, Tree};

/// A change of the lock ref that Bob makes by hand, beside a lock of Ada's.
struct Forger<'a> {
    bare: Tree<'a>,
    store: Tree<'a>,
    /// A lock of Bob's, as his own git-latch writes it; not taken.
    lock: String,
    /// The number of the next change.
    seq: u64,
    /// The lease of Ada's lock.
    lease: String,
}

impl<'a> Forger<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        let (ada, bob, bare) = judged(sandbox, "[force]\nwho = []\n");
        latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
        latch(&bob, "bob@example.com", &["lock", "notes.txt"]).ended(0);
        let lock = bob.read(".git/latch/locks/notes.txt.lock");
        let lease = bare.git(&["show", "refs/latch/locks:hero.psd.lock"]);
        let lease = lease.split("lease = \"").nth(1).unwrap()[..32].to_owned();
        latch(&bob, "bob@example.com", &["unlock", "notes.txt"]).ended(0);
        let seq = bob.json(&["list"])["seq"].as_u64().unwrap() + 1;
        let store = sandbox.tree("bob/.git/latch/store.git");
        let fresh = "0193a7c2f5e87d2aa1b3c4d5e6f70812";
        let lock = [replaced(&lock, "seq", &seq.to_string()), String::new()].concat();
        let lock = replaced(&lock, "lease", &format!("{fresh:?}"));
        Forger {
            bare,
            store,
            lock,
            seq,
            lease,
        }
    }

    /// Pushes this file as the lock of `notes.txt`, in a commit with this message and environment.
    fn pushes(&self, lock: &str, message: &str, variables: &[(&str, &str)]) -> Run {
        std::fs::write(self.store.path.join("forged"), lock).unwrap();
        std::fs::write(self.store.path.join("message"), message).unwrap();
        let script = r#"
            export GIT_INDEX_FILE=$PWD/forged.index
            tip=$(git --git-dir=. ls-remote "$0" refs/latch/locks | cut -f1)
            git read-tree $tip
            git update-index --add --cacheinfo 100644,$(git hash-object -w forged),notes.txt.lock
            git commit-tree $(git write-tree) -p $tip -F message"#;
        let mut writing = self.store.command("bash");
        writing.args(["-c", script, self.bare.path.to_str().unwrap()]);
        for person in ["AUTHOR", "COMMITTER"] {
            writing.env_remove(format!("GIT_{person}_DATE"));
            writing.env(format!("GIT_{person}_NAME"), "Bob");
            writing.env(format!("GIT_{person}_EMAIL"), "bob@example.com");
        }
        let written = Run::of(writing.envs(variables.iter().copied())).ended(0);
        let refspec = format!("{}:refs/latch/locks", written.stdout.trim());
        let url = self.bare.path.to_str().unwrap();
        push(
            &self.store,
            "bob@example.com",
            &["--no-verify", url, &refspec],
        )
    }

    fn message(&self) -> String {
        format!("lock notes.txt\n\nLatch-Seq: {}\n", self.seq)
    }
}

/// A lock file with another value of a key.
fn replaced(lock: &str, key: &str, value: &str) -> String {
    let of = |line: &str| match line.split_once(" = ") {
        Some((name, _)) if name == key => format!("{key} = {value}\n"),
        _ => format!("{line}\n"),
    };
    lock.lines().map(of).collect()
}

#[test]
fn what_no_honest_program_writes_is_refused_by_its_path() {
    let sandbox = Sandbox::new();
    let forger = Forger::new(&sandbox);
    let plain = || forger.lock.clone();
    let with = |key: &str, value: &str| replaced(&plain(), key, value);
    let copied = format!("\"{}\"", forger.lease);
    for (lock, told) in [
        (
            with("acquired_at", "2099-01-01T00:00:00.000Z"),
            "git-latch: refused notes.txt",
        ),
        (
            with("acquired_at", "2020-01-01T00:00:00.000Z"),
            "git-latch: refused notes.txt",
        ),
        (
            with("heartbeat_at", "2020-01-01T00:00:00.000Z"),
            "git-latch: refused notes.txt",
        ),
        (with("lease", &copied), "git-latch: bad_usage notes.txt"),
        (
            with("id", "\"carol@example.com\""),
            "git-latch: forbidden notes.txt",
        ),
        (
            plain() + &"#".repeat(16 * 1024),
            "git-latch: bad_usage notes.txt",
        ),
    ] {
        forger
            .pushes(&lock, &forger.message(), &[])
            .ended(1)
            .said(told);
    }
    forger.pushes(&plain(), &forger.message(), &[]).ended(0);
}

#[test]
fn a_change_that_lies_about_its_maker_or_moment_or_goes_on_for_pages_is_refused() {
    let sandbox = Sandbox::new();
    let forger = Forger::new(&sandbox);
    let pushes = |message: &str, variables: &[(&str, &str)]| {
        forger.pushes(&forger.lock, message, variables).ended(1)
    };
    let message = forger.message();
    pushes(&message, &[("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .said("its author is `ada@example.com`")
        .said("git-latch: forbidden .");
    pushes(&message, &[("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z")])
        .said("its author's date is")
        .said("git-latch: refused .");
    pushes(&message, &[("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")])
        .said("git-latch: refused .");
    for length in [70_000, 20 << 20] {
        let long = format!("{}{message}", "x".repeat(length));
        pushes(&long, &[])
            .said("at most 65536 are read")
            .said("git-latch: bad_usage .");
    }
    forger.pushes(&forger.lock, &message, &[]).ended(0);
}

#[test]
fn a_renewal_may_say_why() {
    let sandbox = Sandbox::new();
    let (ada, _, _) = judged(&sandbox, "");
    latch(&ada, "ada@example.com", &["lock", "hero.psd"]).ended(0);
    latch(
        &ada,
        "ada@example.com",
        &["lock", "hero.psd", "-m", "retopology"],
    )
    .ended(0);
}
