//! Which paths and which locks the arguments of a command mean: one rule for every command that asks about paths or
//! gives locks back.
//!
//! A directory means what it covers, a pattern what it matches: files that git tracks, and locks, also on what is still to
//! come. What neither exists nor is tracked nor locked is said to be nothing.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use super::Latch;
use crate::git::target::{Named, Pathspec, Resolver, Target};
use crate::latch::held::Held;
use crate::rules::error::{Error, Result};
use crate::rules::path::{Claim, Key, Kind, RepoPath};
use crate::rules::time::Clock;
use crate::rules::view::{Entry, Me, Standing, View};
use crate::store::Scope;

/// What arguments mean.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    parts: Vec<Part>,
}

/// What one argument means.
#[derive(Clone, Debug)]
pub struct Part {
    /// The argument, as it was given.
    pub argument: String,
    targets: Vec<Target>,
    pattern: Option<Pathspec>,
    files: HashSet<Key>,
}

impl Part {
    fn new(argument: String, targets: Vec<Target>, pattern: Option<Pathspec>) -> Self {
        let files = targets.iter().filter(|t| t.kind == Kind::File);
        Part {
            files: files.map(|t| t.path.key()).collect(),
            argument,
            targets,
            pattern,
        }
    }

    /// The paths, as far as they are known: what a pattern matches of the tracked files.
    #[must_use]
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether it is a pattern, and so names nothing itself.
    #[must_use]
    pub(crate) fn is_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    /// Whether a path is meant: named, matched, or below a directory that is named.
    #[must_use]
    pub(crate) fn includes(&self, key: &Key) -> bool {
        let mut directories = self.targets.iter().filter(|t| t.kind == Kind::Directory);
        self.files.contains(key)
            || directories.any(|directory| directory.claim().covers(key))
            || self.pattern.as_ref().is_some_and(|p| p.matches(key))
    }

    /// Whether a lock holds any of it.
    #[must_use]
    pub fn is_held_by(&self, claim: &Claim) -> bool {
        self.includes(&claim.key)
            || claim.kind == Kind::Directory
                && self.targets.iter().any(|t| claim.covers(&t.path.key()))
    }

    /// The path that is named, where it is one.
    #[must_use]
    pub fn named(&self) -> Option<&Target> {
        match self.targets.as_slice() {
            [target] if !self.is_pattern() => Some(target),
            _ => None,
        }
    }

    /// The path that a directory's lock holds from above, where it is one.
    #[must_use]
    pub fn covered(&self, entry: &Entry) -> Option<&Target> {
        if self.includes(&entry.claim.key) {
            return None;
        }
        let mut targets = self.targets.iter();
        targets.find(|target| entry.claim.covers(&target.path.key()))
    }

    /// The locks on what is meant, of mine in `mine` and of others in the second list; without what covers it from above.
    pub(super) fn locks(
        &self,
        view: &View,
        me: &Me,
        held: &[Held],
    ) -> (Vec<RepoPath>, Vec<RepoPath>) {
        let (mut mine, mut others) = (BTreeMap::new(), BTreeMap::new());
        for entry in view.entries().filter(|e| self.includes(&e.claim.key)) {
            let path = match entry.lock() {
                Some(lock) => Ok(lock.path.clone()),
                None => RepoPath::new(entry.shown_path()),
            };
            let Ok(path) = path else { continue };
            if me.has(entry) {
                mine.insert(path.key(), path);
            } else if view.standing(entry) != Standing::Expired {
                others.insert(path.key(), path);
            }
        }
        // What was taken here and is lost is given back by being forgotten.
        let lost = held.iter().filter(|h| h.confirmed && h.is_of(me));
        for path in lost.filter_map(|h| RepoPath::new(h.path.as_str()).ok()) {
            if self.includes(&path.key()) {
                mine.entry(path.key()).or_insert(path);
            }
        }
        others.retain(|key, _| !mine.contains_key(key));
        (mine.into_values().collect(), others.into_values().collect())
    }
}

impl Part {
    /// Where nothing of it is mine: the locks of others instead, else the path that is named.
    ///
    /// # Errors
    /// [`Error::NoneHeld`] for a pattern of which nothing is locked.
    pub(super) fn stands_against(
        &self,
        view: &View,
        me: &Me,
        held: &[Held],
    ) -> Result<Vec<RepoPath>> {
        let (_, others) = self.locks(view, me, held);
        if !others.is_empty() {
            return Ok(others);
        }
        let named = self.targets.first().filter(|_| !self.is_pattern());
        let named = named.map(|t| vec![t.path.clone()]);
        named.ok_or_else(|| Error::NoneHeld {
            argument: self.argument.clone(),
        })
    }
}

/// Whose locks of a selection are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Among {
    /// Mine; where none is, whatever stands there instead, to be told.
    Mine,
    /// Everybody's.
    All,
}

impl Selection {
    /// These paths.
    #[must_use]
    pub fn of(targets: &[Target]) -> Self {
        let part = |t: &Target| Part::new(t.path.to_string(), vec![t.clone()], None);
        Selection {
            parts: targets.iter().map(part).collect(),
        }
    }

