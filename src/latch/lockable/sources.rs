//! Where attributes come from, and whether any of these files was written since they were last looked at.
//!
//! They are the `.gitattributes` of the working tree (at the top, and those that the index names), the repository's own,
//! the person's and the system's. What they looked like lies in the working tree's git directory, so that most looks
//! read nothing: a file that was written has other times, another length or another inode.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ATTRIBUTE, ATTRIBUTES_FILE, index};
use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::latch::identity::Home;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::os::paths::bytes_to_path;
use crate::rules::error::{Error, Result};
use crate::store::TreeDir;

/// How many sources are read again rather than noted.
const FEW: usize = 8;

/// How the attributes of a working tree stand.
#[derive(Debug)]
pub struct Attributes {
    record: PathBuf,
    seen: Seen,
    sources: String,
    index: String,
    is_in_use: bool,
}

/// What was seen at an earlier look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    /// What the sources looked like.
    #[serde(default)]
    sources: String,
    /// Whether one of them mentioned the attribute.
    #[serde(default)]
    lockable: bool,
    /// Where git's configuration said that the person's attributes are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    personal: Option<String>,
    /// What sources and index looked like when the write bits of all files were set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled: Option<(String, String)>,
}

impl Attributes {
    /// Looks at them. `config` is empty where there was no time to ask git for it.
    ///
    /// # Errors
    /// [`Error::Io`] with the file that cannot be read.
    pub(crate) fn look(repo: &Repo, config: &Config, home: &Home) -> Result<Self> {
        let record = TreeDir::of(repo.git_dir()).attributes();
        let old = read(&record)?;
        let mut seen = old.clone();
        if let Some(configured) = config.get("core.attributesfile") {
            seen.personal = Some(configured.to_owned());
        }
        let (paths, is_clear) = paths(repo, &seen, home)?;
        let mut hasher = DefaultHasher::new();
        for path in &paths {
            path.hash(&mut hasher);
            hash_stamp(path, &mut hasher);
        }
        let sources = format!("{:016x}", hasher.finish());
        if seen.sources != sources || !is_clear {
            seen.lockable = !is_clear || any_mentions(&paths)?;
            seen.sources.clone_from(&sources);
        }
        let attributes = Attributes {
            index: stamp(&repo.git_dir().join("index")),
            is_in_use: seen.lockable,
            record,
            seen,
            sources,
        };
        // Where there never was the attribute, a look leaves no trace unless it saves much reading.
        let is_worth_it = old != Seen::default() || paths.len() > FEW;
        if attributes.seen != old && is_worth_it && TreeDir::of(repo.git_dir()).path().is_dir() {
            attributes.write(Sharing::Umask);
        }
        Ok(attributes)
    }

    /// Whether any file can be `lockable` here: one of the sources mentions the attribute.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    /// Whether the write bits of all files were set by these very attributes. Where the attribute was never met none
    /// need be.
    #[must_use]
    pub fn are_settled(&self) -> bool {
        match &self.seen.settled {
            Some((sources, _)) => *sources == self.sources,
            None => !self.is_in_use,
        }
    }

    /// Whether git has written its index since all bits were set: files may have come, or been written anew.
    #[must_use]
    pub(crate) fn has_index_moved(&self) -> bool {
        let settled = self.seen.settled.as_ref();
        self.is_in_use && settled.is_none_or(|(_, index)| *index != self.index)
    }

    /// Notes that the write bits of all files are set. Where that cannot be written they are set again the next time.
    pub(crate) fn note_settled(&mut self, sharing: Sharing) {
        self.seen.settled = Some((self.sources.clone(), self.index.clone()));
        self.write(sharing);
    }

    fn write(&self, sharing: Sharing) {
        let text = toml::to_string(&self.seen).expect("strings are TOML");
        let directory = self.record.parent().unwrap_or(&self.record);
        let written = files::create_directories(directory, sharing)
            .and_then(|_| files::replace(&self.record, text.as_bytes(), sharing));
        if let Err(error) = written {
            tracing::debug!(%error, "how the attributes stand is not noted");
        }
    }
}

/// What was seen. A record that does not parse is none.
fn read(record: &Path) -> Result<Seen> {
    match fs::read_to_string(record) {
        Ok(text) => Ok(toml::from_str(&text).unwrap_or_default()),
        Err(e) if files::is_absent(&e) || e.kind() == ErrorKind::InvalidData => Ok(Seen::default()),
        Err(e) => Err(Error::io("read", record)(e)),
    }
}

/// The files that may give attributes, and whether those are all. One that gives none does no harm.
fn paths(repo: &Repo, seen: &Seen, home: &Home) -> Result<(Vec<PathBuf>, bool)> {
    let mut paths = vec![
        repo.common_dir().join("info").join("attributes"),
        PathBuf::from("/etc/gitattributes"),
    ];
    let mut is_clear = true;
    let configured = [repo.attributes_file(), seen.personal.as_deref()];
    if configured == [None, None] {
        paths.extend(by_default(home));
    }
    for configured in configured.into_iter().flatten() {
        match personal(configured, repo, home) {
            Some(path) => paths.push(path),
            None => is_clear = false,
        }
    }
    if let Ok(root) = repo.root() {
        paths.push(root.join(ATTRIBUTES_FILE));
        let tracked = index::attribute_files(repo.git_dir())?;
        paths.extend(tracked.iter().map(|path| root.join(bytes_to_path(path))));
    }
    paths.sort();
    paths.dedup();
    Ok((paths, is_clear))
}

/// Where a person's attributes lie if nothing is configured.
fn by_default(home: &Home) -> Option<PathBuf> {
    let directory = home
        .xdg_config_home
        .clone()
        .filter(|path| !path.as_os_str().is_empty())
        .or_else(|| home.home.as_ref().map(|home| home.join(".config")));
    directory.map(|directory| directory.join("git").join("attributes"))
}

/// Where they lie by `core.attributesFile`; `None` where only git can tell (`~user/`, `%(prefix)/`).
fn personal(configured: &str, repo: &Repo, home: &Home) -> Option<PathBuf> {
    if let Some(rest) = configured.strip_prefix("~/") {
        return home.home.as_ref().map(|home| home.join(rest));
    }
    if configured.starts_with(['~', '%']) {
        return None;
    }
    // Git works at the top of the working tree.
    Some(repo.root().unwrap_or(repo.git_dir()).join(configured))
}

/// What a file looks like from outside.
fn stamp(path: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    hash_stamp(path, &mut hasher);
    format!("{:016x}", hasher.finish())
}

fn hash_stamp(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(meta) = fs::metadata(path) else {
        return 0_u8.hash(hasher);
    };
    files::hash_state(&meta, hasher);
}

fn any_mentions(paths: &[PathBuf]) -> Result<bool> {
    for path in paths {
        if mentions(path)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a file mentions the attribute; one that is not there mentions nothing.
fn mentions(file: &Path) -> Result<bool> {
    match fs::read(file) {
        Ok(text) => Ok(memchr::memmem::find(&text, ATTRIBUTE.as_bytes()).is_some()),
        // Git takes no attributes from a directory or from what it may not read.
        Err(e)
            if files::is_absent(&e)
                || matches!(
                    e.kind(),
                    ErrorKind::IsADirectory | ErrorKind::PermissionDenied
                ) =>
        {
            Ok(false)
        }
        Err(e) => Err(Error::io("read", file)(e)),
    }
}
