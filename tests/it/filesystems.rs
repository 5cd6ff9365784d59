//! Repositories on file systems that are full, read-only, or know no upper and lower case: real mounts, where the
//! system lets us make them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::daemon::begun;
use crate::support::stream::Stream;
use crate::support::{LATCH, Run, Sandbox, Tree};

/// A mounted file system; unmounted when it is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Runs what mounts one at the end of its arguments; `None` where that is not possible here.
    fn by(sandbox: &Sandbox, command: &mut Command) -> Option<Self> {
        let place = sandbox.path().join("mounted");
        fs::create_dir(&place).unwrap();
        let mounted = command.arg(&place).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Mount(place));
        }
        eprintln!("skipped: {command:?} mounts nothing here");
        None
    }

    /// A small one in memory.
    pub(crate) fn small(sandbox: &Sandbox) -> Option<Self> {
        let mut command = sandbox.command("mount");
        Self::by(
            sandbox,
            command.args(["-t", "tmpfs", "-o", "size=1m", "none"]),
        )
    }

    /// A repository on it, with `Hero.psd`.
    fn repo<'a>(&self, sandbox: &'a Sandbox) -> Tree<'a> {
        let tree = sandbox.tree("mounted/repo");
        fs::create_dir(&tree.path).unwrap();
        tree.git(&["init", "-q", "--template="]);
        tree.write("Hero.psd", "one\n");
        tree.git(&["add", "."]);
        tree.git(&["commit", "-qm", "one"]);
        assert!(tree.path.starts_with(&self.0));
        tree
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a program of the test may still stand in it.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

/// Fills the file system with a file; removing it makes room again.
fn fill(tree: &Tree<'_>) -> PathBuf {
    fill_by(tree.path.join(".git/filler"))
}

/// The same, with this one.
pub(crate) fn fill_by(filler: PathBuf) -> PathBuf {
    let mut chunk = 1 << 16;
    let mut bytes = Vec::new();
    while chunk > 0 {
        bytes.resize(bytes.len() + chunk, 0);
        if fs::write(&filler, &bytes).is_err() {
            bytes.truncate(bytes.len() - chunk);
            chunk /= 2;
        }
    }
    filler
}

#[test]
fn on_a_full_file_system_nothing_is_half_done_and_the_agent_goes_on() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    ada.write(".latch.toml", "[lease]\nclock_skew = \"0s\"\n");
    ada.ok(&["lock", "Hero.psd", "--ttl", "60s"]);
    ada.write("Hero.psd", "two\n");
    let clock = sandbox.clock();
    let mut command = ada.command(LATCH);
    command.args(["--json", "daemon"]);
    clock.of(&mut command);
    let mut daemon = begun(command);
    let filler = fill(&ada);
    ada.latch(&["lock", "--new", "other.psd"])
        .ended(5)
        .said("free some space");
    assert_eq!(ada.locks().len(), 1);
    clock.set(25);
    let told = daemon.tells_in_the_end("not_renewed", "");
    assert_eq!(told["error"]["code"], "io");
    fs::remove_file(filler).unwrap();
    daemon.tells_in_the_end("renewed_again", "");
    ada.ok(&["lock", "--new", "other.psd"]);
    daemon.tells_in_the_end("locked", "other.psd");
}

#[test]
fn on_a_full_file_system_a_lock_can_be_given_back() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    ada.ok(&["lock", "Hero.psd"]);
    let mut watch = watching(&ada);
    fill(&ada);
    ada.ok(&["unlock", "Hero.psd"]);
    watch.tells(&[("unlocked", "Hero.psd")]);
}

#[test]
fn on_a_full_file_system_several_locks_can_be_given_back_and_none_is_lost() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    ada.ok(&["lock", "--new", "Hero.psd", "a", "b"]);
    fill(&ada);
    ada.ok(&["unlock", "a", "b"]);
    ada.ok(&["unlock", "Hero.psd"]);
    let status = ada.json(&["status"]);
    assert_eq!((&status["lost"], ada.locks()), (&json!([]), vec![]));
}

/// Bob is killed in the middle of taking two locks over.
fn half_stolen(mount: &Mount, ada: &Tree<'_>) {
    assert!(ada.path.starts_with(&mount.0));
    ada.ok(&["lock", "--new", "Hero.psd", "other"]);
    let mut bob = ada.by("bob").command(LATCH);
    let steal = ["lock", "--new", "--steal", "-m", "due", "Hero.psd", "other"];
    Run::of(bob.env("GIT_LATCH_FAULT", "change.step").args(steal)).ended(137);
    assert!(ada.path.join(".git/latch/txn").exists());
}

