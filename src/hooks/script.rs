//! The scripts that are shipped, and how a script tells whose it is.

use std::fs;
use std::io::Read as _;
use std::path::Path;

/// A hook as it is shipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shipped {
    /// Its name for git.
    pub(super) name: &'static str,
    /// Its path in the directory of hooks.
    pub(super) file: &'static str,
    script: &'static str,
}

macro_rules! shipped {
    ($name:literal) => {
        shipped!($name, $name)
    };
    ($name:literal, $file:literal) => {
        Shipped {
            name: $name,
            file: $file,
            script: include_str!(concat!("../../hooks/", $name)),
        }
    };
}

/// The hooks of a repository somebody works in.
pub(super) static WORKING: [Shipped; 6] = [
    shipped!("pre-commit"),
    shipped!("pre-merge-commit"),
    shipped!("pre-push"),
    shipped!("post-checkout"),
    shipped!("post-merge"),
    shipped!("post-commit"),
];
/// The hook of a bare repository.
pub(super) static BARE: Shipped = shipped!("pre-receive");
/// The same where the host's own `pre-receive` runs everything in a directory (Gitea, Forgejo, GitLab), and is written
/// anew by each upgrade of the host.
pub(super) static BARE_IN_DIRECTORY: Shipped = shipped!("pre-receive", "pre-receive.d/git-latch");
/// The hook of a template: it runs once, when a new clone has its first files.
pub(super) static ONCE: Shipped = shipped!("post-index-change");

/// The hook of ours that may bear a name: its own, or one that other tools give to what they move aside, such as
/// `pre-commit.old`.
pub(super) fn named(name: &str) -> Option<&'static str> {
    let names = WORKING.iter().chain([&BARE, &ONCE]).map(|hook| hook.name);
    let mut names = names.chain([IN_DIRECTORY]);
    let is_it = |hook: &&'static str| {
        let rest = name.strip_prefix(*hook);
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && rest != ".sample"))
    };
    names.find(is_it)
}

/// How the second line of every hook of ours begins.
const MARKER: &str = "# git-latch hook, version ";
/// The first version of ours, and where it called some hooks from.
pub(super) const FIRST: &str = "1";
pub(super) const CALLED_BY_FIRST: &str = "git-latch.called";
/// What ours is called where a host runs everything in a directory.
pub(super) const IN_DIRECTORY: &str = "git-latch";
/// What stands in the shipped scripts for the path of the binary.
const BINARY: &str = "@GIT_LATCH@";
/// How much of a file is looked at: whose it is stands in its first lines.
const ENOUGH: u64 = 64 * 1024;

impl Shipped {
    /// The script that runs `binary` where none is on the `PATH`.
    pub(super) fn text(&self, binary: &Path) -> String {
        let quoted = format!("'{}'", binary.to_string_lossy().replace('\'', "'\\''"));
        self.script.replace(BINARY, &quoted)
    }

    pub(super) fn version(&self) -> Option<&str> {
        version_of(self.script)
    }
}

/// The version a hook of ours says it is of; `None` where it is not ours.
pub(super) fn version_of(text: &str) -> Option<&str> {
    text.lines().nth(1)?.strip_prefix(MARKER)
}

/// Whether a file is a hook of ours, whatever it is called.
pub(super) fn is_ours(path: &Path) -> bool {
    text_of(path).is_some_and(|text| version_of(&text).is_some())
}

/// What a hook says; `None` where there is no such file. Never read through a link, of a program only its beginning.
pub(super) fn text_of(path: &Path) -> Option<String> {
    fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)?;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).ok()?;
    file.take(ENOUGH).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a hook of somebody else's should say.
pub(super) fn line_for(name: &str) -> String {
    // What follows has happened: git asks those before only.
    let refuses = if name.starts_with("pre-") {
        " || exit 1"
    } else {
        ""
    };
    format!("git-latch hook {name} \"$@\"{refuses}")
}

/// Whether a script of somebody else's has a line that runs ours: not one that is commented out.
pub(super) fn calls_us(text: &str, name: &str) -> bool {
    ours_at(text, name).is_some()
}

/// Where in a script the line stands that runs ours.
fn ours_at(text: &str, name: &str) -> Option<usize> {
    let is_ours = |line: &str| {
        let after = ["git-latch hook ", "git latch hook "]
            .iter()
            .find_map(|call| Some(&line[line.find(call)? + call.len()..]));
        let rest = after.and_then(|after| after.trim_start().strip_prefix(name));
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-'))
    };
    live_lines(text).position(is_ours)
}

/// Whether a script runs Git LFS itself, or a tool that does.
pub(super) fn runs_lfs(text: &str) -> bool {
    live_lines(text).any(is_lfs)
}

/// Whether Git LFS stands before us in a script, and so has read what git says on standard input.
pub(super) fn lfs_is_first(text: &str, name: &str) -> bool {
    let (lfs, ours) = (live_lines(text).position(is_lfs), ours_at(text, name));
    lfs.zip(ours).is_some_and(|(lfs, ours)| lfs < ours)
}

fn is_lfs(line: &str) -> bool {
    ["git lfs ", "git-lfs ", "lefthook "]
        .iter()
        .any(|call| line.contains(call))
}

fn live_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
}

/// The tool that wrote a hook: another hook by it takes the place of this one.
pub(super) fn tool_of(text: &str) -> Option<&'static str> {
    [
        ("File generated by pre-commit", "pre-commit"),
        ("File generated by prek", "pre-commit"),
        ("call_lefthook", "lefthook"),
        ("SKIP_SIMPLE_GIT_HOOKS", "simple-git-hooks"),
        ("overcommit", "overcommit"),
        ("git lfs ", "Git LFS"),
    ]
    .into_iter()
    .find_map(|(sign, tool)| text.contains(sign).then_some(tool))
}

/// Whether a hook runs whatever stands beside it as `<name>.legacy`, as those of the pre-commit framework and prek do.
pub(super) fn runs_legacy(text: &str) -> bool {
    keeps_its_place(text) || text.contains(".legacy")
}

/// Whether a hook is of a tool that keeps the place of a hook for itself, and others' as `<name>.legacy`: such a tool
/// finds its own hook there again, and removes it when it is told to.
pub(super) fn keeps_its_place(text: &str) -> bool {
    tool_of(text) == Some("pre-commit")
}
