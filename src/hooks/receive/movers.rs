//! Who moves the refs of a push.

use std::collections::{BTreeSet, HashMap};

use super::Receiver;
use super::branches::{Branches, Move};
use super::rule::Ref;
use crate::rules::error::Result;
use crate::rules::view::Me;

impl Branches<'_> {
    /// Who makes each of the moves.
    pub(super) fn movers(&self, moves: &[Move]) -> Result<Vec<Me>> {
        let head = moves.iter().find(|one| one.of == Ref::Head);
        let by = moves.iter().map(|one| match head {
            Some(head) if one.of == Ref::Beside => head,
            _ => one,
        });
        self.receiver.moved_by(&by.collect::<Vec<_>>())
    }
}

impl Receiver {
    /// Who moves each ref: who pushes. Where no host says who that is, the committer of what it is to name, or has named.
    fn moved_by(&self, moves: &[&Move]) -> Result<Vec<Me>> {
        if self.pusher.is_some() {
            return Ok(moves.iter().map(|_| self.me()).collect());
        }
        let commit = |one: &Move| {
            let side = one.new.as_ref().or(one.old.as_ref())?;
            side.tip.commit.clone()
        };
        let commits: Vec<Option<String>> = moves.iter().map(|one| commit(one)).collect();
        let named: BTreeSet<&str> = commits.iter().flatten().map(String::as_str).collect();
        let committers = self.committers(&named)?;
        let me = |commit: &Option<String>| {
            let committer = commit.as_ref().and_then(|commit| committers.get(commit));
            self.me_called(committer.map_or("", String::as_str))
        };
        Ok(commits.iter().map(me).collect())
    }

    /// The committers of commits: one git for all of them.
    fn committers(&self, commits: &BTreeSet<&str>) -> Result<HashMap<String, String>> {
        if commits.is_empty() {
            return Ok(HashMap::new());
        }
        let input: Vec<&str> = commits.iter().copied().collect();
        let input = input.join("\n") + "\n";
        let asking = [
            "-c",
            "log.showSignature=false",
            "log",
            "--no-walk=unsorted",
            "--stdin",
            "--format=%H %ce",
        ];
        let told = self.git.output_with_input(&asking, input.into_bytes())?;
        let told = String::from_utf8_lossy(&told);
        let parse = |line: &str| {
            let (commit, committer) = line.split_once(' ')?;
            Some((commit.to_owned(), committer.trim().to_owned()))
        };
        Ok(told.lines().filter_map(parse).collect())
    }
}
