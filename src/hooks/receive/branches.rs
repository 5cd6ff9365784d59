//! The branches, tags and other refs of a push, against the locks as they were before it.
//!
//! One pass over what differs, for all refs together, finds the paths that may be touched; only those that somebody else
//! has locked, or that want a lock, are looked for ref by ref. The cost goes by the refs and by what differs, not by the
//! size of trees or by the number of commits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::Receiver;
use super::above::held_above;
use super::difference::{self, resolve};
use super::refs::{self, Listed, Tip};
use super::rule::{self, Base, Change, Ref};
use crate::git::command::Git;
use crate::git::edits::RefUpdate;
use crate::rules::error::{Code, Error, Result};
use crate::rules::judge::{self, Violation};
use crate::rules::view::{Entry, View};

/// How many branches are searched for a copy at once.
const SEARCHED: usize = 32;

/// A ref that the push moves.
#[derive(Debug)]
pub(super) struct Move {
    /// Its full name.
    pub(super) name: String,
    pub(super) of: Ref,
    pub(super) old: Option<Side>,
    pub(super) new: Option<Side>,
}

/// What a ref names before or after, and where that has left HEAD's branch.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) tip: Tip,
    pub(super) base: Base<String>,
    /// The tree of HEAD's branch that it is held against.
    pub(super) team: String,
    /// The next commit below that another ref of the push names.
    pub(super) below: Option<String>,
}

impl Move {
    fn sides(&self) -> impl Iterator<Item = &Side> {
        self.old.iter().chain(&self.new)
    }

    /// The pairs of trees in which every path differs that this may touch; and whether these are before and after.
    pub(super) fn pairs(&self, empty: &str) -> Vec<(String, String, bool)> {
        let tree = |side: &Option<Side>| {
            let tree = side.as_ref().map(|side| side.tip.tree.clone());
            tree.unwrap_or_else(|| empty.to_owned())
        };
        let (old, new) = (tree(&self.old), tree(&self.new));
        let bases: BTreeSet<&String> = self.sides().flat_map(|s| s.base.commits()).collect();
        let mut bases = bases.into_iter().cloned();
        let mut pairs = Vec::new();
        match (&self.old, &self.new) {
            _ if self.of == Ref::Head => pairs.push((old, new, true)),
            (Some(_), Some(_)) => {
                pairs.push((old, new, true));
                // The own version of a path that stays the same changes only with the base.
                if let Some(first) = bases.next() {
                    pairs.extend(bases.map(|other| (first.clone(), other, false)));
                }
            }
            (Some(side), None) | (None, Some(side)) => {
                pairs.extend(bases.map(|base| (base, side.tip.tree.clone(), true)));
            }
            (None, None) => {}
        }
        pairs.retain(|(one, other, _)| one != other);
        pairs
    }
}

/// A path that the push may touch, and what stands against that.
#[derive(Debug)]
pub(super) struct Offence {
    /// Whether the entries before and after differ.
    differs: bool,
    code: Code,
    holder: Option<Entry>,
}

/// What paths are judged by.
#[derive(Clone, Copy)]
pub(super) struct Judging<'a> {
    /// The locks.
    pub(super) view: &'a View,
    /// Whether a path may only be edited under a lock of one's own.
    pub(super) is_required: &'a dyn Fn(&[u8]) -> bool,
}

/// The paths of a move, and whether the entries before and after differ.
type Paths = BTreeMap<Vec<u8>, bool>;
/// The paths of a move that may not be touched.
type Offences = BTreeMap<Vec<u8>, Offence>;
/// Pairs of trees, and the paths that are looked for in them.
type Wanted = HashMap<(String, String), HashSet<Vec<u8>>>;
/// What the first trees of pairs have where they differ from the second.
type Seen = HashMap<(String, String), HashMap<Vec<u8>, Vec<u8>>>;

/// The refs of a push, about to be judged.
pub(super) struct Branches<'a> {
    pub(super) receiver: &'a Receiver,
    pub(super) git: &'a Git,
    pub(super) listed: &'a Listed,
    /// What HEAD's branch names before the push.
    pub(super) head: Option<Tip>,
    pub(super) empty: String,
}

impl<'a> Branches<'a> {
    pub(super) fn new(receiver: &'a Receiver, git: &'a Git, listed: &'a Listed) -> Result<Self> {
        let head = receiver.repo.commit_of("HEAD")?;
        let named: Vec<&str> = head.iter().map(String::as_str).collect();
        let like = named
            .first()
            .copied()
            .or_else(|| listed.below("").next().map(|(_, o)| o));
        Ok(Branches {
            receiver,
            git,
            listed,
            empty: refs::empty_tree(like.unwrap_or_default()),
            head: refs::tips(git, &named)?.pop(),
        })
    }

