//! What may only be edited under a lock of one's own: by the policy's patterns, or by the attribute `lockable`.

use std::collections::{BTreeSet, HashSet};

use super::{paths_of, required, staged_edits, without};
use crate::git::edits::{self, Changed, Saved, State};
use crate::latch::{Latch, lockable};
use crate::rules::edit::Edit;
use crate::rules::error::{Code, Result};
use crate::rules::judge::{self, Answerable};
use crate::rules::path::Key;
use crate::rules::view::{Me, View};

/// The rule of one repository.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    latch: &'a Latch,
    attribute_in_use: bool,
}

impl<'a> Rule<'a> {
    /// Reads no more than tells whether there is one.
    pub(crate) fn of(latch: &'a Latch) -> Result<Self> {
        Ok(Rule {
            latch,
            attribute_in_use: latch.has_lockable_files()?,
        })
    }

    /// Whether any path may require a lock of one's own.
    pub(crate) fn is_any(&self) -> bool {
        self.attribute_in_use || !self.latch.policy().require.is_empty()
    }

    /// Which of the edited paths require one.
    pub(super) fn on(&self, edits: &[Edit]) -> Result<impl Fn(&[u8]) -> bool + use<'a>> {
        let lockable = if self.attribute_in_use {
            let distinct: BTreeSet<&[u8]> = edits.iter().map(|e| e.path.as_slice()).collect();
            let distinct: Vec<&[u8]> = distinct.into_iter().collect();
            lockable::among(self.latch.repo(), &distinct)?
        } else {
            HashSet::new()
        };
        let require = &self.latch.policy().require;
        Ok(move |path: &[u8]| lockable.contains(path) || require.matches(&Key::of(path)))
    }

    /// Those of the changed files that require a lock and that nobody has locked, by path. Not what is new, nor what git
    /// has staged: of a merge, or as the branch's upstream has it.
    pub(crate) fn unlocked(
        &self,
        view: &View,
        me: &Me,
        changed: &[Changed],
    ) -> Result<Vec<Vec<u8>>> {
        let repo = self.latch.repo();
        let is_combining = edits::is_combining(repo.git_dir());
        let is_mine = |change: &&Changed| {
            let is_gits = is_combining && change.saved == Saved::Staged;
            change.state != State::Untracked && !is_gits
        };
        let mine = changed.iter().filter(is_mine);
        let edits = staged_edits(mine.map(|change| change.path.clone()).collect());
        let is_required = self.on(&edits)?;
        let mut violations = judge::judge(view, me, &edits, &is_required, Answerable::Me);
        violations.retain(|violation| violation.code == Code::Required);
        let added = required::added(self.latch, &[], &violations)?;
        let violations = without(violations, &added);
        let staged = changed.iter().filter(|c| c.saved == Saved::Staged);
        let staged: HashSet<&[u8]> = staged.map(|c| c.path.as_slice()).collect();
        let mut in_question = paths_of(&violations);
        in_question.retain(|path| staged.contains(path));
        let allowed = edits::as_upstream(repo, &in_question)?;
        let left = without(violations, &allowed);
        Ok(left.into_iter().map(|violation| violation.path).collect())
    }
}