/// Everybody can look, and sees what was before.
fn one_can_look_at_what_was(ada: &Tree<'_>) {
    let owners: Vec<String> = ada.locks().into_iter().map(|(_, owner)| owner).collect();
    assert_eq!(owners, ["ada@example.com"; 2]);
    ada.by("carol").latch(&["check", "Hero.psd"]).ended(1);
    assert_eq!(ada.json(&["status"])["lost"], json!([]));
}

#[test]
fn on_a_full_file_system_half_a_change_shows_what_was_before() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    half_stolen(&mount, &ada);
    let filler = fill(&ada);
    one_can_look_at_what_was(&ada);
    fs::remove_file(filler).unwrap();
    one_can_look_at_what_was(&ada);
    assert!(!ada.path.join(".git/latch/txn").exists());
}

#[test]
fn on_a_read_only_file_system_half_a_change_shows_what_was_before() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    half_stolen(&mount, &ada);
    let mut remount = sandbox.command("mount");
    let remounted = remount.args(["-o", "remount,ro"]).arg(&mount.0).status();
    assert!(remounted.unwrap().success());
    one_can_look_at_what_was(&ada);
}

fn watching(tree: &Tree<'_>) -> Stream {
    let mut watch = Stream::start(tree.command(LATCH).args(["--json", "watch"]));
    watch.says("watching");
    watch
}

#[test]
fn on_a_read_only_file_system_one_can_look() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    ada.by("bob").ok(&["lock", "Hero.psd"]);
    let mut remount = sandbox.command("mount");
    let remounted = remount.args(["-o", "remount,ro"]).arg(&mount.0).status();
    assert!(remounted.unwrap().success());
    assert_eq!(ada.locks().len(), 1);
    ada.ok(&["status"]);
    ada.latch(&["lock", "--new", "other"])
        .ended(5)
        .said("read-only");
    ada.latch(&["daemon"]).ended(5).said("read-only");
    let mut watch = watching(&ada);
    watch.signal(rustix::process::Signal::TERM);
    assert_eq!(watch.ended(), 0);
}

#[test]
fn without_upper_and_lower_case_a_path_has_one_lock_as_everywhere() {
    let sandbox = Sandbox::new();
    let image = sandbox.path().join("image");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    let formatted = sandbox
        .command("mkfs.ntfs")
        .args(["-Q", "-F", "-q"])
        .arg(&image)
        .output();
    if !formatted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no mkfs.ntfs here");
        return;
    }
    let mut command = sandbox.command("lowntfs-3g");
    command.args(["-o", "ignore_case"]).arg(&image);
    let Some(mount) = Mount::by(&sandbox, &mut command) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    assert!(ada.path.join("hero.PSD").exists());
    // A FUSE mount, of which the file locks are not known to reach everybody.
    ada.latch(&["lock", "Hero.psd"]).ended(2).said("FUSE");
    ada.git(&["config", "latch.trustShare", "true"]);
    let mut watch = watching(&ada);
    watch.says("lies on a FUSE mount");
    ada.ok(&["lock", "HERO.psd"]);
    // As the index has it; this driver shows names in lower case.
    watch.tells(&[("locked", "hero.psd")]);
    ada.by("bob")
        .latch(&["lock", "hero.PSD"])
        .ended(1)
        .said("hero.psd is locked by Ada");
    ada.ok(&["unlock", "Hero.psd"]);
    watch.tells(&[("unlocked", "hero.psd")]);
}

#[test]
fn a_file_time_that_no_calendar_knows_is_no_reason_to_fail() {
    let sandbox = Sandbox::new();
    let Some(mount) = Mount::small(&sandbox) else {
        return;
    };
    let ada = mount.repo(&sandbox);
    ada.ok(&["lock", "Hero.psd"]);
    for file in ["Hero.psd", ".git/latch/locks/hero.psd.lock"] {
        let touched = ada
            .command("touch")
            .args(["-d", "@99999999999999", file])
            .status();
        assert!(touched.unwrap().success());
    }
    assert_eq!(ada.locks().len(), 1);
    ada.ok(&["renew"]);
}
