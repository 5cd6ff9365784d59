//! `git latch doctor`

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::context::Context;
use super::exit::Failure;
use super::output::{self, ALERT, GOOD, dim, styled};
use super::problems::{self, Problem};
use super::{Answer, messages};
use git_latch::git::repo::Repo;
use git_latch::hooks::{Hooks, State};
use git_latch::latch::{Latch, link, policy};
use git_latch::os::paths::path_to_bytes;
use git_latch::rules::error::{Code, Error, Result};
use git_latch::rules::view::Entry;
use git_latch::store::Scope;

/// The answer to the question is no, whatever it is that is wrong.
const SOMETHING_IS_WRONG: u8 = 1;

/// How long the remote has to answer.
const ANSWER: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Arguments {}

/// One thing that was looked at.
struct Check {
    name: &'static str,
    /// What was found.
    detail: String,
    /// What is wrong, and how to mend it.
    wrong: Option<(Code, String)>,
}

impl Check {
    fn right(name: &'static str, detail: impl Into<String>) -> Self {
        Check {
            name,
            detail: detail.into(),
            wrong: None,
        }
    }

    fn wrong(name: &'static str, code: Code, detail: impl Into<String>, mend: &str) -> Self {
        Check {
            name,
            detail: detail.into(),
            wrong: Some((code, mend.into())),
        }
    }

    fn failed(name: &'static str, error: &Error) -> Self {
        let cause = std::error::Error::source(error).map(|e| format!(": {e}"));
        let detail = format!("{error}{}", cause.unwrap_or_default());
        let hint = error.hint().unwrap_or_default();
        Check::wrong(name, error.code(), detail, &hint)
    }
}

impl Arguments {
    #[expect(clippy::unused_self, reason = "every command is called alike")]
    pub(super) fn run(&self, context: &Context) -> Result<Answer> {
        let repo = Repo::from_environment(&context.directory)?;
        let mut checks = vec![git()];
        match Latch::of(repo, &context.environment) {
            Ok(latch) => look(context, &latch, &mut checks),
            Err(error) => checks.push(Check::failed("policy", &error)),
        }
        for check in &checks {
            let mark = match &check.wrong {
                None => styled(GOOD, "ok   "),
                Some(_) => styled(ALERT, "wrong"),
            };
            context
                .output
                .result(format!("{mark} {:<10} {}", check.name, check.detail));
            if let Some((_, mend)) = check.wrong.as_ref().filter(|(_, mend)| !mend.is_empty()) {
                context
                    .output
                    .result(dim(&format!("                 {mend}")));
            }
        }
        let listed: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({
                    "name": check.name,
                    "ok": check.wrong.is_none(),
                    "detail": anstream::adapter::strip_str(&check.detail).to_string(),
                    "hint": check.wrong.as_ref().map(|(_, mend)| mend),
                })
            })
            .collect();
        let wrong: Vec<&Check> = checks.iter().filter(|c| c.wrong.is_some()).collect();
        let keys = json!({"ok": wrong.is_empty(), "checks": listed});
        let failure = wrong.first().and_then(|first| {
            let (code, mend) = first.wrong.as_ref()?;
            let message = match wrong.len() {
                1 => "1 thing is wrong".to_owned(),
                n => format!("{n} things are wrong"),
            };
            Some(Failure::new(*code, message, Some(mend.clone())).with_exit(SOMETHING_IS_WRONG))
        });
        Ok(Answer::with(keys, failure))
    }
}

fn git() -> Check {
    match git_latch::git::command::version() {
        Ok(version) => Check::right("git", version),
        Err(error) => Check::failed("git", &error),
    }
}

fn look(context: &Context, latch: &Latch, checks: &mut Vec<Check>) {
    checks.push(policy_check(latch));
    checks.push(match latch.reader() {
        Ok(me) if me.owner.id.is_empty() => Check::failed("identity", &Error::NoIdentity),
        Ok(me) => {
            let workspace = me.owner.workspace.clone().filter(|w| !w.is_empty());
            let workspace = workspace.unwrap_or("none yet".into());
            Check::right(
                "identity",
                format!("{} on {}, workspace {workspace}", me.owner, me.owner.host),
            )
        }
        Err(error) => Check::failed("identity", &error),
    });
    if latch.repo().is_bare() {
        return bare_checks(context, latch, checks);
    }
    checks.push(store_check(latch));
    checks.push(link_check(latch));
    hook_checks(context, latch, checks);
    checks.extend(bits_check(context, latch));
    share_checks(context, latch, checks);
    lock_checks(context, latch, checks);
}

fn policy_check(latch: &Latch) -> Check {
    match &latch.policy().source {
        Some(path) if path.ends_with(policy::FILE) => Check::right("policy", output::file(path)),
        Some(path) => Check::right(
            "policy",
            format!(
                "{}, the last one seen; this branch has none",
                output::file(path)
            ),
        ),
        None => Check::right("policy", "none: the defaults apply"),
    }
}

fn store_check(latch: &Latch) -> Check {
    let store = latch.local();
    if !store.locks().exists() {
        return Check::right("locks", "none yet");
    }
    match store.is_usable() {
        Ok(()) => Check::right("locks", output::file(&store.locks())),
        Err(error) => Check::failed("locks", &error),
    }
}

