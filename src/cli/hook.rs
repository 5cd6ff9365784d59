//! `git latch hook`: what the installed scripts run.
//!
//! A hook that was here before ours runs first, with its own input and exit code. `GIT_LATCH_SKIP=1` is honoured before
//! anything else of ours. A repository without policy and locks pays for two failed `stat`s.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::chain::{self, Called};
use super::context::Context;
use super::exit::{self, Failure};
use super::{Answer, check as words_of_check, receive};
use git_latch::git::edits::{self, Push, StagedQuery};
use git_latch::git::repo::Repo;
use git_latch::hooks::Hooks;
use git_latch::latch::lockable::{self, Merge};
use git_latch::latch::policy::{self, Reaction};
use git_latch::latch::{Latch, Opening, check};
use git_latch::rules::error::{Error, Result};
use git_latch::rules::judge::Violation;
use git_latch::store::LatchDir;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The hook's name, such as pre-commit
    name: String,
    /// What git gives the hook
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "ARGUMENT"
    )]
    arguments: Vec<OsString>,
}

impl Arguments {
    /// Those of `git latch hook NAME …`, as our scripts call it: nothing else is said before the hook's name. To parse
    /// that takes a microsecond; to build the whole command line takes as long as the rest of a hook that has nothing to
    /// do.
    pub(super) fn of_script(arguments: &[OsString]) -> Option<Self> {
        let [_, command, name, arguments @ ..] = arguments else {
            return None;
        };
        let name = name.to_str().filter(|name| Hook::of(name).is_some())?;
        (command == "hook").then(|| Arguments {
            name: name.to_owned(),
            arguments: arguments.to_vec(),
        })
    }

    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let Some(hook) = Hook::of(&self.name) else {
            return Err(Error::BadUsage {
                problem: format!("unknown hook `{}`", self.name),
                hint: Some("`git latch init` installs the hooks that exist".into()),
            });
        };
        if let Some(prefix) = std::env::var_os("GIT_PREFIX") {
            context.stand_in(&prefix);
        }
        let input = hook.has_input().then(standard_input).transpose()?;
        let called = self.called(input.as_deref());
        let here = Here {
            context,
            repo: OnceCell::new(),
        };
        let exit = self.run_all(&here, hook, &called)?;
        if let Some(script) = &called.script {
            mend(&here, script);
        }
        Ok(Answer::silent(exit))
    }

    fn called<'a>(&'a self, input: Option<&'a [u8]>) -> Called<'a> {
        // One that is named for another hook comes from a hook around this one.
        let is_this = |path: &PathBuf| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(&self.name) || self.name == "pre-receive"
        };
        let script = std::env::var_os(chain::SCRIPT).map(PathBuf::from);
        let script = script.filter(is_this);
        Called {
            name: &self.name,
            script,
            arguments: &self.arguments,
            input,
        }
    }

    /// Runs the hook that was there before ours, ours, and Git LFS where it is left to us; gives the exit code for git.
    fn run_all(&self, here: &Here<'_>, hook: Hook, called: &Called<'_>) -> Result<u8> {
        match hook {
            // It may change what is staged.
            Hook::PreCommit | Hook::PreMergeCommit => match called.run_earlier()? {
                0 => Ok(self.run_ours(here, hook, &[])),
                exit => Ok(exit),
            },
            // What is rejected is not tested and uploaded first.
            Hook::PrePush => {
                let input = called.input.unwrap_or_default();
                let exit = self.run_ours(here, hook, input);
                if exit != 0 {
                    return Ok(exit);
                }
                match called.run_earlier()? {
                    0 => called.run_lfs(here.repo()?),
                    exit => Ok(exit),
                }
            }
            // Git goes on whatever they say, and so do we.
            Hook::PostCheckout | Hook::PostMerge | Hook::PostCommit => {
                let exit = called.run_earlier();
                let lfs = here.repo().and_then(|repo| called.run_lfs(repo));
                self.run_ours(here, hook, &[]);
                lfs.and(exit)
            }
            Hook::PostIndexChange => Ok(self.run_ours(here, hook, &[])),
            Hook::PreReceive => match called.run_earlier()? {
                0 => Ok(receive::run(here.context, called.input.unwrap_or_default())),
                exit => Ok(exit),
            },
        }
    }

    fn run_ours(&self, here: &Here<'_>, hook: Hook, input: &[u8]) -> u8 {
        if std::env::var_os("GIT_LATCH_SKIP").is_some_and(|value| value == "1") {
            return 0;
        }
        match self.judge(here, hook, input) {
            Ok(exit) => exit,
            Err(error) if hook.may_reject() => unable(here.context, &error),
            Err(error) => {
                super::output::failure(&here.context.failure(&error));
                0
            }
        }
    }

    fn judge(&self, here: &Here<'_>, hook: Hook, input: &[u8]) -> Result<u8> {
        let (context, repo) = (here.context, here.repo()?);
        if is_unused(repo) {
            return Ok(0);
        }
        let opening = Opening::of(repo.clone(), &context.environment);
        let is_quiet = match hook {
            Hook::PostIndexChange => false,
            hook if hook.may_reject() => opening.is_quiet(&context.clock)?,
            _ => opening.has_nothing_lockable()?,
        };
        if is_quiet {
            return Ok(0);
        }
        let is_judged = hook == Hook::PrePush && opening.policy()?.pre_push != Reaction::Off;
        let push = is_judged.then(|| self.push(repo, input)).transpose()?;
        if let Some(push) = &push
            && check::is_quiet_push(&opening, push, &context.clock)?
        {
            return Ok(0);
        }
        let merged = match hook {
            Hook::PreMergeCommit => merged(),
            _ => Vec::new(),
        };
        let is_judged = hook.is_of_index() && opening.policy()?.pre_commit != Reaction::Off;
        // Asked already: most likely it will be needed, and git answers while the rest is read.
        let staged = is_judged.then(|| StagedQuery::start(repo, &merged));
        let staged = staged.transpose()?;
        let latch = opening.latch()?;
        latch.mend_link();
        if hook.may_reject() {
            // What changed the attributes may be about to be committed by a git that runs no other hook.
            settle(context, &latch, || Ok(Vec::new()));
        }
        match hook {
            Hook::PreCommit | Hook::PreMergeCommit => pre_commit(context, &latch, staged, &merged),
            Hook::PrePush => pre_push(context, &latch, push.as_ref()),
            Hook::PostCheckout => Ok(self.post_checkout(context, &latch)),
            Hook::PostMerge => Ok(self.post_merge(context, &latch)),
            Hook::PostCommit => {
                let changed = || lockable::changed_by_commit(latch.repo());
                Ok(settle(context, &latch, changed))
            }
            Hook::PostIndexChange => super::init::set_up_clone(context, &latch).map(|()| 0),
            Hook::PreReceive => {
                unreachable!("judged apart: there is no working tree, and no bypass")
            }
        }
    }

    /// The push that git tells of.
    fn push(&self, repo: &Repo, input: &[u8]) -> Result<Push> {
        let [remote, url] = self.arguments.as_slice() else {
            return Err(Error::BadUsage {
                problem: "pre-push expects the remote's name and its URL".into(),
                hint: None,
            });
        };
        let updates = edits::parse_updates(&String::from_utf8_lossy(input))?;
        let (remote, url) = (remote.to_string_lossy(), url.to_string_lossy());
        Ok(Push::of(repo, &remote, &url, updates))
    }

    fn post_checkout(&self, context: &Context, latch: &Latch) -> u8 {
        // The third word is 0 where single files were checked out: which, git does not say.
        if self.word(2) == "0" {
            return settle(context, latch, || lockable::all(latch.repo()));
        }
        settle(context, latch, || {
            lockable::changed_between(latch.repo(), &self.word(0), &self.word(1))
        })
    }

    fn post_merge(&self, context: &Context, latch: &Latch) -> u8 {
        let merge = match self.word(0).as_str() {
            "1" => Merge::Squashed,
            _ => Merge::Moved,
        };
        settle(context, latch, || {
            lockable::changed_by_merge(latch.repo(), merge)
        })
    }

    fn word(&self, n: usize) -> String {
        let argument = self.arguments.get(n);
        argument.map_or(String::new(), |a| a.to_string_lossy().into_owned())
    }
}

