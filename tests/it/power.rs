//! Losing power: what the disk has when it goes is all there is afterwards. A file system in a file is copied as it is at
//! that moment, and the copy is mounted in its place: what was not synced is in neither.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use crate::support::{LATCH, Run, Sandbox, Tree};

/// A file system whose power can go.
struct Disk<'a> {
    sandbox: &'a Sandbox,
    image: PathBuf,
    place: PathBuf,
    options: &'static str,
}

impl<'a> Disk<'a> {
    /// A fresh one; `None` where it cannot be made or mounted here.
    fn new(sandbox: &'a Sandbox, kind: &str) -> Option<Self> {
        let (image, place) = (sandbox.path().join("image-0"), sandbox.path().join("disk"));
        fs::create_dir(&place).unwrap();
        File::create(&image).unwrap().set_len(400 << 20).unwrap();
        let disk = Disk {
            sandbox,
            image,
            place,
            // Nothing gets to the disk by itself while a test runs.
            options: if kind == "xfs" {
                "loop"
            } else {
                "loop,commit=300"
            },
        };
        let mut format = sandbox.command(format!("mkfs.{kind}"));
        let made = format.arg("-q").arg(&disk.image).output();
        let is_made = made.is_ok_and(|output| output.status.success());
        if !is_made || !disk.mount() {
            eprintln!("skipped: no {kind} in a file can be mounted here");
            return None;
        }
        Some(disk)
    }

    fn mount(&self) -> bool {
        let mut mount = self.sandbox.command("mount");
        mount
            .args(["-o", self.options])
            .arg(&self.image)
            .arg(&self.place);
        mount.output().is_ok_and(|output| output.status.success())
    }

    /// A repository on it, safely on the disk.
    fn repo(&self) -> Tree<'a> {
        let tree = self.sandbox.tree("disk/repo");
        fs::create_dir(&tree.path).unwrap();
        tree.git(&["init", "-q", "--template="]);
        for file in ["hero.psd", "notes.txt", "d/e/x"] {
            tree.write(file, "one\n");
        }
        tree.git(&["add", "."]);
        tree.git(&["commit", "-qm", "one"]);
        self.settle();
        tree
    }

    /// All that was written so far is safely on the disk.
    fn settle(&self) {
        let mut sync = self.sandbox.command("sync");
        assert!(sync.arg("-f").arg(&self.place).status().unwrap().success());
    }

    /// The power goes, and comes back.
    fn lose_power(&mut self) {
        let next = self.image.with_extension("next");
        let mut copy = self.sandbox.command("cp");
        let copied = copy.arg("--sparse=always").arg(&self.image).arg(&next);
        assert!(copied.status().unwrap().success());
        let mut unmount = self.sandbox.command("umount");
        assert!(unmount.arg(&self.place).status().unwrap().success());
        fs::rename(&next, &self.image).unwrap();
        assert!(self.mount(), "what is left is a file system");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        drop(
            Command::new("umount")
                .arg("--lazy")
                .arg(&self.place)
                .output(),
        );
    }
}

fn killed_at(step: &str, tree: &Tree<'_>, arguments: &[&str]) {
    let mut command = tree.command(LATCH);
    Run::of(command.env("GIT_LATCH_FAULT", step).args(arguments)).ended(137);
}

fn held(path: &str, owner: &str) -> Vec<(String, String)> {
    vec![(path.into(), format!("{owner}@example.com"))]
}

/// What was said before the power went is so afterwards.
fn keeps_its_word_on(kind: &str) {
    let sandbox = Sandbox::new();
    let Some(mut disk) = Disk::new(&sandbox, kind) else {
        return;
    };
    let ada = disk.repo();
    let bob = ada.by("bob@example.com");

    // The very first lock, with all directories and the workspace's record: it is there, and mine.
    ada.ok(&["lock", "d/e/x"]);
    disk.lose_power();
    assert_eq!(ada.locks(), held("d/e/x", "ada"), "{kind}: first lock");
    let mine = ada.json(&["status"])["mine"].as_array().unwrap().len();
    assert_eq!(mine, 1, "{kind}: it is mine");

    // A renewal may be lost, the lock not.
    ada.ok(&["renew"]);
    disk.lose_power();
    assert_eq!(ada.locks(), held("d/e/x", "ada"), "{kind}: renewal");
    ada.ok(&["renew"]);
    disk.settle();

    // A takeover has one holder, wherever the old lock lay.
    bob.ok(&["lock", "--steal", "-m", "due", "d"]);
    disk.lose_power();
    assert_eq!(ada.locks(), held("d", "bob"), "{kind}: takeover");
    bob.ok(&["renew"]);

    // What was given back does not come back beside its successor's.
    disk.settle();
    bob.ok(&["unlock", "d"]);
    ada.ok(&["lock", "d/e/x"]);
    disk.settle();
    ada.ok(&["unlock", "d/e/x"]);
    bob.ok(&["lock", "d"]);
    disk.lose_power();
    assert_eq!(ada.locks(), held("d", "bob"), "{kind}: release");
}

/// Half of a change is taken back, also when the power goes.
fn undoes_half_a_change_on(kind: &str) {
    let sandbox = Sandbox::new();
    let Some(mut disk) = Disk::new(&sandbox, kind) else {
        return;
    };
    let ada = disk.repo();
    let bob = ada.by("bob@example.com");
    ada.ok(&["lock", "notes.txt"]);
    disk.settle();
    let steal = ["lock", "--steal", "-m", "due", "hero.psd", "notes.txt"];
    killed_at("change.step#2", &bob, &steal);
    // The names get to the disk, as they may at any time: what they stand for need not.
    let locks = ada.path.join(".git/latch/locks");
    File::open(locks).unwrap().sync_all().unwrap();
    disk.lose_power();
    assert_eq!(ada.locks(), held("notes.txt", "ada"), "{kind}");
    // The undoing is durable as well.
    disk.lose_power();
    assert_eq!(ada.locks(), held("notes.txt", "ada"), "{kind}");
    ada.ok(&["unlock", "notes.txt"]);
}

/// The record of one's own leases may lose its newest entries and stands in nobody's way.
fn lives_without_its_record_on(kind: &str) {
    let sandbox = Sandbox::new();
    let Some(mut disk) = Disk::new(&sandbox, kind) else {
        return;
    };
    let ada = disk.repo();
    ada.ok(&["lock", "hero.psd"]);
    disk.settle();
    ada.ok(&["lock", "notes.txt"]);
    disk.lose_power();
    ada.ok(&["status"]);
    // Entered again on the way.
    ada.ok(&["renew"]);
    let bob = ada.by("bob@example.com");
    bob.ok(&["lock", "--steal", "-m", "due", "hero.psd", "notes.txt"]);
    let lost = ada.json(&["status"])["lost"].as_array().unwrap().len();
    assert_eq!(lost, 2, "{kind}");
}

#[test]
fn on_ext4_power_may_go() {
    keeps_its_word_on("ext4");
    undoes_half_a_change_on("ext4");
    lives_without_its_record_on("ext4");
}

#[test]
fn on_xfs_power_may_go() {
    keeps_its_word_on("xfs");
    undoes_half_a_change_on("xfs");
    lives_without_its_record_on("xfs");
}

#[test]
fn on_btrfs_power_may_go() {
    keeps_its_word_on("btrfs");
    undoes_half_a_change_on("btrfs");
    lives_without_its_record_on("btrfs");
}
