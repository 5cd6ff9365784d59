//! The refs beside HEAD's branch that a push of it bears on: what it takes into its history, or out of it, moves their
//! merge bases.

use std::collections::{HashMap, HashSet};

use super::branches::{Branches, Move, Side};
use super::graph::{self, Bases};
use super::refs::{self, Tip};
use super::rule::Ref;
use crate::rules::error::Result;

/// How many commits are asked for at once: where there are more, every ref is looked at.
const ASKED: usize = 1000;

impl Branches<'_> {
    /// Each of these refs as it is held against HEAD's branch before the push, and after.
    pub(super) fn beside(&self, moves: &[Move]) -> Result<Vec<Move>> {
        let head = moves.iter().find(|one| one.of == Ref::Head);
        // Where HEAD's branch goes, nothing is called merged.
        let Some((head, new)) = head.and_then(|head| Some((head, head.new.as_ref()?))) else {
            return Ok(Vec::new());
        };
        let Some(after) = new.tip.commit.as_deref() else {
            return Ok(Vec::new());
        };
        let pushed = moves.iter().filter(|one| one.of != Ref::Head);
        let mut names: HashMap<&str, Tip> = HashMap::new();
        for one in pushed.clone() {
            names.extend(one.new.as_ref().map(|new| (&*one.name, new.tip.clone())));
        }
        let is_pushed: HashSet<&str> = moves.iter().map(|one| &*one.name).collect();
        let affected = self.affected(head, after)?;
        let affected: Vec<(&str, &str)> = affected
            .iter()
            .filter_map(|name| self.listed.named(name))
            .filter(|(name, _)| !is_pushed.contains(name) && !self.receiver.is_lock_ref(name))
            .collect();
        let objects: Vec<&str> = affected.iter().map(|(_, object)| *object).collect();
        let tips = refs::tips(self.git, &objects)?;
        names.extend(affected.iter().map(|(name, _)| *name).zip(tips));
        names.retain(|_, tip| tip.commit.is_some());
        let bases_with = |head| refs::bases(self.git, head, names.values(), &self.empty);
        let (was, is) = (bases_with(self.head_commit())?, bases_with(Some(after))?);
        let side = |bases: &Bases<String>, tip: &Tip, team: &str| {
            Some(Side {
                base: bases.of.get(tip.commit.as_ref()?)?.clone(),
                tip: tip.clone(),
                team: team.to_owned(),
                below: None,
            })
        };
        let beside = names.iter().map(|(name, tip)| Move {
            name: (*name).to_owned(),
            of: Ref::Beside,
            old: side(&was, tip, self.team()),
            new: side(&is, tip, &new.tip.tree),
        });
        Ok(beside.collect())
    }

    /// The names of the refs, besides those that are pushed, that have a commit which comes to HEAD's branch or goes.
    fn affected(&self, head: &Move, after: &str) -> Result<Vec<String>> {
        let range = match self.head_commit() {
            Some(before) => format!("{before}...{after}"),
            None => after.to_owned(),
        };
        let moved = graph::commits(self.git, &[&range], &[])?;
        let exclude = format!("--exclude={}", head.name);
        let lonely = [
            "rev-list",
            "--count",
            &range,
            &exclude,
            "--not",
            "--glob=refs/*",
        ];
        let lonely = self.git.output(&lonely)?;
        let lonely: usize = String::from_utf8_lossy(&lonely).trim().parse().unwrap_or(0);
        if lonely == moved.len() {
            return Ok(Vec::new());
        }
        let is_first = |parents: &Vec<String>| !parents.iter().any(|p| moved.contains_key(p));
        let first = moved.iter().filter(|(_, parents)| is_first(parents));
        let mut asking = vec!["for-each-ref".to_owned(), "--format=%(refname)".to_owned()];
        let first: Vec<_> = first
            .map(|(commit, _)| format!("--contains={commit}"))
            .collect();
        if first.len() <= ASKED {
            asking.extend(first);
        }
        let told = self.git.output(&asking)?;
        let told = String::from_utf8_lossy(&told);
        Ok(told.lines().map(str::to_owned).collect())
    }
}