/// Where a hook runs: the repository is found once, and only where somebody asks for it.
struct Here<'a> {
    context: &'a Context,
    repo: OnceCell<Repo>,
}

impl Here<'_> {
    fn repo(&self) -> Result<&Repo> {
        if let Some(repo) = self.repo.get() {
            return Ok(repo);
        }
        let found = Repo::from_environment(&self.context.directory)?;
        Ok(self.repo.get_or_init(|| found))
    }
}

/// The hooks we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hook {
    PreCommit,
    PreMergeCommit,
    PrePush,
    PostCheckout,
    PostMerge,
    PostCommit,
    /// Of a template: the first files of a new clone are there.
    PostIndexChange,
    PreReceive,
}

impl Hook {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "pre-commit" => Hook::PreCommit,
            "pre-merge-commit" => Hook::PreMergeCommit,
            "pre-push" => Hook::PrePush,
            "post-checkout" => Hook::PostCheckout,
            "post-merge" => Hook::PostMerge,
            "post-commit" => Hook::PostCommit,
            "post-index-change" => Hook::PostIndexChange,
            "pre-receive" => Hook::PreReceive,
            _ => return None,
        })
    }

    /// Whether git tells it something on standard input.
    fn has_input(self) -> bool {
        matches!(self, Hook::PrePush | Hook::PreReceive)
    }

    /// Whether it judges what is staged.
    fn is_of_index(self) -> bool {
        matches!(self, Hook::PreCommit | Hook::PreMergeCommit)
    }

    fn may_reject(self) -> bool {
        matches!(self, Hook::PreCommit | Hook::PreMergeCommit | Hook::PrePush)
    }
}

