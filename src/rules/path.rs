//! Repository paths, their keys, and the place of a lock in the lock directory. Pure.
//!
//! A [`RepoPath`] is what people see: UTF-8, from the repository's root, `/` between components, `.` for the whole
//! repository. A [`Key`] is what makes two spellings one path. A [`Place`] is where the lock of a key lies below the
//! lock directory; it is a function of key and kind, and injective: no two claims share a place, and the lock of a
//! file never stands where a directory must be.

use std::borrow::Cow;
use std::fmt;

pub use crate::rules::kind::Kind;
use serde::Serialize;
use unicode_normalization::UnicodeNormalization as _;

use crate::rules::error::{Error, Result};

/// The suffix of a lock file.
const SUFFIX: &[u8] = b".lock";
/// The longest file name that Linux, macOS and Windows file systems all take, in bytes.
const MAX_COMPONENT: usize = 255;
/// The longest path that can be locked, in bytes; lock directory and path together must stay below the system's limit.
const MAX_PATH: usize = 3072;

/// A path that can be locked, from the repository's root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RepoPath(String);

impl RepoPath {
    /// The whole repository.
    #[must_use]
    pub(crate) fn root() -> Self {
        RepoPath(".".into())
    }

    /// Checks the form of a path that is already relative to the root.
    ///
    /// Refused: empty, `.` or `..` or empty components, anything called `.git`, `.locks` at the top, control
    /// characters, components whose lock would have a name over 255 bytes, over 3072 bytes in all.
    pub fn new(path: impl Into<String>) -> Result<Self> {
        let path = path.into();
        if path == "." {
            return Ok(RepoPath(path));
        }
        match problem_with(&path) {
            Some(problem) => Err(Error::bad_path(path, problem)),
            None => Ok(RepoPath(path)),
        }
    }

