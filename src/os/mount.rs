//! Which file systems the local tier trusts: those whose locks work between all who can write there.

use std::path::Path;

use crate::rules::error::{Error, Result};

/// Refuses network and FUSE mounts whose file locks may not reach every writer.
///
/// Trusted: local disks, NFS with lockd, SMB with byte-range locks. On other systems than Linux nothing is checked.
pub(crate) fn check(directory: &Path) -> Result<()> {
    let kind = match mount_of(directory) {
        Some(NFS) if nfs_locks_are_local(directory) => "NFS mounted without lockd",
        Some(SMB) if smb_locks_are_local(directory) => "SMB mounted without byte-range locks",
        None | Some(NFS | SMB) => return Ok(()),
        Some(other) => other,
    };
    Err(Error::Unsupported {
        problem: format!(
            "{} lies on {kind}, where file locks may not reach every machine",
            crate::rules::spelling::quoted(directory.as_os_str().as_encoded_bytes())
        ),
        hint: Some(
            "share locks through a remote instead: git latch init --remote origin; or, where only one machine uses this repository: git config latch.trustShare true".into(),
        ),
    })
}

const NFS: &str = "an NFS mount";
const SMB: &str = "an SMB mount";

/// What kind of mount a directory lies on, where others than this machine may write to it: it tells of their changes by
/// no event.
#[cfg(target_os = "linux")]
pub(crate) fn mount_of(directory: &Path) -> Option<&'static str> {
    Some(match magic_of(directory)? {
        0x6969 => NFS,
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => SMB,
        0x6573_5546 => "a FUSE mount",
        0x0102_1997 => "a 9p mount",
        0x00c3_6400 => "a Ceph mount",
        0x0bd0_0bd0 => "a Lustre mount",
        0x5346_414f | 0x6b41_4653 => "an AFS mount",
        0x7375_7245 => "a Coda mount",
        0x0116_1970 => "a GFS2 mount",
        0x7461_636f => "an OCFS2 mount",
        0x4750_4653 => "a GPFS mount",
        _ => return None,
    })
}

/// The magic number of the file system that a directory lies on.
#[cfg(target_os = "linux")]
pub(crate) fn magic_of(directory: &Path) -> Option<u32> {
    let stat = rustix::fs::statfs(directory).ok()?;
    // The type is a signed word of differing width; the magic numbers are 32 bits (statfs(2), linux/magic.h).
    u32::try_from(stat.f_type & 0xffff_ffff).ok()
}

/// There are no such numbers elsewhere.
#[cfg(all(unix, not(target_os = "linux")))]
pub(crate) fn magic_of(_directory: &Path) -> Option<u32> {
    None
}

/// Elsewhere the kind of a mount cannot be told without unsafe code.
#[cfg(not(target_os = "linux"))]
pub(crate) fn mount_of(_directory: &Path) -> Option<&'static str> {
    None
}

fn nfs_locks_are_local(directory: &Path) -> bool {
    let local = |o: &str| matches!(o, "nolock" | "local_lock=all" | "local_lock=flock");
    mount_options(directory).is_none_or(|options| options.split(',').any(local))
}

fn smb_locks_are_local(directory: &Path) -> bool {
    mount_options(directory).is_none_or(|options| options.split(',').any(|o| o == "nobrl"))
}

/// The options of the mount that holds a directory, from `/proc/self/mountinfo` (proc(5)): the fields after ` - `
/// are type, source and the file system's own options.
fn mount_options(directory: &Path) -> Option<String> {
    let directory = directory.canonicalize().ok()?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = table.lines().filter_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        let point = head.split(' ').nth(4)?.replace("\\040", " ");
        let options = tail.split(' ').nth(2)?;
        directory
            .starts_with(&point)
            .then(|| (point.len(), options.to_owned()))
    });
    // The longest mount point wins; of equal ones the last, which lies on top.
    mounts
        .max_by_key(|(length, _)| *length)
        .map(|(_, options)| options)
}
