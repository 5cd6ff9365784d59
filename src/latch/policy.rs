//! The policy: the team's rules, `.latch.toml`, committed.
//!
//! Read from the working tree, committed or not. On a branch without the file the last policy seen in the repository
//! stays in force, so that switching branches does not switch rules off. Keys that nobody knows are errors with their
//! line: a misspelt rule must not pass for no rule.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::git::repo::Repo;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::lease::ForcePolicy;
use crate::rules::pattern::Patterns;
use crate::rules::time::{DurationSpec, Ttl};
use crate::rules::view::LeaseLimits;
use crate::store::LatchDir;

/// The policy's name at the top of the working tree.
pub const FILE: &str = ".latch.toml";

/// The largest policy, in bytes: a link to a device must not be read for ever.
const LARGEST: u64 = 1 << 20;

/// How many paths one push may change, unless the policy says otherwise.
const MAX_PATHS: usize = 1_000_000;

/// What `init` writes: every key, commented out, with its default.
pub const TEMPLATE: &str = include_str!("policy.toml");

/// What a hook does about a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// Reject.
    Block,
    /// Say it and let it pass.
    Warn,
    /// Do not look.
    Off,
}

/// The team's rules.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What bears on the life of a lease.
    pub terms: LeaseLimits,
    /// The remote that locks are shared through, if they are.
    pub share_remote: Option<String>,
    /// The ref that holds the shared locks.
    pub share_ref: String,
    /// What pre-commit and pre-merge-commit do.
    pub pre_commit: Reaction,
    /// What pre-push does.
    pub pre_push: Reaction,
    /// Who may push what others have locked, where pushes are judged.
    pub integrators: Vec<String>,
    /// How many paths one push may change, where pushes are judged.
    pub max_paths: usize,
    /// Files that may only be edited under one's own lock.
    pub require: Patterns,
    /// Who may use force.
    pub force: ForcePolicy,
    /// Files that the daemon locks on their first edit.
    pub auto_lock: Patterns,
    /// The life of locks taken through the Git LFS interface.
    pub lfs_ttl: Ttl,
    /// Who may write for others.
    pub trusted: Vec<String>,
    /// The owner ids of those who push, by the host's names for them.
    pub pushers: BTreeMap<String, String>,
    /// Where it was read from; `None` where there is no policy.
    pub source: Option<PathBuf>,
    /// What was read there.
    text: Option<String>,
}

impl Default for Policy {
    fn default() -> Self {
        File::default()
            .check()
            .expect("the defaults agree with each other")
    }
}

impl Policy {
    /// Reads the policy of a working tree, or the last one seen in the repository.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] with file and line.
    pub(crate) fn of(root: Option<&Path>, common_dir: &Path) -> Result<Self> {
        let seen = LatchDir::of(common_dir).policy();
        for path in root.map(|r| r.join(FILE)).into_iter().chain([seen]) {
            let Some(bytes) = files::read_small(&path, LARGEST)? else {
                continue;
            };
            let text = String::from_utf8(bytes).map_err(|e| {
                let e = std::io::Error::new(std::io::ErrorKind::InvalidData, e);
                Error::io("read", &path)(e)
            })?;
            return Ok(Policy {
                source: Some(path.clone()),
                ..parse(&path, &text)?
            }
            .with_text(text));
        }
        Ok(Policy::default())
    }

    fn with_text(self, text: String) -> Self {
        Policy {
            text: Some(text),
            ..self
        }
    }

    /// The policy in a commit; the default where there is none.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] with the line.
    pub(crate) fn in_commit(repo: &Repo, commit: &str) -> Result<Self> {
        let path = Path::new(FILE);
        let found = repo.file_in(commit, FILE).map_err(|error| match error {
            Error::Corrupt { problem, .. } => Error::BadPolicy {
                file: path.to_owned(),
                line: 1,
                problem,
            },
            other => other,
        });
        match found? {
            Some(bytes) => Ok(Policy {
                source: Some(path.to_owned()),
                ..parse(path, &String::from_utf8_lossy(&bytes))?
            }),
            None => Ok(Policy::default()),
        }
    }