    /// The path as text; `.` is the whole repository.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the whole repository.
    #[must_use]
    pub(crate) fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// What makes this path the same as its other spellings.
    #[must_use]
    pub fn key(&self) -> Key {
        if self.is_root() {
            Key(Vec::new())
        } else {
            Key::of(self.0.as_bytes())
        }
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a path cannot be locked.
fn problem_with(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > MAX_PATH {
        return Some("it is longer than 3072 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("it has control characters");
    }
    if path.starts_with('/') {
        return Some("it begins with a slash: paths are relative to the repository's root");
    }
    let last = path.matches('/').count();
    path.split('/')
        .enumerate()
        .find_map(|(depth, component)| match component {
            "" => Some("it has an empty component"),
            "." | ".." => Some("it has a component `.` or `..`"),
            c if begins_like_git(c) && is_git_directory(c) => {
                Some("it lies inside `.git`, or a name that a file system treats as `.git`")
            }
            c if depth < last && begins_like_git(c) && is_git_file(c) => {
                Some("a git file cannot be a directory")
            }
            c if depth == 0 && c.eq_ignore_ascii_case(".locks") => {
                Some("`.locks` is the lock directory")
            }
            c if is_too_long(c) => {
                Some("a component of it is too long for a lock file's name of 255 bytes")
            }
            _ => None,
        })
}

/// Whether it is worth while to look closer: most names are not.
fn begins_like_git(component: &str) -> bool {
    matches!(
        component.as_bytes().first(),
        Some(b'.' | b'g' | b'G' | 0x80..)
    )
}

/// A component as the file systems of Windows and macOS may read it: without what they ignore.
fn as_read_elsewhere(component: &str) -> String {
    let is_ignored = |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let seen: String = component.chars().filter(|c| !is_ignored(*c)).collect();
    let name = seen.split([':', '\\']).next().unwrap_or_default();
    name.trim_end_matches([' ', '.']).to_ascii_lowercase()
}

/// What git neither adds nor checks out (`core.protectNTFS`, `core.protectHFS`): a lock ref with such a name in its trees
/// could not be fetched with `fetch.fsckObjects`.
fn is_git_directory(component: &str) -> bool {
    matches!(as_read_elsewhere(component).as_str(), ".git" | "git~1")
}

/// What git wants to be a file, also by the short names that Windows makes (git-fsck(1): `gitmodulesBlob`,
/// `gitattributesBlob`).
fn is_git_file(component: &str) -> bool {
    let name = as_read_elsewhere(component);
    let short = name.split_once('~').map(|(name, _)| name);
    matches!(name.as_str(), ".gitmodules" | ".gitattributes")
        || short.is_some_and(|short| {
            ["gitmod", "gi7eb", "gitatt", "gi7d2"]
                .iter()
                .any(|s| short.starts_with(s))
        })
}

/// Whether the lock of this component, as a file or as a directory, would have too long a name.
fn is_too_long(component: &str) -> bool {
    if component.is_ascii() {
        return component.len() + SUFFIX.len() > MAX_COMPONENT;
    }
    fold(component.as_bytes()).len() + SUFFIX.len() > MAX_COMPONENT
}

/// A path's identity: per component NFC, lower case, NFC; where a component is not UTF-8, its bytes.
///
/// The same in every clone, whatever `core.ignorecase` says. The root's key is empty. Lower case goes character by
/// character, without the rule for a final sigma, so that a key does not depend on what follows a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of any path that git can name, relative to the root and without `.` components.
    #[must_use]
    pub fn of(path: &[u8]) -> Self {
        if path.is_ascii() {
            return Key(path.to_ascii_lowercase());
        }
        let folded: Vec<Cow<'_, [u8]>> = path.split(|b| *b == b'/').map(fold).collect();
        Key(folded.join(&b'/'))
    }

    /// The key of the whole repository.
    #[must_use]
    pub(crate) fn root() -> Self {
        Key(Vec::new())
    }

    /// The key's bytes, components separated by `/`.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The directories above, nearest first, the root last.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Key> + '_ {
        let mut rest = (!self.0.is_empty()).then_some(self.0.as_slice());
        std::iter::from_fn(move || {
            let path = rest?;
            let parent = path
                .iter()
                .rposition(|b| *b == b'/')
                .map_or(&b""[..], |at| &path[..at]);
            rest = (!parent.is_empty()).then_some(parent);
            Some(Key(parent.to_vec()))
        })
    }

    /// Whether `other` lies strictly below this key.
    #[must_use]
    pub fn is_above(&self, other: &Key) -> bool {
        if self.0.is_empty() {
            return !other.0.is_empty();
        }
        other.0.len() > self.0.len()
            && other.0.starts_with(&self.0)
            && other.0[self.0.len()] == b'/'
    }
}

/// A text in the one spelling that stands for all its others: composed, in lower case.
pub(crate) fn folded(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        let composed = text.nfc().flat_map(char::to_lowercase).nfc();
        return Cow::Owned(composed.collect());
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

/// One component in its one spelling.
fn fold(component: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(component) else {
        return Cow::Borrowed(component);
    };
    match folded(text) {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// What a lock occupies: a key, and whether everything below it too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// The path's key.
    pub key: Key,
    /// A file, or a directory with everything below it.
    pub kind: Kind,
}

impl Claim {
    /// The claim of a path.
    #[must_use]
    pub fn new(path: &RepoPath, kind: Kind) -> Self {
        Claim {
            key: path.key(),
            kind,
        }
    }

    /// Whether the two cannot have different holders: one key, or one a directory above the other. Symmetric.
    #[must_use]
    pub(crate) fn overlaps(&self, other: &Claim) -> bool {
        self.covers(&other.key) || other.covers(&self.key)
    }

    /// Whether the claim holds this key: it is the key, or a directory above it.
    #[must_use]
    pub(crate) fn covers(&self, key: &Key) -> bool {
        self.key == *key || (self.kind == Kind::Directory && self.key.is_above(key))
    }

    /// Where the lock of this claim lies; `None` where its name would be too long for a file system, or a file of git's own
    /// would have to be a directory.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let mut place = directory_of(&self.key, self.kind);
        if let Kind::File = self.kind {
            let name = self.key.0.rsplit(|b| *b == b'/').next().unwrap_or_default();
            place.extend_from_slice(name);
        }
        place.extend_from_slice(SUFFIX);
        let fits = place
            .split(|b| *b == b'/')
            .all(|c| c.len() <= MAX_COMPONENT);
        let name = self.key.0.rsplit(|b| *b == b'/').next();
        let is_file = self.kind == Kind::Directory
            && name.is_some_and(|name| str::from_utf8(name).is_ok_and(is_git_file));
        (fits && !is_file).then_some(Place(place))
    }
}

/// The mirrored directory in which the lock of a claim lies, with a trailing `/` unless it is the top.
fn directory_of(key: &Key, kind: Kind) -> Vec<u8> {
    let mut components: Vec<&[u8]> = key
        .0
        .split(|b| *b == b'/')
        .filter(|c| !c.is_empty())
        .collect();
    if let Kind::File = kind {
        components.pop();
    }
    let mut place = Vec::with_capacity(key.0.len() + 8);
    for component in components {
        place.extend_from_slice(component);
        if looks_like_lock(component) {
            place.push(b'%');
        }
        place.push(b'/');
    }
    place
}

/// Whether a component ends in `.lock` and any number of `%`.
fn looks_like_lock(component: &[u8]) -> bool {
    let bare = component
        .iter()
        .rposition(|b| *b != b'%')
        .map_or(0, |at| at + 1);
    component[..bare].ends_with(SUFFIX)
}

/// Where a lock lies, relative to the lock directory: `assets/hero.psd.lock`, `assets/.lock`, `.lock`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(Vec<u8>);

impl Place {
    /// A place as found by walking a lock directory.
    #[must_use]
    pub(crate) fn from_bytes(place: Vec<u8>) -> Self {
        Place(place)
    }

    /// The bytes, components separated by `/`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a file of that name in the lock directory claims to be a lock.
    #[must_use]
    pub(crate) fn is_lock(&self) -> bool {
        self.0.ends_with(SUFFIX)
    }

    /// The claim whose lock lies here; `None` where no claim has this place.
    #[must_use]
    pub(crate) fn claim(&self) -> Option<Claim> {
        let split = self
            .0
            .iter()
            .rposition(|b| *b == b'/')
            .map_or(0, |at| at + 1);
        let (directory, name) = self.0.split_at(split);
        let name = name.strip_suffix(SUFFIX)?;
        let mut key = Vec::with_capacity(self.0.len());
        for component in directory.split(|b| *b == b'/').filter(|c| !c.is_empty()) {
            let component = match component.strip_suffix(b"%") {
                Some(bare) if looks_like_lock(bare) => bare,
                _ if looks_like_lock(component) => return None,
                _ => component,
            };
            key.extend_from_slice(component);
            key.push(b'/');
        }
        key.extend_from_slice(name);
        let kind = if name.is_empty() {
            Kind::Directory
        } else {
            Kind::File
        };
        if let Kind::Directory = kind {
            key.pop();
        }
        Some(Claim {
            key: Key(key),
            kind,
        })
    }

    /// What is occupied by whatever lies here. Folded: what lies where no lock can blocks the path that it looks like.
    #[must_use]
    pub(crate) fn occupied(&self) -> Claim {
        match self.claim() {
            Some(claim) => Claim {
                key: Key::of(claim.key.as_bytes()),
                ..claim
            },
            None => Claim {
                key: Key::of(&self.0),
                kind: Kind::File,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn place(path: &str, kind: Kind) -> String {
        let place = Claim::new(&RepoPath::new(path).unwrap(), kind)
            .place()
            .unwrap();
        String::from_utf8(place.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_file_systems_take_for_gits_own_is_refused() {
        for path in [
            ".git/x",
            "a/.GIT",
            "a/.git /x",
            "a/.git./x",
            "git~1",
            "d/GIT~1/x",
            "d/.g\u{200c}it/x",
            ".git::$INDEX_ALLOCATION/x",
            ".gitmodules/x",
            "d/.gitattributes/x",
            "GITMOD~1/x",
            "gi7eba~9/x",
        ] {
            assert!(RepoPath::new(path).is_err(), "{path}");
        }
        for path in [
            ".gitmodules",
            "d/.gitattributes",
            ".github/x",
            ".git-blame/x",
            "git/x",
            "gitmodern/x",
            ".gitignore",
        ] {
            assert!(
                Claim::new(&RepoPath::new(path).unwrap(), Kind::File)
                    .place()
                    .is_some(),
                "{path}"
            );
        }
        let modules = RepoPath::new(".gitmodules").unwrap();
        assert_eq!(Claim::new(&modules, Kind::Directory).place(), None);
    }

    #[test]
    fn places_mirror_the_tree() {
        assert_eq!(place("Assets/Hero.psd", Kind::File), "assets/hero.psd.lock");
        assert_eq!(place("assets", Kind::Directory), "assets/.lock");
        assert_eq!(place(".", Kind::Directory), ".lock");
        assert_eq!(place("a.lock", Kind::File), "a.lock.lock");
        assert_eq!(place("a.lock/b", Kind::File), "a.lock%/b.lock");
        assert_eq!(place("a.LOCK%", Kind::Directory), "a.lock%%/.lock");
        assert_eq!(place("Gemfile.lock", Kind::File), "gemfile.lock.lock");
    }

    #[test]
    fn spellings_of_one_path_share_a_key() {
        let composed = RepoPath::new("Caf\u{e9}/X").unwrap().key();
        let decomposed = RepoPath::new("cafe\u{301}/x").unwrap().key();
        assert_eq!(composed, decomposed);
        assert_eq!(Key::of("\u{212a}".as_bytes()), Key::of(b"k"));
        assert_eq!(Key::of(b"\xff\xc3A/B").as_bytes(), b"\xff\xc3A/b");
    }

    #[test]
    fn ancestors_end_at_the_root() {
        let key = Key::of(b"a/b/c");
        let above: Vec<_> = key
            .ancestors()
            .map(|k| String::from_utf8(k.0).unwrap())
            .collect();
        assert_eq!(above, ["a/b", "a", ""]);
        assert_eq!(Key::root().ancestors().count(), 0);
    }

    #[test]
    fn bad_paths_are_refused() {
        let long = "x".repeat(251);
        let deep = "a/".repeat(2000) + "a";
        for path in [
            "", "/a", "a/", "a//b", "..", "a/../b", "./a", ".git", "a/.GIT/b", ".locks/a", "a\nb",
            &long, &deep,
        ] {
            assert!(RepoPath::new(path).is_err(), "{path:?}");
        }
        assert!(RepoPath::new("x".repeat(250)).is_ok());
        assert!(RepoPath::new("a/.locks").is_ok());
    }

    #[test]
    fn a_place_of_nobody_has_no_claim() {
        for place in ["a.lock/b.lock", "a.lock%%%x/../b", "readme.txt"] {
            let place = Place::from_bytes(place.as_bytes().to_vec());
            assert!(
                place
                    .claim()
                    .is_none_or(|c| c.place() == Some(place.clone())),
                "{place:?}"
            );
        }
        assert!(
            Place::from_bytes(b"a.lock/b.lock".to_vec())
                .claim()
                .is_none()
        );
    }

    /// Components that meet every rule of the encoding often.
    fn component() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ab]{1,2}(\\.lock)?%{0,2}(\\.lock)?",
            "(\u{e9}|e\u{301}|\u{c9}|\u{3c3}|\u{3a3}|\u{3c2}|\u{130}|\u{df}|\u{1e9e}|k|\u{212a}|%|\\.lock){1,3}",
        ]
        .prop_filter("a legal component", |c| RepoPath::new(format!("x/{c}")).is_ok())
    }

    fn claim() -> impl Strategy<Value = Claim> {
        (prop::collection::vec(component(), 1..4), any::<bool>()).prop_map(
            |(components, is_file)| {
                let kind = if is_file { Kind::File } else { Kind::Directory };
                Claim::new(
                    &RepoPath::new(format!("x/{}", components.join("/"))).unwrap(),
                    kind,
                )
            },
        )
    }

    proptest! {
        #[test]
        fn places_are_injective_and_read_back(claims in prop::collection::vec(claim(), 1..40)) {
            let mut seen: HashMap<Vec<u8>, Claim> = HashMap::new();
            for claim in claims {
                let place = claim.place().unwrap();
                prop_assert_eq!(place.claim(), Some(claim.clone()));
                // What a case-insensitive file system would see as the same name.
                let name = String::from_utf8(place.as_bytes().to_vec()).unwrap();
                let folded = name.nfd().flat_map(char::to_lowercase).nfc().collect::<String>().into_bytes();
                if let Some(other) = seen.insert(folded, claim.clone()) {
                    prop_assert_eq!(other, claim);
                }
            }
        }

        #[test]
        fn a_lock_never_stands_where_a_directory_must_be(a in claim(), b in claim()) {
            let lock = a.place().unwrap();
            let other = b.place().unwrap();
            let mut below = lock.as_bytes().to_vec();
            below.push(b'/');
            prop_assert!(!other.as_bytes().starts_with(&below), "{:?} {:?}", lock, other);
        }

        #[test]
        fn overlap_is_symmetric_and_means_one_covers_the_other(a in claim(), b in claim()) {
            prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
            prop_assert!(a.overlaps(&a));
            if a.kind == Kind::File && b.kind == Kind::File {
                prop_assert_eq!(a.overlaps(&b), a.key == b.key);
            }
        }
    }
}
