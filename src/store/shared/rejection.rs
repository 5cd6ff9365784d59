//! What git and the remote say about a push that did not go through.
//!
//! The words decide nothing about the locks (the ref's tip does), they explain.

use crate::rules::error::{Code, Error};

/// How git's words about sending begin: they are asked for, because they tell whether anything was sent.
const SENDING: &str = "Writing objects";
/// The beginnings of all its words about progress.
const PROGRESS: [&str; 8] = [
    SENDING,
    "Enumerating objects",
    "Counting objects",
    "Compressing objects",
    "Delta compression",
    "Total ",
    "remote: Resolving deltas",
    "remote: Unpacking objects",
];

/// What was said about a push that did not go through.
#[derive(Clone, Debug)]
pub(super) struct Rejection {
    /// Git's and the remote's words.
    words: String,
    /// Whether anything was sent before it ended.
    was_sent: bool,
    /// The word for why, where the remote's own git-latch rejects it, with its sentence and its next step.
    verdict: Option<(Code, String, Option<String>)>,
}

impl Rejection {
    /// Git's reason for a ref, and all it said on stderr.
    pub(super) fn new(reason: &str, stderr: &[u8]) -> Self {
        let (more, verdict) = (words(stderr), verdict(stderr));
        let stderr = String::from_utf8_lossy(stderr);
        Rejection {
            was_sent: stderr.contains(SENDING),
            words: match (reason, more.as_str()) {
                ("", more) => more.to_owned(),
                (reason, "") => reason.to_owned(),
                (reason, more) => format!("{reason}: {more}"),
            },
            verdict,
        }
    }

    /// Adds what we have to say.
    pub(super) fn add(&mut self, more: &str) {
        if !self.words.is_empty() {
            self.words.push_str("; ");
        }
        self.words.push_str(more);
    }

    /// Whether anything was sent before it ended.
    pub(super) fn was_sent(&self) -> bool {
        self.was_sent
    }

    /// What was said.
    pub(super) fn into_words(self) -> String {
        self.words
    }

    /// The error of a push that was refused though nobody was faster.
    pub(super) fn into_error(self, remote: &str) -> Error {
        if let Some((code, problem, hint)) = self.verdict {
            return Error::Forbidden {
                remote: remote.to_owned(),
                code,
                problem,
                hint,
            };
        }
        Error::Refused {
            remote: remote.to_owned(),
            problem: self.words,
            hint: Some(
                "if the host accepts branches only, name one in the policy: `[share] ref = \"refs/heads/latch\"`".into(),
            ),
        }
    }
}

/// What a git-latch on the remote says: sentences, `hint: …`, and lines `git-latch: <code> <path>`.
pub(crate) fn verdict(stderr: &[u8]) -> Option<(Code, String, Option<String>)> {
    let stderr = String::from_utf8_lossy(stderr);
    let lines = || {
        let told = stderr.lines().filter_map(|l| l.strip_prefix("remote:"));
        told.map(str::trim).filter(|line| !line.is_empty())
    };
    let code = lines().find_map(|line| {
        let (word, _) = line.strip_prefix("git-latch: ")?.split_once(' ')?;
        Code::of(word)
    })?;
    let is_sentence = |line: &&str| !line.starts_with("git-latch: ") && !line.starts_with("hint:");
    let sentences: Vec<&str> = lines().filter(is_sentence).collect();
    let sentences = sentences.join("; ");
    let problem = sentences.strip_prefix("error: ").unwrap_or(&sentences);
    let mut hints = lines().filter_map(|line| line.strip_prefix("hint:"));
    let hint = hints
        .next()
        .map(|hint| crate::rules::spelling::escaped(hint.trim().as_bytes()));
    Some((
        code,
        crate::rules::spelling::escaped(problem.as_bytes()),
        hint,
    ))
}

/// What `push --porcelain` tells of a ref of the remote, `flag TAB from:to TAB reason`: a line for each push URL.
pub(super) fn told_of<'a>(told: &'a str, reference: &str) -> impl Iterator<Item = (char, &'a str)> {
    let to = format!(":{reference}");
    told.lines().filter_map(move |line| {
        let mut parts = line.split('\t');
        let flag = parts.next()?.chars().next()?;
        let is_meant = parts.next()?.ends_with(&to);
        is_meant.then(|| (flag, parts.next().unwrap_or_default()))
    })
}

/// What git said on stderr, as one line.
pub(crate) fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let is_progress = |line: &str| PROGRESS.iter().any(|words| line.starts_with(words));
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("To ") && !is_progress(line))
        .collect();
    crate::rules::spelling::escaped(lines.join("; ").as_bytes())
}
