use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// An entry of the one path that is locked; 0 is none.
type Version = u8;

/// A commit: its parents, and what it has at the locked path.
#[derive(Clone, Debug)]
struct Commit {
    parents: Vec<usize>,
    version: Version,
}

/// A server with refs, of which `main` is HEAD's branch.
#[derive(Clone, Debug, Default)]
struct Server {
    commits: Vec<Commit>,
    refs: BTreeMap<&'static str, usize>,
}

const MAIN: &str = "main";
const NAMES: [&str; 5] = [MAIN, "idea", "dev", "old", "tag"];
/// The one that is no branch: what stands there does not count as a copy.
const TAG: &str = "tag";

type Push = Vec<(&'static str, Option<usize>)>;

impl Server {
    fn commit(&mut self, parents: &[usize], version: Version) -> usize {
        let parents = parents.iter().copied().collect::<BTreeSet<_>>();
        self.commits.push(Commit {
            parents: parents.into_iter().collect(),
            version,
        });
        self.commits.len() - 1
    }

    fn ancestors(&self, of: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut next: Vec<usize> = of.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(commit) = next.pop() {
            if found.insert(commit) {
                next.extend(&self.commits[commit].parents);
            }
        }
        found
    }

    /// The best common ancestors of a commit and of some others taken together.
    fn best(&self, one: usize, others: &[usize]) -> Vec<usize> {
        let others = self.ancestors(others.iter().copied());
        let common: Vec<usize> = self
            .ancestors([one])
            .intersection(&others)
            .copied()
            .collect();
        let is_best = |c: &usize| {
            let above = |d: &usize| d != c && self.ancestors([*d]).contains(c);
            !common.iter().any(above)
        };
        common.iter().copied().filter(is_best).collect()
    }

    fn base(&self, one: usize, others: &[usize]) -> Base<Option<usize>> {
        let best = self.best(one, others);
        let Some(first) = best.first() else {
            return Base::At(None);
        };
        let mut base = Base::At(Some(*first));
        for (n, other) in best.iter().enumerate().skip(1) {
            base = Base::Merged {
                one: Box::new(base),
                other: Box::new(Base::At(Some(*other))),
                onto: Box::new(self.base(*other, &best[..n])),
            };
        }
        base
    }

    fn version(&self, commit: Option<usize>) -> Version {
        commit.map_or(0, |commit| self.commits[commit].version)
    }

    /// What a merge into `main` takes a commit's version against.
    fn base_version(&self, commit: usize, main: Option<usize>) -> Version {
        let base = main.map_or(Base::At(None), |main| self.base(commit, &[main]));
        base.entry(&|commit| self.version(*commit))
    }

    /// The own version of what a ref names, where it has one.
    fn own(&self, tip: Option<usize>, main: Option<usize>) -> Option<Version> {
        let tip = tip?;
        let (version, team) = (self.version(Some(tip)), self.version(main));
        is_own(&version, &self.base_version(tip, main), &team).then_some(version)
    }

    /// Whether somebody else than the holder and the integrators may push this.
    fn accepts(&self, push: &Push) -> bool {
        let main = self.refs.get(MAIN).copied();
        let is_copy = |commit: usize| {
            let mut branches = self.refs.iter().filter(|(name, _)| **name != TAG);
            branches.any(|(_, tip)| self.version(Some(*tip)) == self.version(Some(commit)))
        };
        let touches = |&(name, new): &(&'static str, Option<usize>)| {
            let old = self.refs.get(name).copied();
            let of = match (name, old, new) {
                (MAIN, ..) => Ref::Head,
                (_, None, Some(new)) => Ref::New {
                    is_copy: is_copy(new),
                },
                _ => Ref::Other,
            };
            let change = Change {
                differs: self.version(old) != self.version(new),
                had_own: self.own(old, main).is_some(),
                has_own: self.own(new, main).is_some(),
            };
            is_touched(of, change)
        };
        let mut after = self.clone();
        after.take(push);
        let new_main = after.refs.get(MAIN).copied();
        let loses = |tip: usize| {
            let change = Change {
                differs: false,
                had_own: self.own(Some(tip), main).is_some(),
                has_own: self.own(Some(tip), new_main).is_some(),
            };
            is_touched(Ref::Beside, change)
        };
        let mut beside = after.refs.iter().filter(|(name, _)| **name != MAIN);
        let is_moved = new_main.is_some() && push.iter().any(|(name, _)| *name == MAIN);
        let is_refused = push.iter().any(touches) || is_moved && beside.any(|(_, tip)| loses(*tip));
        !is_refused
    }

    fn take(&mut self, push: &Push) {
        for (name, new) in push {
            match new {
                Some(new) => drop(self.refs.insert(*name, *new)),
                None => drop(self.refs.remove(name)),
            }
        }
    }

    /// Every own version, and what HEAD's branch has.
    fn kept(&self) -> BTreeMap<&'static str, Version> {
        let main = self.refs.get(MAIN).copied();
        let others = self.refs.iter().filter(|(name, _)| **name != MAIN);
        let own = |(name, tip): (&&'static str, &usize)| Some((*name, self.own(Some(*tip), main)?));
        let mut kept: BTreeMap<_, _> = others.filter_map(own).collect();
        kept.insert(MAIN, self.version(main));
        kept
    }
}

/// A commit that somebody makes: on up to two of those that are there, with whatever tree.
type Making = (Vec<Index>, Version);
/// A ref by its number, and where it goes: to a commit that is there, or away.
type Moving = (usize, Option<Index>);

fn making() -> impl Strategy<Value = Making> {
    (prop::collection::vec(any::<Index>(), 0..3), 0..4u8)
}

fn moving() -> impl Strategy<Value = Moving> {
    let to = prop::option::weighted(0.9, any::<Index>());
    (0..NAMES.len(), to)
}

fn pushing() -> impl Strategy<Value = (Vec<Making>, Vec<Moving>)> {
    let made = prop::collection::vec(making(), 0..3);
    (made, prop::collection::vec(moving(), 1..4))
}

/// A server as it came to be while nothing was locked.
fn server() -> impl Strategy<Value = Server> {
    let commits = prop::collection::vec(making(), 1..8);
    let refs = prop::collection::vec(prop::option::weighted(0.7, any::<Index>()), NAMES.len());
    (commits, refs).prop_map(|(commits, refs)| {
        let mut server = Server::default();
        for commit in commits {
            make(&mut server, &commit);
        }
        for (name, at) in NAMES.iter().zip(refs) {
            let at = at.map(|at| at.index(server.commits.len()));
            server.refs.extend(at.map(|at| (*name, at)));
        }
        server
    })
}

fn make(server: &mut Server, (parents, version): &Making) -> usize {
    let count = server.commits.len();
    let parents: Vec<usize> = match count {
        0 => Vec::new(),
        _ => parents.iter().map(|parent| parent.index(count)).collect(),
    };
    server.commit(&parents, *version)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// By however many pushes, of however many refs: what the holder has on a branch, and what the team has, stays.
    #[test]
    fn nobody_but_the_holder_changes_an_own_version(
        mut server in server(),
        pushes in prop::collection::vec(pushing(), 1..12),
    ) {
        let begun = server.kept();
        for (made, moves) in pushes {
            for commit in &made {
                make(&mut server, commit);
            }
            let count = server.commits.len();
            let to = |(name, to): Moving| {
                // Rather what was made just now than the old ones.
                (NAMES[name], to.map(|to| count - 1 - to.index(count)))
            };
            let distinct: BTreeMap<_, _> = moves.into_iter().map(to).collect();
            let push: Push = distinct.into_iter().collect();
            if server.accepts(&push) {
                server.take(&push);
            }
            let kept = server.kept();
            for (name, version) in &begun {
                prop_assert_eq!(kept.get(name), Some(version), "{} after {:?}", name, push);
            }
        }
    }

    /// A merge of the team's version, a rebase on it, a catching up with it; a new branch and a tag of it.
    #[test]
    fn what_the_team_has_may_be_taken_by_everybody(
        mut server in server(),
        which in 1..NAMES.len(),
        on in any::<Index>(),
    ) {
        let Some(main) = server.refs.get(MAIN).copied() else { return Ok(()) };
        let name = NAMES[which];
        let history: Vec<usize> = server.ancestors([main]).into_iter().collect();
        let on = history[on.index(history.len())];
        let tip = server.refs.get(name).copied();
        if server.own(tip, Some(main)).is_some() {
            return Ok(());
        }
        let team = |server: &Server, at: usize| server.version(Some(at));
        // On the branch there is work on other paths only.
        let (caught_up, version) = (on, team(&server, on));
        let rebased = server.commit(&[on], version);
        for to in [caught_up, rebased, main] {
            prop_assert!(server.accepts(&vec![(name, Some(to))]), "{} to {}", name, to);
        }
        prop_assert!(server.accepts(&vec![(name, None)]));
        if let Some(tip) = tip {
            let version = server.version(Some(main));
            let merged = server.commit(&[tip, main], version);
            prop_assert!(server.accepts(&vec![(name, Some(merged))]), "a merge");
            let going_on = server.commit(&[tip], server.version(Some(tip)));
            prop_assert!(server.accepts(&vec![(name, Some(going_on))]), "work on other paths");
        }
    }
}

/// Two lines on one root that have merged each other, of which the team's branch goes on with `team`.
fn criss_cross(root: Version, lines: [Version; 2], team: Version) -> (Server, [usize; 2], usize) {
    let mut server = Server::default();
    let root = server.commit(&[], root);
    let lines = lines.map(|version| server.commit(&[root], version));
    let main = server.commit(&lines, team);
    server.refs.insert(MAIN, main);
    (server, lines, main)
}

#[test]
fn where_there_are_several_merge_bases_they_count_as_git_merges_them() {
    // Only one line has changed it, whichever: what was before is no version of the team's any more.
    for versions in [[2, 1], [1, 2]] {
        let (mut server, lines, main) = criss_cross(1, versions, 2);
        let stale = server.commit(&lines, 1);
        assert_eq!(server.own(Some(stale), Some(main)), Some(1));
        let fine = server.commit(&lines, 2);
        let later = server.commit(&[main], 3);
        assert_eq!(server.own(Some(fine), Some(later)), None);
    }
    // Both have, each in its own way: neither is the team's.
    let (mut server, lines, main) = criss_cross(1, [2, 3], 2);
    let resolved = server.commit(&lines, 3);
    assert_eq!(server.own(Some(resolved), Some(main)), Some(3));
}

#[test]
fn what_came_to_the_team_on_another_way_is_no_own_version() {
    let mut server = Server::default();
    let root = server.commit(&[], 1);
    let idea = server.commit(&[root], 2);
    let squashed = server.commit(&[root], 2);
    server.refs.extend([(MAIN, squashed), ("idea", idea)]);
    assert_eq!(server.own(Some(idea), Some(squashed)), None);
    assert!(server.accepts(&vec![("idea", None)]));
}

#[test]
fn what_is_merged_without_being_taken_is_lost_and_refused() {
    let mut server = Server::default();
    let root = server.commit(&[], 1);
    let idea = server.commit(&[root], 2);
    server.refs.extend([(MAIN, root), ("idea", idea)]);
    let swallowed = server.commit(&[root, idea], 1);
    assert!(!server.accepts(&vec![(MAIN, Some(swallowed))]));
    // So is the same in one push with a branch that has it for a copy.
    assert!(!server.accepts(&vec![(MAIN, Some(swallowed)), ("dev", Some(idea))]));
    let aside = server.commit(&[root], 1);
    let merged = server.commit(&[root, aside], 1);
    assert!(server.accepts(&vec![(MAIN, Some(merged))]));
}

#[test]
fn a_copy_of_a_branch_is_no_edit_and_stays_as_it_is() {
    let mut server = Server::default();
    let root = server.commit(&[], 1);
    let idea = server.commit(&[root], 2);
    server.refs.extend([(MAIN, root), ("idea", idea)]);
    let copy = vec![("dev", Some(idea))];
    assert!(server.accepts(&copy));
    server.take(&copy);
    assert!(!server.accepts(&vec![("dev", None)]));
    assert!(!server.accepts(&vec![("dev", Some(root))]));
    assert!(!server.accepts(&vec![(MAIN, Some(idea))]));
    let evil = server.commit(&[root], 3);
    assert!(!server.accepts(&vec![("old", Some(evil))]));
}

#[test]
fn what_wants_a_lock_wants_it_for_an_edit_and_not_for_what_goes() {
    let change = |differs, had_own, has_own| Change {
        differs,
        had_own,
        has_own,
    };
    for of in [Ref::Other, Ref::New { is_copy: false }] {
        assert!(is_edited(of, change(true, false, true)));
        assert!(!is_edited(of, change(true, false, false)));
    }
    assert!(is_edited(Ref::Other, change(true, true, true)));
    assert!(!is_edited(Ref::Other, change(false, true, true)));
    assert!(!is_edited(Ref::Other, change(true, true, false)));
    assert!(!is_edited(Ref::Beside, change(false, true, false)));
    assert!(is_edited(Ref::Head, change(true, false, false)));
}
