//! `git latch hook pre-receive`: says no where a push arrives, in words for people and in a last line for programs.

use git_latch::git::edits;
use git_latch::git::repo::Repo;
use git_latch::hooks::receive::{Judged, Objection, Origin, Receiver};
use git_latch::rules::error::{Code, Result};
use git_latch::rules::report::{NoTrees, Viewpoint};
use git_latch::rules::spelling::{Here, escaped};
use git_latch::rules::time::Clock as _;

use super::context::Context;
use super::exit::{self, Failure};
use super::{check, messages, output};

/// Judges the push that standard input tells of; gives the exit code.
pub(super) fn run(context: &Context, input: &[u8]) -> u8 {
    match judge(context, input) {
        Ok(exit) => exit,
        // What cannot be judged is refused.
        Err(error) => {
            output::failure(&Failure::of(&error, Here::root()));
            last_line(error.code(), ".");
            exit::of(error.code())
        }
    }
}

fn judge(context: &Context, input: &[u8]) -> Result<u8> {
    let repo = Repo::from_environment(&context.directory)?;
    let updates = edits::parse_received(&String::from_utf8_lossy(input))?;
    let variable = |name: &str| std::env::var(name).ok();
    let receiver = Receiver::new(repo, &updates, &variable)?;
    let judged = receiver.judge(&updates, &context.clock)?;
    Ok(tell(context, &receiver, &judged))
}

fn tell(context: &Context, receiver: &Receiver, judged: &Judged) -> u8 {
    let mut exit = 0;
    if let Some(first) = judged.objections.first() {
        let lines = messages::first_lines(&judged.objections, |objection| {
            let path = output::path(Here::root(), objection.path.as_bytes());
            format!("{path}: {}", objection.problem)
        });
        output::failure(&Failure::new(
            first.code,
            format!("push rejected: unauthorized lock change\n{lines}"),
            advice(receiver, first),
        ));
        exit = exit::of(first.code);
    }
    if let Some(first) = judged.violations.first() {
        let me = receiver.me();
        let viewpoint = Viewpoint {
            me: &me,
            now: context.clock.now(),
            terms: &receiver.policy().terms,
            here: Here::root(),
            trees: &NoTrees,
        };
        output::failure(&Failure::new(
            first.code,
            format!(
                "this push {}",
                check::charge(&viewpoint, &judged.violations)
            ),
            check::advice_on_push(Here::root(), &judged.violations),
        ));
        exit = exit.max(exit::of(first.code));
    }
    for objection in judged.objections.iter().take(messages::LISTED) {
        last_line(objection.code, &objection.path);
    }
    for violation in judged.violations.iter().take(messages::LISTED) {
        last_line(violation.code, &escaped(&violation.path));
    }
    exit
}

/// The next step, where the rules and not the clock or a program at fault stand against it.
fn advice(receiver: &Receiver, objection: &Objection) -> Option<String> {
    match (objection.code, receiver.pusher()) {
        (Code::Forbidden, Some(pusher)) if pusher.origin == Origin::Name => Some(format!(
            "the server knows you as `{}`: ask for a line in the policy's `[server.pushers]`, or set that id: git config latch.owner {}",
            pusher.name,
            messages::shell_word(&pusher.id)
        )),
        (Code::Forbidden, _) => {
            Some("the policy's `[force] who` lists who may do this; ask one of them".into())
        }
        (Code::Refused, _) => Some(
            "correct this machine's clock, or allow more in the policy: `[lease] clock_skew`"
                .into(),
        ),
        (Code::Held, _) => Some("git latch sync, and see who has it: git latch list".into()),
        _ => None,
    }
}

/// What the pusher's git-latch turns into its own exit code.
fn last_line(code: Code, path: &str) {
    output::eprint(&format!("git-latch: {} {path}", code.as_str()));
}