/// No policy, none seen before, and no lock directory: nobody uses locks here.
fn is_unused(repo: &Repo) -> bool {
    let latch = LatchDir::of(repo.common_dir());
    let has_policy = |root: &Path| root.join(policy::FILE).exists();
    !latch.path().exists() && !repo.root().is_ok_and(has_policy)
}

fn standard_input() -> Result<Vec<u8>> {
    let mut input = Vec::new();
    std::io::stdin()
        .read_to_end(&mut input)
        .map_err(Error::io("read", "standard input"))?;
    Ok(input)
}

/// Puts those of ours back that another tool has replaced meanwhile.
fn mend(here: &Here<'_>, script: &Path) {
    let context = here.context;
    let mended = || {
        let repo = here.repo()?;
        if is_unused(repo) {
            return Ok(Vec::new());
        }
        let binary = std::env::current_exe().map_err(Error::io("find", "git-latch"))?;
        Hooks::mend(repo, script, &binary)
    };
    match mended() {
        Ok(names) => names.iter().for_each(|name| {
            context.output.note(format!(
                "another tool had replaced git-latch's {name} hook: it is installed again, and runs the other one"
            ));
        }),
        Err(error) => tracing::debug!(%error, "hooks that were replaced are not mended"),
    }
}

/// The lock state cannot be read: the answer is no, and how to get past it.
fn unable(context: &Context, error: &Error) -> u8 {
    super::output::failure(&context.failure(error));
    context
        .output
        .hint("to get past git-latch once: GIT_LATCH_SKIP=1 git …");
    exit::of(error.code())
}

/// The other parents, which git names in the environment of pre-merge-commit, and nowhere else yet.
fn merged() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    edits::heads_in_environment(names)
}

fn pre_commit(
    context: &Context,
    latch: &Latch,
    staged: Option<StagedQuery>,
    merged: &[String],
) -> Result<u8> {
    let reaction = latch.policy().pre_commit;
    context.tell_losses(latch)?;
    if reaction == Reaction::Off {
        return Ok(0);
    }
    context.tell_never_fetched(latch);
    let violations = check::staged_by(latch, staged, merged, &context.clock)?;
    tell(context, latch, reaction, "commit", &violations)
}

/// `push` is what is judged, if anything is.
fn pre_push(context: &Context, latch: &Latch, push: Option<&Push>) -> Result<u8> {
    context.tell_losses(latch)?;
    let Some(push) = push else {
        return Ok(0);
    };
    context.refresh(latch);
    let violations = check::pushed(latch, push, &context.clock)?;
    tell(context, latch, latch.policy().pre_push, "push", &violations)
}

/// Says what is wrong, and gives the exit code.
fn tell(
    context: &Context,
    latch: &Latch,
    reaction: Reaction,
    verb: &str,
    violations: &[Violation],
) -> Result<u8> {
    let Some(first) = violations.first() else {
        return Ok(0);
    };
    context.tell_age(latch);
    let me = latch.reader()?;
    let viewpoint = context.viewpoint(latch, &me);
    let charge = words_of_check::charge(&viewpoint, violations);
    if reaction == Reaction::Warn {
        context.output.note(format!("this {verb} {charge}"));
        return Ok(0);
    }
    let hint = words_of_check::advice(latch, viewpoint.here, violations);
    super::output::failure(&Failure::new(
        first.code,
        format!("this {verb} {charge}"),
        hint,
    ));
    context.output.hint(format!(
        "to get past git-latch once: GIT_LATCH_SKIP=1 git {verb} …"
    ));
    Ok(exit::of(first.code))
}

/// Sets the write bits of the lockable files among those that changed, or of all. What goes wrong is said, and is no
/// reason to stop git.
fn settle(context: &Context, latch: &Latch, changed: impl FnOnce() -> Result<Vec<Vec<u8>>>) -> u8 {
    if let Err(error) = latch.settle_changed(changed, &context.clock) {
        context.tell_problem(&error);
    }
    0
}
