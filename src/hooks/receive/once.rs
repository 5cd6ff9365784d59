//! What a push may touch at all, whichever of its refs bring it: every tree that is new to it is looked at once, however
//! many refs lie on each other or name the same. Where nobody else has any of that, no ref has to be looked at by itself.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::above::held_above;
use super::branches::{Branches, Judging, Move, Side};
use super::difference;
use super::rule::Ref;
use crate::rules::error::Result;
use crate::rules::judge;

impl Branches<'_> {
    /// Every path that some of the moves may touch.
    pub(super) fn paths(&self, moves: &[Move]) -> Result<BTreeSet<Vec<u8>>> {
        let mut paths = BTreeSet::new();
        let mut count = self.counting();
        difference::each(self.git, &self.steps(moves), &mut |differing| {
            count()?;
            if !paths.contains(differing.path) {
                paths.insert(differing.path.to_vec());
            }
            Ok(())
        })?;
        Ok(paths)
    }

    /// Pairs of trees: each path in which a pair of some move differs, differs in one of these.
    ///
    /// A ref that comes or goes, and lies on another one that does, is held against that. What differs between it and
    /// their base differs there or between the other one and the base.
    fn steps(&self, moves: &[Move]) -> Vec<(String, String)> {
        let sides = moves.iter().filter_map(Move::only_side);
        let sides = sides.filter_map(|side| Some((side.tip.commit.as_deref()?, side)));
        let sides: HashMap<&str, &Side> = sides.collect();
        let lower = |one: &Move| {
            let side = one.only_side()?;
            let lower = sides.get(side.below.as_deref()?)?;
            let step = (lower.tip.tree.clone(), side.tip.tree.clone());
            (lower.base == side.base).then_some(step)
        };
        let steps = moves.iter().flat_map(|one| {
            if let Some(step) = lower(one) {
                return vec![step];
            }
            let pairs = one.pairs(&self.empty).into_iter();
            pairs.map(|(one, other, _)| (one, other)).collect()
        });
        let mut seen = HashSet::new();
        steps
            .filter(|(one, other)| one != other)
            .filter(|step| seen.insert(step.clone()))
            .collect()
    }

    /// Those of the paths which some of those who move the refs may not touch.
    pub(super) fn suspects(
        &self,
        moves: &[Move],
        paths: &BTreeSet<Vec<u8>>,
        judging: Judging<'_>,
    ) -> Result<BTreeSet<Vec<u8>>> {
        let mut people = self.movers(moves)?;
        people.retain(|me| !self.receiver.is_integrator(me));
        people.sort_by(|a, b| a.owner.id.cmp(&b.owner.id));
        people.dedup_by(|a, b| a.owner.id == b.owner.id);
        // What several may touch is what nobody has: each of them is asked about by itself afterwards.
        let me = match &*people {
            [] => return Ok(BTreeSet::new()),
            [me] => me.clone(),
            _ => self.receiver.me_called(""),
        };
        let above = held_above(judging.view, &me, paths.iter());
        let is_suspect = |path: &&Vec<u8>| {
            above.over(path).is_some()
                || judge::on_mine(judging.view, &me, path, judging.is_required).is_some()
        };
        Ok(paths.iter().filter(is_suspect).cloned().collect())
    }
}

impl Move {
    /// What a ref that comes or goes names, unless it is HEAD's branch.
    fn only_side(&self) -> Option<&Side> {
        match (&self.old, &self.new) {
            (Some(side), None) | (None, Some(side)) if self.of != Ref::Head => Some(side),
            _ => None,
        }
    }
}