    pub(super) fn head_commit(&self) -> Option<&str> {
        self.head.as_ref()?.commit.as_deref()
    }

    /// The tree of HEAD's branch before the push.
    pub(super) fn team(&self) -> &str {
        self.head.as_ref().map_or(&self.empty, |head| &head.tree)
    }

    /// What the push does to each ref.
    pub(super) fn moves(&self, updates: &[RefUpdate]) -> Result<Vec<Move>> {
        let head_ref = self.receiver.repo.head_ref()?;
        let named: Vec<&str> = updates
            .iter()
            .flat_map(|u| [u.before(), u.after()])
            .flatten()
            .collect();
        let tips = refs::tips(self.git, &named)?;
        let of_object: HashMap<&str, &Tip> = named.into_iter().zip(&tips).collect();
        let is_head = |u: &&RefUpdate| self.receiver.is_named(&u.remote_ref, head_ref.as_deref());
        let others = updates.iter().filter(|u| !is_head(u));
        let others = others.flat_map(|u| [u.before(), u.after()]).flatten();
        let others = others.filter_map(|object| of_object.get(object).copied());
        let bases = refs::bases(self.git, self.head_commit(), others, &self.empty)?;
        let side = |object: Option<&str>| {
            let tip = (*of_object.get(object?)?).clone();
            let base = tip.commit.as_ref().and_then(|commit| bases.of.get(commit));
            let below = tip.commit.as_ref().and_then(|c| bases.below.get(c));
            Some(Side {
                base: base
                    .cloned()
                    .unwrap_or_else(|| Base::At(self.empty.clone())),
                team: self.team().to_owned(),
                below: below.cloned(),
                tip,
            })
        };
        let of = |update: &RefUpdate| match update.before() {
            _ if is_head(&update) => Ref::Head,
            None => Ref::New { is_copy: false },
            Some(_) => Ref::Other,
        };
        let of_update = |update: &RefUpdate| Move {
            name: update.remote_ref.clone(),
            of: of(update),
            old: side(update.before()),
            new: side(update.after()),
        };
        Ok(updates.iter().map(of_update).collect())
    }

