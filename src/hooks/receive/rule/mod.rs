//! Whether a push touches a path of a ref: by what the ref says before and after, whoever wrote which commit. Pure.
//!
//! A ref has its *own version* of a path where a merge of it into HEAD's branch would bring one: its entry is neither
//! that of their merge base nor that of HEAD's branch. On HEAD's branch a push touches a path whose entry it changes.
//! On every other ref it touches a path whose own version it changes: one that comes, goes, or becomes another. So
//! whoever merges the team's version, rebases on it or catches up with it touches nothing; and nobody but the holder
//! changes what the holder has on a branch, by however many pushes.

/// The merge base of a ref and HEAD's branch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Base<C> {
    /// One commit, or nothing.
    At(C),
    /// Two of several best ones, merged as git merges them before it merges anything on top of them.
    Merged {
        /// The one.
        one: Box<Base<C>>,
        /// The other.
        other: Box<Base<C>>,
        /// What the two have for a base.
        onto: Box<Base<C>>,
    },
}

impl<C> Base<C> {
    /// The entry at the base, where `at` tells that of a commit. What two have changed, each in its own way, is as if
    /// neither had.
    pub(super) fn entry<E: PartialEq>(&self, at: &dyn Fn(&C) -> E) -> E {
        match self {
            Base::At(commit) => at(commit),
            Base::Merged { one, other, onto } => {
                let (one, other, onto) = (one.entry(at), other.entry(at), onto.entry(at));
                if one == other || other == onto {
                    one
                } else if one == onto {
                    other
                } else {
                    onto
                }
            }
        }
    }

    /// Every commit that it is made of.
    pub(super) fn commits(&self) -> Vec<&C> {
        match self {
            Base::At(commit) => vec![commit],
            Base::Merged { one, other, onto } => {
                [one.commits(), other.commits(), onto.commits()].concat()
            }
        }
    }

    /// The same, of something else that each commit stands for.
    pub(super) fn map<D>(&self, to: &dyn Fn(&C) -> D) -> Base<D> {
        let inner = |base: &Base<C>| Box::new(base.map(to));
        match self {
            Base::At(commit) => Base::At(to(commit)),
            Base::Merged { one, other, onto } => Base::Merged {
                one: inner(one),
                other: inner(other),
                onto: inner(onto),
            },
        }
    }
}

/// Whether a ref has its own version of a path: by the entries at its tip, at its base, and at HEAD's branch.
pub(super) fn is_own<E: PartialEq>(tip: &E, base: &E, team: &E) -> bool {
    tip != base && tip != team
}

/// A ref that a push moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ref {
    /// The branch that HEAD names.
    Head,
    /// Any other that is there already.
    Other,
    /// One that the push leaves alone while it moves HEAD's branch: before and after are what that says.
    Beside,
    /// Any other that appears. A copy is no edit: what stands at the tip of a branch already.
    New {
        /// Whether the entry is such a copy.
        is_copy: bool,
    },
}

/// What a push does to a path of a ref. A ref that is not there has no own versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Whether the entries before and after differ.
    pub(super) differs: bool,
    /// Whether the ref has its own version before.
    pub(super) had_own: bool,
    /// Whether it has its own version after.
    pub(super) has_own: bool,
}

/// Whether a push touches a path of a ref.
pub(super) fn is_touched(of: Ref, change: Change) -> bool {
    let Change {
        differs,
        had_own,
        has_own,
    } = change;
    match of {
        Ref::Head => differs,
        Ref::Other => had_own != has_own || (had_own && differs),
        // Called merged without being taken: nobody would be asked about it any more.
        Ref::Beside => had_own && !has_own,
        Ref::New { is_copy } => has_own && !is_copy,
    }
}

/// Whether a push edits a path of a ref, for which a lock may be required. A branch that goes, or that goes back to what
/// the team has, edits nothing: only a holder loses something by it.
pub(super) fn is_edited(of: Ref, change: Change) -> bool {
    is_touched(of, change) && (of == Ref::Head || change.has_own)
}

#[cfg(test)]
mod tests;