    /// Remembers a working tree's policy for branches that have none. Where that cannot be written, it is not remembered.
    pub(crate) fn remember(&self, common_dir: &Path, sharing: Sharing) {
        let source = self.source.as_deref().filter(|path| path.ends_with(FILE));
        let (Some(text), Some(_)) = (&self.text, source) else {
            return;
        };
        let seen = LatchDir::of(common_dir).policy();
        let old = files::read_small(&seen, LARGEST).ok().flatten();
        if old.is_some_and(|old| old == text.as_bytes()) {
            return;
        }
        let stored = LatchDir::of(common_dir)
            .create(sharing)
            .and_then(|()| files::replace_durably(&seen, text.as_bytes(), sharing));
        if let Err(error) = stored {
            tracing::debug!(%error, "the policy is not remembered");
        }
    }
}

/// Reads a policy's text.
///
/// # Errors
/// [`Error::BadPolicy`] with file and line.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Policy> {
    let bad = |line, problem: String| Error::BadPolicy {
        file: path.to_owned(),
        line,
        problem,
    };
    let file: File = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start).min(text.len());
        let words: Vec<&str> = e.message().split_whitespace().collect();
        bad(line_of(text, at), words.join(" "))
    })?;
    file.check()
        .map_err(|(key, problem)| bad(line_of_key(text, key), problem))
}

/// The line, from 1, of a byte.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at]
        .iter()
        .filter(|b| **b == b'\n')
        .count()
        + 1
}

/// The line, from 1, that sets a key; the first where it is not set.
fn line_of_key(text: &str, key: &str) -> usize {
    text.lines()
        .position(|line| line.trim_start().starts_with(key))
        .map_or(1, |at| at + 1)
}