    /// Those of the paths that each move may touch.
    pub(super) fn candidates(
        &self,
        moves: &[Move],
        suspects: &BTreeSet<Vec<u8>>,
    ) -> Result<Vec<Paths>> {
        let mut found: Vec<Paths> = moves.iter().map(|_| Paths::new()).collect();
        if suspects.is_empty() {
            return Ok(found);
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut of: Vec<Vec<(usize, bool)>> = Vec::new();
        let mut known: HashMap<(String, String), usize> = HashMap::new();
        for (n, one) in moves.iter().enumerate() {
            for (before, after, is_move) in one.pairs(&self.empty) {
                let pair = *known.entry((before, after)).or_insert_with_key(|pair| {
                    pairs.push(pair.clone());
                    of.push(Vec::new());
                    of.len() - 1
                });
                of[pair].push((n, is_move));
            }
        }
        let mut count = self.counting();
        difference::each(self.git, &pairs, &mut |differing| {
            count()?;
            if suspects.contains(differing.path) {
                for &(n, is_move) in &of[differing.pair] {
                    *found[n].entry(differing.path.to_vec()).or_default() |= is_move;
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Counts paths, up to the policy's limit.
    pub(super) fn counting(&self) -> impl FnMut() -> Result<()> {
        let limit = self.receiver.policy.max_paths;
        let mut count = 0;
        move || {
            count += 1;
            if count > limit {
                return Err(too_many(limit));
            }
            Ok(())
        }
    }

    /// Those of the paths that the pusher may not touch.
    pub(super) fn offences(
        &self,
        moves: &[Move],
        found: Vec<Paths>,
        Judging { view, is_required }: Judging<'_>,
    ) -> Result<Vec<Offences>> {
        let mut all = Vec::new();
        for (me, paths) in self.movers(moves)?.into_iter().zip(found) {
            if self.receiver.is_integrator(&me) || paths.is_empty() {
                all.push(Offences::new());
                continue;
            }
            let above = held_above(view, &me, paths.keys());
            let offence = |(path, differs): (Vec<u8>, bool)| {
                let (code, holder) = match above.over(&path) {
                    Some(entry) => (Code::Held, Some(entry)),
                    None => judge::on_mine(view, &me, &path, is_required)?,
                };
                let holder = holder.cloned();
                Some((
                    path,
                    Offence {
                        differs,
                        code,
                        holder,
                    },
                ))
            };
            all.push(paths.into_iter().filter_map(offence).collect());
        }
        Ok(all)
    }

    /// Those of them that the push touches.
    pub(super) fn touched(
        &self,
        moves: &[Move],
        mut found: Vec<Offences>,
    ) -> Result<Vec<Offences>> {
        let mut wanted = Wanted::new();
        let others = |one: &Move| one.of != Ref::Head;
        for (one, offences) in moves.iter().zip(&found).filter(|(one, _)| others(one)) {
            for side in one.sides().filter(|_| !offences.is_empty()) {
                want(&mut wanted, side, offences);
            }
        }
        let seen = self.seen(&wanted)?;
        for (one, offences) in moves.iter().zip(&mut found) {
            let own = |side: &Option<Side>, path: &[u8]| {
                let side = side.as_ref().filter(|_| others(one));
                side.is_some_and(|side| is_own(&seen, side, path))
            };
            offences.retain(|path, offence| {
                let change = Change {
                    differs: offence.differs,
                    had_own: own(&one.old, path),
                    has_own: own(&one.new, path),
                };
                match offence.code {
                    Code::Required => rule::is_edited(one.of, change),
                    _ => rule::is_touched(one.of, change),
                }
            });
            if let (Ref::New { .. }, Some(new)) = (one.of, &one.new) {
                self.leave_out_copies(new, offences)?;
            }
        }
        Ok(found)
    }

    /// What the first trees of these pairs have at these paths, where that is not what the second have.
    fn seen(&self, wanted: &Wanted) -> Result<Seen> {
        let pairs: Vec<(String, String)> = wanted.keys().cloned().collect();
        let mut seen: Seen = pairs
            .iter()
            .map(|pair| (pair.clone(), HashMap::new()))
            .collect();
        difference::each(self.git, &pairs, &mut |differing| {
            let pair = &pairs[differing.pair];
            if let (true, Some(seen)) = (wanted[pair].contains(differing.path), seen.get_mut(pair))
            {
                seen.insert(differing.path.to_vec(), differing.before());
            }
            Ok(())
        })?;
        Ok(seen)
    }

    /// A ref that appears may have what the tip of a branch has already.
    fn leave_out_copies(&self, new: &Side, offences: &mut Offences) -> Result<()> {
        if offences.is_empty() {
            return Ok(());
        }
        let branches = self.listed.below("refs/heads/");
        let names: Vec<String> = branches
            .map(|(_, object)| format!("{object}^{{tree}}"))
            .collect();
        let trees: BTreeSet<String> = resolve(self.git, &names)?.into_iter().flatten().collect();
        let trees: Vec<String> = trees.into_iter().collect();
        for some in trees.chunks(SEARCHED) {
            let pairs: Vec<_> = some
                .iter()
                .map(|t| (t.clone(), new.tip.tree.clone()))
                .collect();
            let mut differing: HashMap<Vec<u8>, usize> = HashMap::new();
            difference::each(self.git, &pairs, &mut |found| {
                if offences.contains_key(found.path) {
                    *differing.entry(found.path.to_vec()).or_default() += 1;
                }
                Ok(())
            })?;
            let stays = |path: &Vec<u8>| differing.get(path) >= Some(&pairs.len());
            offences.retain(|path, _| stays(path));
            if offences.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// What is to be seen to say whether a side has its own version of paths.
fn want(wanted: &mut Wanted, side: &Side, paths: &Offences) {
    for tree in side.base.commits().into_iter().chain([&side.team]) {
        let pair = (tree.clone(), side.tip.tree.clone());
        wanted
            .entry(pair)
            .or_default()
            .extend(paths.keys().cloned());
    }
}

/// Whether a ref has its own version of a path. Entries are told as they differ from that of its tip, which is `None`.
fn is_own(seen: &Seen, side: &Side, path: &[u8]) -> bool {
    let at = |tree: &String| seen.get(&(tree.clone(), side.tip.tree.clone()))?.get(path);
    rule::is_own(&None, &side.base.entry(&at), &at(&side.team))
}

/// What is said of the touched paths: of each once.
pub(super) fn violations(moves: &[Move], touched: Vec<Offences>) -> Vec<Violation> {
    let mut found: BTreeMap<Vec<u8>, Violation> = BTreeMap::new();
    for (one, offences) in moves.iter().zip(touched) {
        for (path, Offence { code, holder, .. }) in offences {
            found.entry(path.clone()).or_insert_with(|| Violation {
                path,
                code,
                holder,
                commit: None,
                reference: Some(one.name.clone()),
            });
        }
    }
    found.into_values().collect()
}

fn too_many(limit: usize) -> Error {
    Error::bad_usage(
        format!("this push changes more than {limit} paths"),
        "push fewer refs at once, or allow more in the policy: `[hooks] max_paths`",
    )
}
