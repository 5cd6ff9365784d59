//! What tells a git directory from its copies.
//!
//! A copy is another directory: with an inode of its own, made at a time of its own, or on another file system. Whether
//! it is called the same, on a machine that is called the same, proves neither that it is the same nor that it is not: a
//! container sees the tree of its host under other names, and what was copied may have been moved into the original's
//! place. In doubt it is a copy: two living trees that pass for one owner would be two holders.

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The marks of a directory, as it was seen once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marks {
    /// The machine's name, or the container's.
    pub(crate) host: String,
    /// Where it was.
    pub(crate) path: String,
    /// Its number on its file system.
    inode: u64,
    /// When it was made, in nanoseconds since 1970; where the file system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    born: Option<u64>,
    /// The device of its file system: one as long as the system is not started anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<u64>,
    /// The id of its file system, where that is the same for ever and nobody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file_system: Option<u64>,
    /// Which start of the system it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
    /// Whether `host` is a container's name: it says nothing of the machine then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    contained: bool,
}

/// This machine's name, as the system says.
pub(crate) fn host() -> String {
    system::host()
}

/// The same for people: elsewhere than on Unix from the environment.
pub(crate) fn host_name(variable: &dyn Fn(&str) -> Option<String>) -> String {
    let host = host();
    if !host.is_empty() {
        return host;
    }
    variable("COMPUTERNAME").unwrap_or_else(|| "localhost".into())
}

impl Marks {
    /// What a directory looks like from here.
    pub(crate) fn of(directory: &Path, host: &str) -> Self {
        let meta = std::fs::metadata(directory).ok();
        let born = meta.as_ref().and_then(|meta| meta.created().ok());
        let born = born.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let (inode, device) = meta.as_ref().map_or((0, None), system::numbers);
        Marks {
            host: host.to_owned(),
            path: directory.to_string_lossy().into_owned(),
            inode: storable(inode),
            born: born.and_then(|since| u64::try_from(since.as_nanos()).ok().map(storable)),
            device: device.map(storable),
            file_system: system::file_system(directory).map(storable),
            boot: crate::os::process::boot(),
            contained: system::is_contained(),
        }
    }

    /// Whether a directory that looks like this now is the one that was seen then. `lives` says whether the one that was
    /// seen is still to be found where it was, beside this one.
    pub(crate) fn is_same(&self, now: &Marks, lives: impl FnOnce() -> bool) -> bool {
        let has_passing_inodes = || system::has_passing_inodes(Path::new(&now.path));
        if self.is_same_place(now) {
            return self.is_same_file(now) || self.agrees(now) && has_passing_inodes();
        }
        if !self.is_same_file(now) || has_passing_inodes() {
            return false;
        }
        let is_shared = || self.path == now.path && system::is_shared(Path::new(&now.path));
        system::INODES_SUFFICE
            || self.is_same_mount(now)
            || is_shared()
            || self.is_same_disk(now) && !self.is_of_another_system(now) && !lives()
    }

    /// Whether it is so sure to be the same directory that something may be given up for it.
    pub(crate) fn is_surely_same(&self, now: &Marks) -> bool {
        self.is_same_file(now)
            && self.born.is_some()
            && (self.is_same_mount(now)
                || self.is_same_disk(now) && !self.is_of_another_system(now))
    }

    /// Whether it is so sure to be another directory, as it was born at another time.
    pub(crate) fn is_surely_another(&self, now: &Marks) -> bool {
        self.born.is_some() && now.born.is_some() && self.born != now.born
    }

    /// Whether it has the same number and the rest does not contradict.
    pub(crate) fn is_same_file(&self, now: &Marks) -> bool {
        self.inode == now.inode && self.agrees(now)
    }

    /// Whether birth and file system say the same, where both are known.
    fn agrees(&self, now: &Marks) -> bool {
        let agree = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
        // Snapshots keep inodes and births; but not the file system.
        agree(self.born, now.born) && agree(self.file_system, now.file_system)
    }

    /// Whether it is the file system that it was, also after a start of the system.
    fn is_same_disk(&self, now: &Marks) -> bool {
        let same = |a: Option<u64>, b: Option<u64>| a.is_some() && a == b;
        // Where the file system's id is only the device's, a birth to the nanosecond is the second witness.
        same(self.file_system, now.file_system)
            || same(self.born, now.born)
                && same(self.device, now.device)
                && self.device.is_some_and(system::is_disk)
    }

    /// Whether both were seen now, and are one directory.
    pub(crate) fn is_same_file_on_mount(&self, now: &Marks) -> bool {
        self.is_same_file(now) && self.device == now.device
    }

    fn is_same_place(&self, now: &Marks) -> bool {
        (&self.host, &self.path) == (&now.host, &now.path)
    }

    fn is_same_boot(&self, now: &Marks) -> bool {
        self.boot.is_some() && self.boot == now.boot
    }

    fn is_same_mount(&self, now: &Marks) -> bool {
        self.is_same_boot(now) && self.device.is_some() && self.device == now.device
    }

    /// Whether the disk was copied with all that is on it: a cloned machine has another name, and was started by itself;
    /// a copied image is another device at the same time, and told apart by its place alone.
    fn is_of_another_system(&self, now: &Marks) -> bool {
        if self.is_same_boot(now) {
            return self.host != now.host;
        }
        self.boot.is_some()
            && now.boot.is_some()
            && self.host != now.host
            && !self.contained
            && !now.contained
    }
}

/// TOML has no numbers over 63 bits.
fn storable(number: u64) -> u64 {
    number & u64::MAX >> 1
}

#[cfg(unix)]
mod system {
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    /// Whether inode and birth decide where nothing else is known. On Linux containers and snapshots are common.
    pub(super) const INODES_SUFFICE: bool = cfg!(not(target_os = "linux"));

