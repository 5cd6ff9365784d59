//! The refs of a push: what they really name, before and after.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::difference::resolve;
use super::graph::{self, Bases};
use super::rule::Base;
use crate::git::command::Git;
use crate::git::edits::RefUpdate;
use crate::rules::error::{Error, Result};

/// The tree without entries, of either hash: git knows it wherever it is asked for.
const EMPTY: [(usize, &str); 2] = [
    (40, "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    (
        64,
        "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
    ),
];

/// The tree without entries, of the hash of an object.
pub(super) fn empty_tree(like: &str) -> String {
    let mut of_length = EMPTY.iter().filter(|(length, _)| *length == like.len());
    of_length.next().unwrap_or(&EMPTY[0]).1.to_owned()
}

/// Every ref that is there before the push.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// What each names.
    objects: HashMap<String, String>,
    /// What other ref each symbolic one stands for.
    symbolic: HashMap<String, String>,
}

impl Listed {
    pub(super) fn of(git: &Git) -> Result<Self> {
        let format = "--format=%(refname) %(objectname) %(symref)";
        let output = git.output(&["for-each-ref", format])?;
        let mut listed = Listed::default();
        for line in String::from_utf8_lossy(&output).lines() {
            let mut words = line.split(' ').map(str::to_owned);
            let (Some(name), Some(object)) = (words.next(), words.next()) else {
                continue;
            };
            let symbolic = words.next().filter(|target| !target.is_empty());
            let _ = match symbolic {
                Some(target) => listed.symbolic.insert(name, target),
                None => listed.objects.insert(name, object),
            };
        }
        Ok(listed)
    }

    /// The updates, each of the ref that it really changes: git follows symbolic ones.
    pub(super) fn resolved(&self, updates: &[RefUpdate]) -> Vec<RefUpdate> {
        let resolve = |update: &RefUpdate| {
            let target = self.symbolic.get(&update.remote_ref);
            RefUpdate {
                remote_ref: target.unwrap_or(&update.remote_ref).clone(),
                ..update.clone()
            }
        };
        updates.iter().map(resolve).collect()
    }

    /// A ref and what it names, unless it is a symbolic one.
    pub(super) fn named(&self, name: &str) -> Option<(&str, &str)> {
        let (name, object) = self.objects.get_key_value(name)?;
        Some((name, object))
    }

    /// What the refs name whose names begin so.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.objects.iter();
        all.map(|(name, object)| (name.as_str(), object.as_str()))
            .filter(move |(name, _)| name.starts_with(prefix))
    }
}

/// What a ref names: its own commit or tree, through tags.
#[derive(Clone, Debug)]
pub(super) struct Tip {
    /// The commit; `None` for a tree.
    pub(super) commit: Option<String>,
    /// Its tree; the one without entries for a blob.
    pub(super) tree: String,
}

/// What objects name: commits, trees, or nothing that has paths.
pub(super) fn tips(git: &Git, objects: &[&str]) -> Result<Vec<Tip>> {
    let kinds = ["commit", "tree", "blob"];
    let of_kinds = |object: &&str| kinds.map(|kind| format!("{object}^{{{kind}}}"));
    let names: Vec<String> = objects.iter().flat_map(of_kinds).collect();
    let found = resolve(git, &names)?;
    let tip = |(object, found): (&&str, &[Option<String>])| match found {
        [commit, Some(tree), _] => Ok(Tip {
            commit: commit.clone(),
            tree: tree.clone(),
        }),
        [.., Some(_)] => Ok(Tip {
            commit: None,
            tree: empty_tree(object),
        }),
        _ => Err(is_missing(object)),
    };
    objects
        .iter()
        .zip(found.chunks(kinds.len()))
        .map(tip)
        .collect()
}

/// What is not here cannot be judged.
fn is_missing(object: &str) -> Error {
    Error::Corrupt {
        path: "objects".into(),
        problem: format!("`{object}` is not in this repository: the push cannot be checked"),
    }
}

/// The bases of tips with HEAD's branch, by their trees: that of a tip without a commit, and of one without any history
/// in common, is the tree without entries.
pub(super) fn bases<'a>(
    git: &Git,
    head: Option<&str>,
    tips: impl Iterator<Item = &'a Tip>,
    empty: &str,
) -> Result<Bases<String>> {
    let commits: BTreeSet<String> = tips.filter_map(|tip| tip.commit.clone()).collect();
    let bases = graph::bases(git, head, &commits)?;
    let met: HashSet<&String> = bases
        .of
        .values()
        .flat_map(Base::commits)
        .flatten()
        .collect();
    let met: Vec<&String> = met.into_iter().collect();
    let names: Vec<String> = met
        .iter()
        .map(|commit| format!("{commit}^{{tree}}"))
        .collect();
    let mut trees = HashMap::new();
    for (commit, tree) in met.into_iter().zip(resolve(git, &names)?) {
        trees.insert(commit.clone(), tree.ok_or_else(|| is_missing(commit))?);
    }
    let tree = |commit: &Option<String>| {
        let tree = commit.as_ref().and_then(|commit| trees.get(commit));
        tree.map_or_else(|| empty.to_owned(), String::clone)
    };
    let of_trees = bases.of.iter();
    let of_trees = of_trees.map(|(tip, base)| (tip.clone(), base.map(&tree)));
    Ok(Bases {
        of: of_trees.collect(),
        below: bases.below,
    })
}
