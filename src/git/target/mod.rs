//! What the arguments of a command name: paths of the repository, as files or directories.
//!
//! An argument that names an existing or tracked path is that path, in the index's spelling; only then wildcards count,
//! and git's own pathspec decides what they match. What exists is found without reading the index, because the index of
//! a large repository costs more than the lock. A symbolic link names itself and what it leads to: whoever edits through
//! it changes that file. Which of the locks an argument means is [`crate::latch::Selection`]'s to say.

mod pathspec;
mod spelling;

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

pub(crate) use pathspec::Pathspec;
use spelling::{by_key, find_by_key};

use crate::git::command::{Git, split_nul};
use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::os::paths::{here_in, path_to_bytes};
use crate::rules::error::{Error, Result};
use crate::rules::path::{Claim, Key, Kind, RepoPath};

/// From how many questions on reading the whole index is cheaper.
const WORTH_THE_INDEX: usize = 4;

/// A path to lock, unlock or ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The path.
    pub path: RepoPath,
    /// A file, or a directory with everything below it.
    pub kind: Kind,
}

impl Target {
    /// A file, by its path from the repository's root. Only the form is checked.
    pub fn file(path: impl Into<String>) -> Result<Self> {
        Ok(Target {
            path: RepoPath::new(path)?,
            kind: Kind::File,
        })
    }

    /// A directory with everything below it, by its path from the repository's root; `.` is everything. Only the form
    /// is checked.
    pub fn directory(path: impl Into<String>) -> Result<Self> {
        Ok(Target {
            path: RepoPath::new(path)?,
            kind: Kind::Directory,
        })
    }

    /// What it occupies.
    #[must_use]
    pub(crate) fn claim(&self) -> Claim {
        Claim::new(&self.path, self.kind)
    }
}

/// What an argument names in the working tree and its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Something that is there or tracked: one path, or a symbolic link after what it leads to.
    Paths(Vec<Target>),
    /// A pattern: the tracked files that it matches, and what else it would match.
    Matching(Vec<Target>, Pathspec),
    /// Nothing; the path is a fine one otherwise.
    Nothing(Target),
}

/// What becomes of an argument that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is an error.
    Refuse,
    /// It is a path to come (`--new`), or one that was: only its form is checked.
    Accept,
}

/// Reads arguments, relative to where the user stands.
#[derive(Debug)]
pub struct Resolver<'a> {
    repo: &'a Repo,
    root: &'a Path,
    here: PathBuf,
    folds_case: bool,
    /// How many paths git was asked about.
    asked: Cell<usize>,
    /// Every path of the index and every directory above one, once that is worth it.
    index: OnceCell<HashMap<Key, (String, Kind)>>,
}

impl<'a> Resolver<'a> {
    /// Reads arguments relative to `here`, a directory.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in a bare repository.
    pub fn new(repo: &'a Repo, config: &Config, here: &Path) -> Result<Self> {
        Ok(Resolver {
            repo,
            root: repo.root()?,
            here: here.canonicalize().map_err(Error::io("find", here))?,
            folds_case: config.is_true("core.ignorecase"),
            asked: Cell::new(0),
            index: OnceCell::new(),
        })
    }

