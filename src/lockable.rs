//! Files with the gitattribute `lockable`: writable only while I hold their lock, and editable only then.
//!
//! The write bit is a reminder for people and editors; what is enforced is enforced by the hooks. A repository that does
//! not use the attribute pays for a look into the few files that could name it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::git::split_nul;
use crate::path::{Key, bytes_to_path};
use crate::repo::Repo;
use crate::store::files;
use crate::view::{Me, Standing, View};

/// The attribute's name, as `git lfs` has it too.
const ATTRIBUTE: &str = "lockable";

/// Whether a file may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// By its owner.
    Writable,
    /// By nobody.
    ReadOnly,
}

/// Whether any attribute file that is cheap to look into names the attribute: the one at the top, the repository's own,
/// the user's; or [`search`] found one deeper down.
pub fn is_in_use(repo: &Repo, config: &Config, home: Option<&Path>) -> Result<bool> {
    if marker(repo).exists() {
        return Ok(true);
    }
    let own = repo.common_dir().join("info").join("attributes");
    let top = repo.root().ok().map(|root| root.join(".gitattributes"));
    for path in [Some(own), top, users(config, home)].into_iter().flatten() {
        if names_attribute(&path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The user's attribute file (gitattributes(5)).
fn users(config: &Config, home: Option<&Path>) -> Option<PathBuf> {
    match (config.get("core.attributesfile"), home) {
        (Some(path), home) => match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(PathBuf::from(path)),
        },
        (None, Some(home)) => Some(home.join(".config/git/attributes")),
        (None, None) => None,
    }
}

fn names_attribute(path: &Path) -> Result<bool> {
    match fs::read(path) {
        Ok(text) => Ok(text
            .windows(ATTRIBUTE.len())
            .any(|word| word == ATTRIBUTE.as_bytes())),
        Err(e) if files::is_absent(&e) => Ok(false),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}

fn marker(repo: &Repo) -> PathBuf {
    repo.common_dir().join("latch").join(ATTRIBUTE)
}

/// Looks into every tracked `.gitattributes`, and remembers for [`is_in_use`] whether one deeper down names the
/// attribute. Costs a look at the index; `init` and the post-* hooks do it when such a file changes.
pub fn search(repo: &Repo) -> Result<bool> {
    let output = repo.git().output(&[
        "ls-files",
        "-z",
        "--",
        ".gitattributes",
        "**/.gitattributes",
    ])?;
    let root = repo.root()?;
    let mut deeper = false;
    for path in split_nul(&output).filter(|path| path.contains(&b'/')) {
        deeper = deeper || names_attribute(&root.join(bytes_to_path(path)))?;
    }
    let marker = marker(repo);
    if deeper && !marker.exists() {
        fs::create_dir_all(marker.parent().unwrap_or(&marker))
            .and_then(|()| fs::write(&marker, ""))
            .map_err(Error::io("create", &marker))?;
    } else if !deeper {
        files::remove(&marker)?;
    }
    Ok(deeper)
}

/// Those of the paths that are lockable, by the attributes of the working tree, as everything else in git reads them.
pub fn among(repo: &Repo, paths: &[&[u8]]) -> Result<BTreeSet<Vec<u8>>> {
    if paths.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut input = paths.join(&0);
    input.push(0);
    let output = repo
        .git()
        .output_with_input(&["check-attr", "--stdin", "-z", ATTRIBUTE], input)?;
    // Path, attribute, value.
    let words: Vec<&[u8]> = output.split(|b| *b == 0).collect();
    Ok(words
        .chunks_exact(3)
        .filter(|triple| matches!(triple[2], b"set" | b"true"))
        .map(|triple| triple[0].to_vec())
        .collect())
}

/// Every tracked file that is lockable, below `directory` (from the root) if one is named.
pub fn tracked(repo: &Repo, directory: Option<&str>) -> Result<BTreeSet<Vec<u8>>> {
    let mut arguments = vec!["--literal-pathspecs", "ls-files", "-z", "--"];
    arguments.extend(directory.filter(|d| *d != "."));
    let output = repo.git().output(&arguments)?;
    let paths: Vec<&[u8]> = split_nul(&output).collect();
    among(repo, &paths)
}

/// The files that differ between two commits; every tracked file where the first is not known.
pub fn changed_between(repo: &Repo, old: &str, new: &str) -> Result<Vec<Vec<u8>>> {
    let git = repo.git();
    let output = if old.bytes().all(|b| b == b'0') {
        git.output(&["ls-files", "-z"])?
    } else {
        git.output(&[
            "diff-tree",
            "-r",
            "--no-renames",
            "--name-only",
            "-z",
            old,
            new,
        ])?
    };
    Ok(split_nul(&output).map(<[u8]>::to_vec).collect())
}

/// Gives lockable files the write bits they should have: writable where I hold the lock in `view`, read-only where not.
pub fn settle(root: &Path, view: &View, me: &Me, paths: &BTreeSet<Vec<u8>>) -> Result<()> {
    for path in paths {
        let key = Key::of(path);
        let mut covering = view.covering(&key);
        let mine = covering.any(|e| me.has(e) && view.standing(e) == Standing::Live);
        let bits = if mine { Bits::Writable } else { Bits::ReadOnly };
        set(root, path, bits)?;
    }
    Ok(())
}

/// Gives a file its write bit, if it is a regular file and the bit differs. Never follows a link, not even above it.
pub fn set(root: &Path, path: &[u8], bits: Bits) -> Result<()> {
    let relative = bytes_to_path(path);
    let mut above = root.to_owned();
    for component in relative.parent().into_iter().flat_map(Path::components) {
        above.push(component);
        if fs::symlink_metadata(&above).map_or(true, |meta| !meta.is_dir()) {
            return Ok(());
        }
    }
    let path = root.join(&relative);
    let meta = match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() => meta,
        Ok(_) => return Ok(()),
        Err(e) if files::is_absent(&e) => return Ok(()),
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    let mut permissions = meta.permissions();
    if change(&mut permissions, bits) {
        fs::set_permissions(&path, permissions).map_err(Error::io("set the mode of", &path))?;
    }
    Ok(())
}

/// Adds the owner's write bit, as `git lfs` does, or takes all away. Says whether that changed
/// anything.
#[cfg(unix)]
fn change(permissions: &mut fs::Permissions, bits: Bits) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = permissions.mode();
    let wanted = match bits {
        Bits::ReadOnly => mode & !0o222,
        Bits::Writable if mode & 0o200 != 0 => mode,
        Bits::Writable => mode | 0o200,
    };
    permissions.set_mode(wanted);
    wanted != mode
}

#[cfg(not(unix))]
fn change(permissions: &mut fs::Permissions, bits: Bits) -> bool {
    let readonly = bits == Bits::ReadOnly;
    let differs = permissions.readonly() != readonly;
    permissions.set_readonly(readonly);
    differs
}
