//! The repository we stand in: where it is. This folder is the only place that names `git2`.
//!
//! libgit2 finds a repository in microseconds, but cannot open every kind (reftable, SHA-256, what git itself may refuse
//! as somebody else's): where it fails, `git rev-parse` has the last word, and its words are the error.

mod fresh;
mod objects;
mod packs;
mod trees;
mod writing;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository, RepositoryOpenFlags};

pub(crate) use fresh::Fresh;
pub(crate) use objects::{Objects, Past, Revision};
pub(crate) use packs::{Moved, ObjectIds, PackDirectory};
pub(crate) use trees::{Differing, Node, NodeKind};
pub(crate) use writing::Writer;

use crate::git::command::{Cancel, Git};
use crate::rules::error::{Error, Result};

/// One working tree of a repository, or a bare repository.
#[derive(Clone, Debug)]
pub struct Repo {
    root: Option<PathBuf>,
    git_dir: PathBuf,
    common_dir: PathBuf,
    attributes_file: Option<String>,
    inherits: bool,
    cancel: Cancel,
}

impl Repo {
    /// The repository around a directory, whatever the environment says.
    ///
    /// # Errors
    /// [`Error::NotARepository`] with git's own words.
    pub fn discover(directory: &Path) -> Result<Self> {
        let found = Repository::open_ext(directory, RepositoryOpenFlags::empty(), &[] as &[&OsStr]);
        Self::new(found, directory, false)
    }

    /// The repository that git itself would use here: `GIT_DIR` and its like are honoured, as in a hook.
    ///
    /// # Errors
    /// [`Error::NotARepository`] with git's own words.
    pub fn from_environment(directory: &Path) -> Result<Self> {
        Self::new(Repository::open_from_env(), directory, true)
    }

    fn new(
        found: Result<Repository, git2::Error>,
        directory: &Path,
        inherits: bool,
    ) -> Result<Self> {
        match found {
            Ok(repository) => {
                let mut root = repository.workdir().map(canonical).transpose()?;
                let (git_dir, common_dir) = (
                    canonical(repository.path())?,
                    canonical(repository.commondir())?,
                );
                if inherits {
                    match named_work_tree(root.as_deref(), &git_dir, directory)? {
                        Named::AsFound => {}
                        Named::Other(tree) => root = Some(tree),
                        Named::Unclear => return Self::ask_git(directory, inherits),
                    }
                }
                Ok(Repo {
                    root,
                    git_dir,
                    common_dir,
                    attributes_file: attributes_file(&repository),
                    inherits,
                    cancel: Cancel::default(),
                })
            }
            Err(error) => {
                tracing::debug!(%error, "libgit2 does not open it, asking git");
                Self::ask_git(directory, inherits)
            }
        }
    }

    fn ask_git(directory: &Path, inherits: bool) -> Result<Self> {
        let git = Git::new(directory, inherits);
        let ask = |what: &[&str]| -> Result<Vec<PathBuf>> {
            let output = git.output(&[&["rev-parse", "--path-format=absolute"], what].concat())?;
            Ok(output
                .split(|b| *b == b'\n')
                .filter(|l| !l.is_empty())
                .map(crate::os::paths::bytes_to_path)
                .collect())
        };
        let dirs =
            ask(&["--git-dir", "--git-common-dir"]).map_err(|e| not_a_repository(directory, e))?;
        let [git_dir, common_dir] = dirs.as_slice() else {
            return Err(Error::NotARepository {
                path: directory.to_owned(),
                detail: "git named no directory".into(),
            });
        };
        let root = ask(&["--show-toplevel"])
            .ok()
            .and_then(|mut lines| lines.pop());
        Ok(Repo {
            root: root.as_deref().map(canonical).transpose()?,
            git_dir: canonical(git_dir)?,
            common_dir: canonical(common_dir)?,
            attributes_file: None,
            inherits,
            cancel: Cancel::default(),
        })
    }

    /// Lets another thread end what waits for a remote.
    #[must_use]
    pub(crate) fn with_cancel(self, cancel: Cancel) -> Self {
        Repo { cancel, ..self }
    }

    /// The top of the working tree.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in a bare repository.
    pub fn root(&self) -> Result<&Path> {
        self.root.as_deref().ok_or_else(|| Error::Unsupported {
            problem: format!(
                "`{}` is a bare repository: there are no files to lock here",
                self.git_dir.display()
            ),
            hint: Some(
                "run the command in a working tree (`git clone` or `git worktree add` makes one); on a server, use `git latch init --bare`"
                    .into(),
            ),
        })
    }

