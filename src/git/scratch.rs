//! A repository to try things in, for the library's tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::git::repo::Repo;
use crate::os::paths::bytes_to_path;

/// A git repository that goes with the test.
pub(crate) struct Scratch {
    home: tempfile::TempDir,
    root: PathBuf,
}

impl Scratch {
    /// An empty repository on the branch `main`.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// An empty repository, made with further options of `git init`, as far as this git knows them.
    pub(crate) fn with(options: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("work");
        fs::create_dir(&root).unwrap();
        let scratch = Scratch { home, root };
        let knows = |option: &&&str| !option.starts_with("--ref-format") || knows_ref_formats();
        let mut arguments = vec!["init", "--quiet", "--initial-branch=main"];
        arguments.extend(options.iter().filter(knows));
        scratch.git(&arguments);
        scratch.configure();
        scratch
    }

    /// A clone, with further options of `git clone`.
    pub(crate) fn clone_of(&self, options: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("work");
        let url = format!("file://{}", self.root.display());
        self.git(
            &[
                &["clone", "--quiet"],
                options,
                &[&url, root.to_str().unwrap()],
            ]
            .concat(),
        );
        let scratch = Scratch { home, root };
        scratch.configure();
        scratch
    }

    /// A bare repository beside this one, known to it as `origin`; gives its path.
    pub(crate) fn with_origin(&self) -> String {
        let bare = self.home.path().join("origin.git");
        let bare = bare.to_str().unwrap();
        self.git(&["init", "--quiet", "--bare", "--initial-branch=main", bare]);
        self.git(&["remote", "add", "origin", bare]);
        bare.to_owned()
    }

    fn configure(&self) {
        self.author("ada@x");
        self.git(&["config", "core.autocrlf", "false"]);
    }

    /// Who authors what is committed from here on.
    pub(crate) fn author(&self, mail: &str) {
        self.git(&["config", "user.email", mail]);
        self.git(&["config", "user.name", mail]);
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn repo(&self) -> Repo {
        Repo::discover(&self.root).unwrap()
    }

    /// Writes a file, with the directories above it.
    pub(crate) fn write(&self, path: &[u8], text: &str) {
        let path = self.root.join(bytes_to_path(path));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes and stages files, each of the given text.
    pub(crate) fn stage(&self, paths: &[&str], text: &str) {
        for path in paths {
            self.write(path.as_bytes(), text);
        }
        self.git(&[&["add", "--sparse", "--"], paths].concat());
    }

    /// Writes, stages and commits files; gives the commit.
    pub(crate) fn commit(&self, paths: &[&str], text: &str) -> String {
        if !paths.is_empty() {
            self.stage(paths, text);
        }
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Runs git, which must succeed; gives its output without the last line feed.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let (ok, said) = self.try_git(arguments);
        assert!(ok, "git {arguments:?}: {said}");
        said
    }

    /// Runs git, whatever comes of it.
    pub(crate) fn try_git(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        let output = command
            .env("HOME", self.home.path())
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2026-11-20T12:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-11-20T12:00:00Z")
            .output()
            .unwrap();
        let said = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (
            output.status.success(),
            String::from_utf8_lossy(&said).trim_end().to_owned(),
        )
    }
}

/// Whether this git has other formats of refs than files (2.45 and later).
pub(crate) fn knows_ref_formats() -> bool {
    let help = Command::new("git").args(["init", "-h"]).output().unwrap();
    String::from_utf8_lossy(&help.stdout).contains("--ref-format")
        || String::from_utf8_lossy(&help.stderr).contains("--ref-format")
}