    /// Argument for argument.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Every path that is known.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.parts.iter().flat_map(|part| &part.targets)
    }

    /// Whether a path is meant.
    #[must_use]
    pub fn includes(&self, key: &Key) -> bool {
        self.parts.iter().any(|part| part.includes(key))
    }

    /// What of a store to read.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if self.parts.iter().any(Part::is_pattern) {
            return Scope::All;
        }
        Scope::Claims(self.targets().map(Target::claim).collect())
    }

    /// The paths of the locks that are meant, each once. Of an argument on which nothing is locked the path that it names,
    /// for the answer to be about.
    ///
    /// # Errors
    /// [`Error::NoneHeld`] for a pattern of which nothing is locked.
    pub(super) fn locked(
        &self,
        view: &View,
        me: &Me,
        held: &[Held],
        among: Among,
    ) -> Result<Vec<RepoPath>> {
        let mut seen = HashSet::new();
        let mut paths = Vec::new();
        for part in &self.parts {
            let (mut found, others) = part.locks(view, me, held);
            if among == Among::All {
                found.extend(others);
            }
            if found.is_empty() {
                found = part.stands_against(view, me, held)?;
            }
            paths.extend(found.into_iter().filter(|path| seen.insert(path.key())));
        }
        Ok(paths)
    }
}

impl Latch {
    /// What arguments mean, relative to where the user stands.
    ///
    /// # Errors
    /// [`Error::BadPath`] with the argument: of a form that cannot be locked, or neither there nor tracked nor locked.
    pub fn select<S: AsRef<OsStr>>(
        &self,
        here: &Path,
        arguments: &[S],
        clock: &dyn Clock,
    ) -> Result<Selection> {
        let part_of = |text, named| match named {
            Named::Paths(targets) => Ok(Part::new(text, targets, None)),
            Named::Matching(targets, pattern) => {
                self.matching(Part::new(text, targets, Some(pattern)), clock)
            }
            Named::Nothing(target) => self.locked_only(text, target, clock),
        };
        self.parts(here, arguments, part_of)
    }

    /// What arguments meant, of what was locked once: nothing is too long gone to be asked about.
    ///
    /// # Errors
    /// [`Error::BadPath`] with the argument, of a form that cannot be locked.
    pub fn select_past<S: AsRef<OsStr>>(&self, here: &Path, arguments: &[S]) -> Result<Selection> {
        self.parts(here, arguments, |text, named| {
            Ok(match named {
                Named::Paths(targets) => Part::new(text, targets, None),
                Named::Matching(targets, pattern) => Part::new(text, targets, Some(pattern)),
                Named::Nothing(target) => {
                    let kind = Kind::Directory;
                    Part::new(text, vec![Target { kind, ..target }], None)
                }
            })
        })
    }

    fn parts<S: AsRef<OsStr>>(
        &self,
        here: &Path,
        arguments: &[S],
        part_of: impl Fn(String, Named) -> Result<Part>,
    ) -> Result<Selection> {
        let resolver = Resolver::new(&self.repo, &self.config, here)?;
        let mut parts = Vec::new();
        for argument in arguments {
            let argument = argument.as_ref();
            let text = argument.to_string_lossy().into_owned();
            let part = part_of(text, resolver.name(argument)?)?;
            parts.push(part);
        }
        Ok(Selection { parts })
    }

    /// A pattern that matches something.
    fn matching(&self, part: Part, clock: &dyn Clock) -> Result<Part> {
        let matches_lock = || -> Result<bool> {
            let view = self.view(&Scope::All, clock)?;
            let is_locked = view.live().any(|e| part.includes(&e.claim.key));
            Ok(is_locked || self.was_held(|key| part.includes(key))?)
        };
        if part.targets.is_empty() && !matches_lock()? {
            let problem = "it matches no tracked file and no lock";
            return Err(Error::bad_path(part.argument, problem));
        }
        Ok(part)
    }

    /// A path that is neither there nor tracked: it is known by a lock on it, above it or below it.
    fn locked_only(&self, argument: String, target: Target, clock: &dyn Clock) -> Result<Part> {
        let area = Claim::new(&target.path, Kind::Directory);
        let view = self.view(&Scope::Claims(vec![area.clone()]), clock)?;
        let around: Vec<&Entry> = view
            .overlapping(&area)
            .filter(|e| view.standing(e) != Standing::Expired)
            .collect();
        let on_it = around.iter().find(|e| e.claim.key == area.key);
        let kind = match on_it {
            Some(entry) => entry.claim.kind,
            None if around.iter().any(|e| area.key.is_above(&e.claim.key)) => Kind::Directory,
            None if self.was_held(|key| area.key.is_above(key))? => Kind::Directory,
            None if !around.is_empty() || self.was_held(|key| *key == area.key)? => target.kind,
            None => {
                return Err(Error::BadPath {
                    path: argument,
                    problem: "no such file or directory, and it is neither tracked nor locked"
                        .into(),
                    hint: None,
                });
            }
        };
        Ok(Part::new(argument, vec![Target { kind, ..target }], None))
    }

    /// Whether a lease on such a path was taken here, whatever became of it.
    fn was_held(&self, is_such: impl Fn(&Key) -> bool) -> Result<bool> {
        let held = self.held.read()?;
        Ok(held
            .iter()
            .filter_map(Held::claim)
            .any(|claim| is_such(&claim.key)))
    }
}