/// The file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    lease: Lease,
    share: Share,
    hooks: Hooks,
    require: Require,
    force: ForceSection,
    /// What it was called before.
    agent: Option<toml::Value>,
    lfs: Lfs,
    server: Server,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Lease {
    ttl: Option<Ttl>,
    max_ttl: Option<Ttl>,
    clock_skew: Option<DurationSpec>,
    auto: Auto,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Share {
    remote: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Hooks {
    pre_commit: Option<Reaction>,
    pre_push: Option<Reaction>,
    integrators: Vec<String>,
    max_paths: Option<NonZeroUsize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Require {
    patterns: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ForceSection {
    who: Option<Who>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "who is \"anyone\" or a list of owner ids")]
enum Who {
    Word(String),
    Ids(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Auto {
    patterns: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Lfs {
    ttl: Option<Ttl>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Server {
    trusted: Vec<String>,
    pushers: BTreeMap<String, String>,
}

/// A key and what is wrong with its value.
type Problem = (&'static str, String);

impl File {
    fn check(self) -> Result<Policy, Problem> {
        if self.agent.is_some() {
            let problem =
                "the section `[agent]` is now `[lease.auto]`, and its `auto_lock` is `patterns`";
            return Err(("[agent]", problem.into()));
        }
        let auto_lock = Patterns::new(&self.lease.auto.patterns).map_err(|e| ("patterns", e))?;
        Ok(Policy {
            auto_lock,
            terms: self.lease.check()?,
            share_remote: self.share.remote,
            share_ref: check_ref(self.share.reference)?,
            pre_commit: self.hooks.pre_commit.unwrap_or(Reaction::Block),
            pre_push: self.hooks.pre_push.unwrap_or(Reaction::Block),
            integrators: self.hooks.integrators,
            max_paths: self.hooks.max_paths.map_or(MAX_PATHS, NonZeroUsize::get),
            require: Patterns::new(&self.require.patterns).map_err(|e| ("patterns", e))?,
            force: self.force.check()?,
            lfs_ttl: self
                .lfs
                .ttl
                .unwrap_or(Ttl::For(DurationSpec::from_secs(7 * 86_400))),
            trusted: self.server.trusted,
            pushers: self.server.pushers,
            source: None,
            text: None,
        })
    }
}

/// A ref's full name, by the rules of `git check-ref-format`.
fn check_ref(name: Option<String>) -> Result<String, Problem> {
    let name = name.unwrap_or_else(|| "refs/latch/locks".into());
    let is_odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.ends_with('.')
            && part.strip_suffix(".lock").is_none()
    };
    let is_fine = name.starts_with("refs/")
        && name.split('/').count() > 2
        && name.split('/').all(is_plain)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(is_odd);
    if is_fine {
        Ok(name)
    } else {
        Err((
            "ref",
            format!("invalid ref `{name}`: expected a full name, such as `refs/heads/latch`"),
        ))
    }
}

impl Lease {
    fn check(self) -> Result<LeaseLimits, Problem> {
        let max_ttl = self.max_ttl.unwrap_or(LeaseLimits::DEFAULT.max_ttl);
        let ttl = match self.ttl {
            Some(ttl) if ttl > max_ttl => {
                return Err((
                    "ttl",
                    format!("the ttl of `{ttl}` exceeds max_ttl, `{max_ttl}`"),
                ));
            }
            Some(ttl) => ttl,
            None => LeaseLimits::DEFAULT.ttl.min(max_ttl),
        };
        Ok(LeaseLimits {
            ttl,
            max_ttl,
            clock_skew: self.clock_skew.unwrap_or(LeaseLimits::DEFAULT.clock_skew),
        })
    }
}

impl ForceSection {
    fn check(self) -> Result<ForcePolicy, Problem> {
        match self.who {
            None => Ok(ForcePolicy::Anyone),
            Some(Who::Word(word)) if word == "anyone" => Ok(ForcePolicy::Anyone),
            Some(Who::Word(word)) => Err((
                "who",
                format!("invalid value `{word}`: expected \"anyone\" or a list of owner ids"),
            )),
            Some(Who::Ids(ids)) => Ok(ForcePolicy::Only(ids)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn problem(text: &str) -> String {
        parse(Path::new(".latch.toml"), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_template_changes_nothing_and_its_keys_are_all_known() {
        let plain = parse(Path::new("x"), TEMPLATE).unwrap();
        assert_eq!(plain.terms.ttl, Policy::default().terms.ttl);
        let spelt_out: String = TEMPLATE
            .lines()
            .map(|l| l.strip_prefix("#: ").unwrap_or(l).to_owned() + "\n")
            .collect();
        assert_eq!(spelt_out.matches(" = ").count(), 15);
        parse(Path::new("x"), &spelt_out).unwrap();
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(
            problem("[lease]\n\nttl = \"24\"\n"),
            ".latch.toml:3: invalid duration `24`: expected a whole number followed by s, m, h or d, such as `90s` or `24h`"
        );
        assert!(problem("[lease]\ntll = \"1h\"").starts_with(".latch.toml:2: unknown field `tll`"));
        assert!(problem("[hook]\n").starts_with(".latch.toml:1: unknown field `hook`"));
        let old = problem("[lease]\n\n[agent]\nauto_lock = []\n");
        assert!(
            old.starts_with(".latch.toml:3: ") && old.contains("[lease.auto]"),
            "{old}"
        );
        assert!(problem("[hooks]\npre_commit = true").starts_with(".latch.toml:2: "));
        assert!(
            problem("[lease]\nmax_ttl = \"1h\"\nttl = \"2h\"")
                .starts_with(".latch.toml:3: the ttl of `2h`")
        );
        assert!(problem("[force]\nwho = \"me\"").starts_with(".latch.toml:2: invalid value `me`"));
        assert!(
            problem("[require]\npatterns = [\"\"]")
                .starts_with(".latch.toml:2: invalid pattern ``")
        );
        assert!(
            problem("[share]\nref = \"latch\"").starts_with(".latch.toml:2: invalid ref `latch`")
        );
        assert!(problem("[lease\n").starts_with(".latch.toml:1: "));
    }

    #[test]
    fn the_fixtures_are_policies_or_wrong_on_the_line_they_name() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/policies");
        let mut seen = 0;
        for file in fs::read_dir(directory).unwrap() {
            let path = file.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let wrong = text
                .lines()
                .next()
                .and_then(|l| l.strip_prefix("# wrong: line "));
            let line = match parse(&path, &text) {
                Ok(_) => None,
                Err(Error::BadPolicy { line, .. }) => Some(line.to_string()),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(line.as_deref(), wrong, "{}", path.display());
            seen += 1;
        }
        assert!(seen > 5);
    }

    #[test]
    fn a_short_max_ttl_bounds_the_default() {
        let policy = parse(Path::new("x"), "[lease]\nmax_ttl = \"1h\"").unwrap();
        assert_eq!(policy.terms.ttl.to_string(), "1h");
    }
}