    /// The paths that the arguments name, each once.
    ///
    /// # Errors
    /// [`Error::BadPath`] with the argument: outside the tree, inside `.git` or `.locks`, through a symbolic link, of a
    /// form that cannot be locked, or naming nothing.
    pub fn resolve<S: AsRef<OsStr>>(
        &self,
        arguments: &[S],
        unknown: Unknown,
    ) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        let mut seen: HashMap<Key, usize> = HashMap::new();
        for argument in arguments {
            for target in self.known(argument.as_ref(), unknown)? {
                match seen.entry(target.path.key()) {
                    std::collections::hash_map::Entry::Vacant(slot) => {
                        slot.insert(targets.len());
                        targets.push(target);
                    }
                    // Named as file and as directory: the directory holds both.
                    std::collections::hash_map::Entry::Occupied(slot)
                        if target.kind == Kind::Directory =>
                    {
                        targets[*slot.get()] = target;
                    }
                    std::collections::hash_map::Entry::Occupied(_) => {}
                }
            }
        }
        Ok(targets)
    }

    /// The paths of an argument that has to name some.
    fn known(&self, argument: &OsStr, unknown: Unknown) -> Result<Vec<Target>> {
        let text = argument.to_string_lossy();
        match (self.name(argument)?, unknown) {
            (Named::Paths(targets), _) => Ok(targets),
            (Named::Nothing(target), Unknown::Accept) => Ok(vec![target]),
            (Named::Matching(_, spec), Unknown::Accept) => Ok(vec![spec.as_path()?]),
            (Named::Matching(targets, _), _) if !targets.is_empty() => Ok(targets),
            (Named::Matching(..), Unknown::Refuse) => {
                Err(Error::bad_path(text, "it matches no tracked file"))
            }
            (Named::Nothing(_), Unknown::Refuse) => Err(Error::BadPath {
                path: text.into_owned(),
                problem: "no such file or directory, and git does not track it".into(),
                hint: Some("for a file that does not exist yet, add `--new`".into()),
            }),
        }
    }

    /// What one argument names.
    ///
    /// # Errors
    /// [`Error::BadPath`] with the argument: outside the tree, inside `.git` or `.locks`, through a symbolic link, of a
    /// form that cannot be locked.
    pub(crate) fn name(&self, argument: &OsStr) -> Result<Named> {
        let Some(text) = argument.to_str() else {
            return Err(Error::bad_path(
                argument.to_string_lossy(),
                "it is not UTF-8",
            ));
        };
        if text.is_empty() {
            return Err(Error::bad_path("", "it is empty"));
        }
        let is_directory = text.ends_with(std::path::is_separator);
        let relative = self.relative(text)?;
        if relative.as_os_str().is_empty() {
            return Ok(Named::Paths(vec![Target {
                path: RepoPath::root(),
                kind: Kind::Directory,
            }]));
        }
        self.check_way(text, &relative)?;
        if let Some(target) = self.existing(text, &relative, is_directory)? {
            let mut targets = self.led_to(&target).map_or_else(Vec::new, |led| vec![led]);
            targets.push(target);
            return Ok(Named::Paths(targets));
        }
        if let Some(target) = self.tracked(text, &relative, is_directory)? {
            return Ok(Named::Paths(vec![target]));
        }
        if text.contains(['*', '?', '[']) {
            return self.matching(text, &relative);
        }
        Ok(Named::Nothing(Target {
            path: repo_path(text, &relative)?,
            kind: if is_directory {
                Kind::Directory
            } else {
                Kind::File
            },
        }))
    }

    /// What a symbolic link leads to in this working tree, if it is one: that is what an edit through it changes.
    fn led_to(&self, target: &Target) -> Option<Target> {
        let full = self.root.join(target.path.as_str());
        if target.kind != Kind::File || !fs::symlink_metadata(&full).ok()?.is_symlink() {
            return None;
        }
        let leads_to = full.canonicalize().ok()?;
        let relative = leads_to.strip_prefix(self.root).ok()?;
        let text = relative.to_str().filter(|text| !text.is_empty())?;
        self.check_way(text, relative).ok()?;
        self.existing(text, relative, false).ok()?
    }

    /// The argument relative to the root, `.` and `..` worked off by their letters.
    fn relative(&self, text: &str) -> Result<PathBuf> {
        let given = Path::new(text);
        let full = if given.is_absolute() {
            self.through_links_to_the_root(given)
        } else {
            self.here.join(given)
        };
        let mut plain = PathBuf::new();
        for component in full.components() {
            match component {
                Component::CurDir => {}
                Component::ParentDir => {
                    plain.pop();
                }
                other => plain.push(other),
            }
        }
        plain
            .strip_prefix(self.root)
            .map(Path::to_owned)
            .map_err(|_| Error::BadPath {
                path: text.to_owned(),
                problem: "it is outside the working tree".into(),
                hint: Some(format!("the working tree is `{}`", self.root.display())),
            })
    }

    /// An absolute path to below the root may name the root through links (`/tmp` on macOS).
    fn through_links_to_the_root(&self, given: &Path) -> PathBuf {
        let root = given.ancestors().find(|above| {
            above
                .canonicalize()
                .is_ok_and(|canonical| canonical == self.root)
        });
        match root.and_then(|above| given.strip_prefix(above).ok()) {
            Some(rest) => self.root.join(rest),
            None => given.to_owned(),
        }
    }

    /// Refuses what lies behind a symbolic link, in the repository's own directory or in another repository.
    fn check_way(&self, text: &str, relative: &Path) -> Result<()> {
        let full = self.root.join(relative);
        let git_dirs = [self.repo.git_dir(), self.repo.common_dir()];
        if git_dirs
            .iter()
            .any(|dir| *dir != self.root && full.starts_with(dir))
        {
            return Err(Error::bad_path(text, "it lies inside the git directory"));
        }
        let mut way = self.root.to_owned();
        let parents = relative.parent().into_iter().flat_map(Path::components);
        for component in parents {
            way.push(component);
            let Ok(meta) = fs::symlink_metadata(&way) else {
                return Ok(());
            };
            if meta.is_symlink() {
                let problem = format!(
                    "{} is a symbolic link; name the file itself",
                    self.shown(&way)
                );
                return Err(Error::bad_path(text, problem));
            }
            if fs::symlink_metadata(way.join(".git")).is_ok() {
                let shown = self.shown(&way);
                return Err(Error::BadPath {
                    path: text.to_owned(),
                    problem: format!("it belongs to the repository in {shown}"),
                    hint: Some(format!("run the command there: `git -C {shown} latch …`")),
                });
            }
        }
        Ok(())
    }

    /// A path of the file system, as it is called from where the user stands.
    fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.root).unwrap_or(path);
        here_in(self.root, &self.here).path(&path_to_bytes(below))
    }

    /// The argument as a path that exists.
    fn existing(&self, text: &str, relative: &Path, is_directory: bool) -> Result<Option<Target>> {
        let Ok(meta) = fs::symlink_metadata(self.root.join(relative)) else {
            return Ok(None);
        };
        let path = repo_path(text, relative)?;
        if is_directory && !meta.is_dir() {
            return Err(Error::bad_path(text, "it is not a directory"));
        }
        let kind = if meta.is_dir() {
            Kind::Directory
        } else {
            Kind::File
        };
        // Such a file system opens any spelling; the index knows the right one.
        if self.folds_case
            && let Some(tracked) = self.tracked(text, relative, is_directory)?
        {
            return Ok(Some(Target { kind, ..tracked }));
        }
        Ok(Some(Target { path, kind }))
    }

    /// The argument as a path of the index, in the index's spelling, whatever the argument's.
    fn tracked(&self, text: &str, relative: &Path, is_directory: bool) -> Result<Option<Target>> {
        let wanted = Key::of(&path_to_bytes(relative));
        let Some((spelling, kind)) = self.look_up(&wanted, text_of(relative))? else {
            return Ok(None);
        };
        if is_directory && kind == Kind::File {
            return Err(Error::bad_path(text, "it is not a directory"));
        }
        Ok(Some(Target {
            path: RepoPath::new(spelling)?,
            kind,
        }))
    }

    /// Asks git about single paths first, and reads the whole index when they become many or none is spelled so.
    fn look_up(&self, wanted: &Key, spelling: &str) -> Result<Option<(String, Kind)>> {
        let asked = self.asked.get();
        self.asked.set(asked + 1);
        if asked < WORTH_THE_INDEX && self.index.get().is_none() {
            let literal = ["--literal-pathspecs", "ls-files", "-z", "--", spelling];
            if let Some(found) = find_by_key(&self.repo.git().output(&literal)?, wanted) {
                return Ok(Some(found));
            }
        }
        if self.index.get().is_none() {
            let listing = self.list(&self.repo.git(), &["-z"])?;
            // Set once only: nobody else has this resolver.
            drop(self.index.set(by_key(&listing)));
        }
        Ok(self
            .index
            .get()
            .and_then(|index| index.get(wanted))
            .cloned())
    }

    /// What the index or the last commit has: a file that is staged to go is still one to name.
    fn list(&self, git: &Git, arguments: &[&str]) -> Result<Vec<u8>> {
        let listing = |more: &[&str]| git.output(&[&["ls-files"], more, arguments].concat());
        if self.repo.has_head()? {
            listing(&["--with-tree=HEAD"])
        } else {
            listing(&[])
        }
    }

    /// The tracked files that git's pathspec matches.
    fn matching(&self, text: &str, relative: &Path) -> Result<Named> {
        let git = self.repo.git_in(&self.here);
        let output = self.list(&git, &["-z", "--full-name", "--", text])?;
        let targets: Vec<Target> = split_nul(&output)
            .map(|path| {
                let Ok(path) = std::str::from_utf8(path) else {
                    return Err(Error::bad_path(
                        String::from_utf8_lossy(path),
                        "it is not UTF-8",
                    ));
                };
                Target::file(path)
            })
            .collect::<Result<_>>()?;
        let spec = Pathspec {
            argument: text.to_owned(),
            relative: path_to_bytes(relative),
        };
        Ok(Named::Matching(targets, spec))
    }
}

fn text_of(relative: &Path) -> &str {
    relative
        .to_str()
        .expect("it was joined from UTF-8 and the root was taken off")
}

fn repo_path(text: &str, relative: &Path) -> Result<RepoPath> {
    let bytes = path_to_bytes(relative);
    let path = String::from_utf8(bytes).map_err(|_| Error::bad_path(text, "it is not UTF-8"))?;
    RepoPath::new(path)
}