fn link_check(latch: &Latch) -> Check {
    let mend = "git latch init";
    let state = latch.repo().root();
    match state.and_then(|root| link::state(root, &latch.local().locks())) {
        Ok(link::State::Right) => Check::right("link", ".locks leads to the lock directory"),
        Ok(link::State::Copy) => Check::right("link", ".locks is a copy of the lock directory"),
        Ok(link::State::Missing) => Check::wrong("link", Code::Io, ".locks is missing", mend),
        Ok(link::State::Astray) => {
            Check::wrong("link", Code::Io, ".locks leads to another repository", mend)
        }
        Ok(link::State::Foreign(what)) => Check::wrong(
            "link",
            Code::Unsupported,
            format!(".locks is {what}"),
            "move it away, then: git latch init",
        ),
        Err(error) => Check::failed("link", &error),
    }
}

fn hook_checks(context: &Context, latch: &Latch, checks: &mut Vec<Check>) {
    let found = Hooks::of(latch.repo())
        .and_then(|hooks| Ok((problems::of(context, latch, &hooks)?, hooks)));
    match found {
        Err(error) => checks.push(Check::failed("hooks", &error)),
        Ok((problems, hooks)) if problems.is_empty() => checks.push(Check::right(
            "hooks",
            hooks.directory().display().to_string(),
        )),
        Ok((problems, _)) => {
            let wrong = |p: Problem| Check::wrong("hooks", Code::Io, p.detail, &p.mend);
            checks.extend(problems.into_iter().map(wrong));
        }
    }
}

/// Whether files are writable that should not be, or the other way round; nothing where no file is, or was, `lockable`.
fn bits_check(context: &Context, latch: &Latch) -> Option<Check> {
    let look = || -> Result<Option<Check>> {
        let attributes = latch.attributes()?;
        if !latch.is_used() || (!attributes.is_in_use() && attributes.are_settled()) {
            return Ok(None);
        }
        let settler = latch.settler_of_all(&attributes, &latch.reader()?, &context.clock)?;
        let (count, Some(first)) = settler.odd() else {
            let detail = "files that are lockable are read-only until they are locked";
            return Ok(Some(Check::right("bits", detail)));
        };
        let inside = first.strip_prefix(latch.repo().root()?).unwrap_or(first);
        let first = context.here(latch.repo()).path(&path_to_bytes(inside));
        let detail = match count {
            1 => format!("the write bits of {first} do not match its attribute and locks"),
            n => format!(
                "the write bits of {first} and {} more do not match their attributes and locks",
                n - 1
            ),
        };
        Ok(Some(Check::wrong(
            "bits",
            Code::BadUsage,
            detail,
            "git latch init",
        )))
    };
    look().unwrap_or_else(|error| Some(Check::failed("bits", &error)))
}

/// Where pushes arrive there is one hook, or none.
fn bare_checks(context: &Context, latch: &Latch, checks: &mut Vec<Check>) {
    if matches!(latch.repo().has_head(), Ok(false)) {
        checks.push(Check::wrong(
            "policy",
            Code::BadPolicy,
            "HEAD names no commit: no policy applies",
            "git symbolic-ref HEAD refs/heads/NAME",
        ));
    }
    let states = Hooks::of(latch.repo()).and_then(|hooks| hooks.states());
    let is_missing = |states: &Vec<_>| states.iter().all(|(_, state)| *state == State::Missing);
    if states.as_ref().is_ok_and(is_missing) {
        checks.push(Check::right(
            "hooks",
            "none: pushes are not judged (git latch init --bare)",
        ));
    } else {
        hook_checks(context, latch, checks);
    }
}

/// Whether the remote answers, and tells the same time.
fn share_checks(context: &Context, latch: &Latch, checks: &mut Vec<Check>) {
    let Some(shared) = latch.shared() else { return };
    checks.push(match latch.sync(Some(ANSWER), &context.clock) {
        Ok(_) => Check::right("remote", format!("{} answers", shared.remote())),
        Err(error) => Check::failed("remote", &error),
    });
    if let Some(off) = shared.clock_difference(&context.clock) {
        checks.push(Check::wrong(
            "clocks",
            Code::Io,
            messages::clocks(&off),
            "synchronize the clocks, for example with NTP",
        ));
    }
}

fn lock_checks(context: &Context, latch: &Latch, checks: &mut Vec<Check>) {
    let here = context.here(latch.repo());
    let view = match latch.view(&Scope::All, &context.clock) {
        Ok(view) => view,
        Err(error) => return checks.push(Check::failed("locks", &error)),
    };
    for entry in view.live() {
        if entry.lock().is_none() {
            let mend = format!(
                "if nobody is working on it: git latch unlock --force {}",
                here.named(entry.path(), entry.claim.kind)
            );
            let path = messages::path_of_entry(here, entry);
            checks.push(Check::wrong(
                "locks",
                Code::Io,
                format!("{path} is unreadable: {}", problem(entry)),
                &mend,
            ));
        }
        if let Some(ahead) = entry.clock_difference(view.now, latch.terms()) {
            let path = messages::path_of_entry(here, entry);
            let detail = format!(
                "the clock of {path}'s holder is {} s ahead of this one",
                ahead.num_seconds()
            );
            checks.push(Check::wrong(
                "clocks",
                Code::Io,
                detail,
                "synchronize the clocks, for example with NTP",
            ));
        }
    }
    checks.push(Check::right(
        "leases",
        format!("{} live", view.live().count()),
    ));
}

fn problem(entry: &Entry) -> &str {
    match &entry.content {
        git_latch::rules::view::Content::Unreadable { problem } => problem,
        git_latch::rules::view::Content::Lock { .. } => "",
    }
}