    pub(super) fn host() -> String {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    }

    pub(super) fn numbers(meta: &Metadata) -> (u64, Option<u64>) {
        (meta.ino(), Some(meta.dev()))
    }

    /// The id of a file system that keeps it for ever and shares it with no other: not that of its device, and not that of
    /// the layer below.
    pub(super) fn file_system(directory: &Path) -> Option<u64> {
        let keeps_its_id = crate::os::mount::magic_of(directory).is_some_and(|magic| {
            // ext2 to ext4, btrfs, ZFS, F2FS (linux/magic.h).
            matches!(magic, 0xef53 | 0x9123_683e | 0x2fc1_2fc1 | 0xf2f5_2010)
        });
        let id = keeps_its_id
            .then(|| rustix::fs::statvfs(directory).ok())??
            .f_fsid;
        (id != 0).then_some(id)
    }

    /// Whether a device's number is a disk's: others are given out anew at each mount.
    pub(super) fn is_disk(device: u64) -> bool {
        rustix::fs::major(device) != 0
    }

    /// Whether other machines write to the same directory.
    pub(super) fn is_shared(directory: &Path) -> bool {
        crate::os::mount::mount_of(directory).is_some() && !has_passing_inodes(directory)
    }

    /// Whether inodes are numbers of the moment: FAT has none, and FUSE counts what it is asked for.
    pub(super) fn has_passing_inodes(directory: &Path) -> bool {
        crate::os::mount::magic_of(directory)
            .is_some_and(|magic| matches!(magic, 0x4d44 | 0x2011_bab0 | 0x6573_5546))
    }

    /// Whether this process has a machine's name of its own (`uts_namespaces(7)`): the first one has this number always.
    pub(super) fn is_contained() -> bool {
        std::fs::read_link("/proc/self/ns/uts")
            .is_ok_and(|link| link.as_os_str() != "uts:[4026531838]")
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::Metadata;
    use std::path::Path;

    /// There is the birth alone, of a precision of 100 ns.
    pub(super) const INODES_SUFFICE: bool = true;

    /// Names of machines matter where disks are copied with their marks, which cannot be told here.
    pub(super) fn host() -> String {
        String::new()
    }

    pub(super) fn numbers(_meta: &Metadata) -> (u64, Option<u64>) {
        (0, None)
    }

    pub(super) fn file_system(_directory: &Path) -> Option<u64> {
        None
    }

    pub(super) fn is_disk(_device: u64) -> bool {
        false
    }

    pub(super) fn is_shared(_directory: &Path) -> bool {
        false
    }

    pub(super) fn has_passing_inodes(_directory: &Path) -> bool {
        false
    }

    pub(super) fn is_contained() -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Marks {
        Marks {
            host: "host".into(),
            path: "/nowhere/w/.git".into(),
            inode: 7,
            born: Some(1),
            device: Some(8),
            file_system: Some(9),
            boot: Some("one".into()),
            contained: false,
        }
    }

    fn is_same(change: impl FnOnce(&mut Marks)) -> bool {
        let mut now = seen();
        change(&mut now);
        seen().is_same(&now, || false)
    }

    fn elsewhere(now: &mut Marks) {
        now.host = "box".into();
        now.path = "/w/.git".into();
    }

    #[test]
    fn names_alone_never_decide() {
        assert!(is_same(|_| ()));
        assert!(is_same(elsewhere));
        assert!(is_same(|now| {
            elsewhere(now);
            now.file_system = None;
        }));
        for other in [
            |now: &mut Marks| now.inode = 70,
            |now: &mut Marks| now.born = Some(10),
            |now: &mut Marks| now.file_system = Some(90),
        ] {
            assert!(!is_same(other));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn after_a_start_of_the_system_the_file_system_decides() {
        let restarted = |now: &mut Marks| {
            now.boot = Some("two".into());
            now.device = Some(80);
        };
        assert!(is_same(restarted));
        // Moved, or seen from a container.
        assert!(is_same(|now| {
            restarted(now);
            now.path = "/w/.git".into();
        }));
        assert!(is_same(|now| {
            restarted(now);
            elsewhere(now);
            now.contained = true;
        }));
        // Nothing says that this is the same disk: not the number of a mount either.
        for device in [80, 8] {
            assert!(!is_same(|now| {
                restarted(now);
                elsewhere(now);
                now.contained = true;
                now.file_system = None;
                now.device = Some(device);
            }));
        }
        let on_disk = Marks {
            file_system: None,
            device: Some(0x801),
            ..seen()
        };
        let mut now = on_disk.clone();
        now.boot = Some("two".into());
        elsewhere(&mut now);
        now.contained = true;
        assert!(on_disk.is_same(&now, || false));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_machine_or_a_disk_that_was_copied_is_another() {
        // Started by itself, under another name.
        assert!(!is_same(|now| {
            now.boot = Some("two".into());
            now.host = "clone".into();
        }));
        // Another device at the same time: told by its place, or by who lives in the old one.
        let image = |now: &mut Marks| now.device = Some(80);
        assert!(!is_same(|now| {
            image(now);
            elsewhere(now);
        }));
        let mut now = seen();
        image(&mut now);
        now.path = "/mnt/w/.git".into();
        assert!(!seen().is_same(&now, || true));
        assert!(seen().is_same(&now, || false));
    }

    #[test]
    fn what_is_given_up_wants_more_proof_than_what_goes_on() {
        assert!(seen().is_surely_same(&seen()));
        let without = |change: fn(&mut Marks)| {
            let mut now = seen();
            change(&mut now);
            now.is_surely_same(&now.clone())
        };
        assert!(!without(|now| now.born = None));
        assert!(!without(|now| {
            now.file_system = None;
            now.boot = None;
        }));
    }
}