    /// Whether there is no working tree.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.root.is_none()
    }

    /// The bytes of a file in a commit; `None` where the commit has none of that path, or does not exist.
    pub(crate) fn file_in(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        let input = format!("{commit}:{path}\n").into_bytes();
        let output = self
            .git()
            .output_with_input(&["cat-file", "--batch=%(objecttype)"], input)?;
        let bytes = output.strip_prefix(b"blob\n");
        if bytes.is_none() && !output.ends_with(b" missing\n") {
            return Err(Error::Corrupt {
                path: PathBuf::from(path),
                problem: "it is not a file".into(),
            });
        }
        Ok(bytes.map(|bytes| bytes.strip_suffix(b"\n").unwrap_or(bytes).to_vec()))
    }

    /// The commit that a ref names; `None` where it does not exist or names something else.
    pub(crate) fn commit_of(&self, reference: &str) -> Result<Option<String>> {
        let name = format!("{reference}^{{commit}}");
        let output = self.git().run(&[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &name,
        ])?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((output.status.success() && !text.is_empty()).then_some(text))
    }

    /// Whether there are refs below a prefix such as `refs/remotes/origin/`; `None` where only git can tell. For a few
    /// questions of a hook: a process of git takes a millisecond.
    pub(crate) fn has_refs_below(&self, prefix: &str) -> Option<bool> {
        let repository = self.by_libgit2()?;
        let mut names = repository.references_glob(&format!("{prefix}*")).ok()?;
        let first = names.names().next();
        Some(first.transpose().ok()?.is_some())
    }

    /// For each object the commit it is, or that it is a tag of; `None` for what is no commit or not here. `None` in all
    /// where only git can tell.
    pub(crate) fn commits_of(&self, oids: &[&str]) -> Option<Vec<Option<String>>> {
        let repository = self.by_libgit2()?;
        let commit = |oid: &&str| {
            let object = repository
                .find_object(Oid::from_str(oid).ok()?, None)
                .ok()?;
            let commit = object.peel(ObjectType::Commit).ok()?;
            Some(commit.id().to_string())
        };
        Some(oids.iter().map(commit).collect())
    }

    fn by_libgit2(&self) -> Option<Repository> {
        let found = if self.inherits {
            Repository::open_from_env()
        } else {
            Repository::open(&self.git_dir)
        };
        found.ok()
    }

    /// How many commits a commit has in its history, itself among them.
    pub(crate) fn count(&self, commit: &str) -> Result<u64> {
        let output = self.git().output(&["rev-list", "--count", commit, "--"])?;
        Ok(String::from_utf8_lossy(&output)
            .trim()
            .parse()
            .unwrap_or_default())
    }

    /// Whether `HEAD` names a commit. Git is asked only where libgit2 cannot tell.
    ///
    /// # Errors
    /// Where git cannot be run.
    pub fn has_head(&self) -> Result<bool> {
        let names_one = |repository: Repository| match repository.head() {
            Ok(head) => head.peel_to_commit().ok().map(|_| true),
            Err(e) => (e.code() == ErrorCode::UnbornBranch).then_some(false),
        };
        match self.by_libgit2().and_then(names_one) {
            Some(answer) => Ok(answer),
            None => Ok(self.commit_of("HEAD")?.is_some()),
        }
    }

    /// Whether an object is a commit.
    pub(crate) fn is_commit(&self, oid: &str) -> Result<bool> {
        let output = self.git().run(&["cat-file", "-t", oid])?;
        Ok(output.stdout == b"commit\n")
    }

    /// The branch that `HEAD` names, by its full name, whether or not it exists.
    pub(crate) fn head_ref(&self) -> Result<Option<String>> {
        let output = self.git().run(&["symbolic-ref", "--quiet", "HEAD"])?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok((!text.is_empty()).then_some(text))
    }

    /// The working tree's own git directory.
    #[must_use]
    pub(crate) fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The git directory that all working trees of the repository share.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// What `core.attributesFile` says, as far as libgit2 knows git's configuration.
    pub(crate) fn attributes_file(&self) -> Option<&str> {
        self.attributes_file.as_deref()
    }

    /// Git, run at the top of the working tree.
    #[must_use]
    pub fn git(&self) -> Git {
        self.git_in(self.root.as_deref().unwrap_or(&self.git_dir))
    }

    /// Git, run where the user's own would run, but told nothing of the surrounding git: for a repository of ours.
    #[must_use]
    pub(crate) fn git_apart(&self) -> Git {
        let git = Git::new(self.root.as_deref().unwrap_or(&self.git_dir), false);
        git.with_cancel(self.cancel.clone())
    }

    /// Git, run in a directory of the working tree.
    #[must_use]
    pub(crate) fn git_in(&self, directory: &Path) -> Git {
        let git = Git::new(directory, self.inherits);
        let git = git.in_repository(&self.git_dir, self.root.as_deref());
        if self.is_bare() {
            // Whoever pushes can push replacements: where pushes are judged objects are what they are.
            git.with_variable("GIT_NO_REPLACE_OBJECTS", "1")
        } else {
            git
        }
    }
}

fn attributes_file(repository: &Repository) -> Option<String> {
    let config = repository.config().and_then(|mut config| config.snapshot());
    let configured = config.ok()?.get_string("core.attributesfile").ok()?;
    (!configured.is_empty()).then_some(configured)
}

/// What the environment says about the working tree, which libgit2 does not ask.
enum Named {
    /// Nothing else than what was found.
    AsFound,
    /// It is this one, also where the repository calls itself bare: somebody's own files, say, with their history beside.
    Other(PathBuf),
    /// Git has the word.
    Unclear,
}

fn named_work_tree(found: Option<&Path>, git_dir: &Path, directory: &Path) -> Result<Named> {
    if let Some(tree) = std::env::var_os("GIT_WORK_TREE") {
        return Ok(Named::Other(canonical(&directory.join(tree))?));
    }
    let Some(found) = found.filter(|_| std::env::var_os("GIT_DIR").is_some()) else {
        return Ok(Named::AsFound);
    };
    let here = canonical(directory)?;
    // Where a repository is named and no tree, git takes the directory it stands in for the tree, or `core.worktree`.
    let is_inside = here.starts_with(found) || here.starts_with(git_dir);
    Ok(if is_inside {
        Named::AsFound
    } else {
        Named::Unclear
    })
}

fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(Error::io("find", path))
}

fn not_a_repository(directory: &Path, error: Error) -> Error {
    match error {
        Error::Git { problem, .. } if problem.contains("dubious ownership") => Error::Unsupported {
            problem: format!(
                "the repository `{}` belongs to another user, so git refuses to use it",
                directory.display()
            ),
            hint: Some(format!(
                "if you trust it: git config --global --add safe.directory '{}'",
                directory.display()
            )),
        },
        Error::Git { problem, .. } => Error::NotARepository {
            path: directory.to_owned(),
            detail: problem,
        },
        other => other,
    }
}
