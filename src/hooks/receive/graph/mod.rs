//! Where the histories of refs have left that of HEAD's branch: one pass over what is not in it, however many refs.

use std::collections::{BTreeSet, HashMap};

use super::rule::Base;
use crate::git::command::Git;
use crate::rules::error::Result;

/// How deep merge bases of merge bases are looked at.
const DEEPEST: usize = 8;
/// How many commits are named on one command line.
const AT_ONCE: usize = 1000;
/// How many tips are followed in one walk: each is a bit of a number.
const TOGETHER: usize = u64::BITS as usize;

/// Where commits lie beyond HEAD's branch.
#[derive(Debug, Default)]
pub(super) struct Bases<C> {
    /// The base of each.
    pub(super) of: HashMap<String, Base<C>>,
    /// The next of them that each lies on by first parents, where it lies on one.
    pub(super) below: HashMap<String, String>,
}

/// The bases of these commits with `head`; nothing where there is no history in common.
pub(super) fn bases(
    git: &Git,
    head: Option<&str>,
    tips: &BTreeSet<String>,
) -> Result<Bases<Option<String>>> {
    let Some(head) = head.filter(|_| !tips.is_empty()) else {
        let none = tips.iter().map(|tip| (tip.clone(), Base::At(None)));
        return Ok(Bases {
            of: none.collect(),
            below: HashMap::new(),
        });
    };
    let excluded = format!("^{head}");
    let input: Vec<&str> = tips
        .iter()
        .map(String::as_str)
        .chain([&*excluded])
        .collect();
    let beyond = Beyond::of(listed(git, &["--topo-order", "--stdin"], &input)?, tips);
    let mut known: HashMap<BTreeSet<&str>, Base<Option<String>>> = HashMap::new();
    let mut found = HashMap::new();
    let all: Vec<&String> = tips.iter().collect();
    for some in all.chunks(TOGETHER) {
        for (tip, met) in some.iter().zip(beyond.met_from(some)) {
            let base = match known.get(&met) {
                Some(base) => base.clone(),
                None => of_common(git, &met)?,
            };
            known.insert(met, base.clone());
            found.insert((*tip).clone(), base);
        }
    }
    Ok(Bases {
        of: found,
        below: beyond.below(tips),
    })
}

/// Commits with their parents, as `rev-list` names them.
pub(super) fn commits(
    git: &Git,
    options: &[&str],
    input: &[&str],
) -> Result<HashMap<String, Vec<String>>> {
    Ok(listed(git, options, input)?.into_iter().collect())
}

/// The same, in its order.
fn listed(git: &Git, options: &[&str], input: &[&str]) -> Result<Vec<(String, Vec<String>)>> {
    let mut list = vec!["rev-list", "--parents"];
    list.extend(options);
    let output = git.output_with_input(&list, (input.join("\n") + "\n").into_bytes())?;
    let text = String::from_utf8_lossy(&output);
    let parse = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some((words.next()?, words.collect()))
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// What refs have beyond HEAD's branch, and the commits of that branch which it lies on. Commits are numbers: first those
/// beyond, each before its parents.
struct Beyond {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    /// Of those beyond.
    parents: Vec<Vec<usize>>,
}

impl Beyond {
    /// `commits`: those beyond, each before its parents.
    fn of(commits: Vec<(String, Vec<String>)>, tips: &BTreeSet<String>) -> Self {
        let mut names: Vec<String> = Vec::with_capacity(commits.len());
        let mut numbers = HashMap::with_capacity(commits.len());
        let mut number = |name: String| {
            *numbers.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                names.len() - 1
            })
        };
        let (beyond, parents): (Vec<_>, Vec<_>) = commits.into_iter().unzip();
        for commit in beyond {
            number(commit);
        }
        let numbered = |parents: Vec<String>| parents.into_iter().map(&mut number).collect();
        let parents = parents.into_iter().map(numbered).collect();
        for tip in tips {
            number(tip.clone());
        }
        Beyond {
            names,
            numbers,
            parents,
        }
    }

    /// The next tip that each lies on by first parents.
    fn below(&self, tips: &BTreeSet<String>) -> HashMap<String, String> {
        let mut below = HashMap::new();
        // By commit: itself where it is a tip, or else the next one that it lies on.
        let mut next: Vec<Option<&str>> = vec![None; self.parents.len()];
        for (commit, parents) in self.parents.iter().enumerate().rev() {
            let under = parents.first().and_then(|parent| *next.get(*parent)?);
            let name = self.names[commit].as_str();
            let is_tip = tips.contains(name);
            if let Some(under) = under.filter(|_| is_tip) {
                below.insert(name.to_owned(), under.to_owned());
            }
            next[commit] = if is_tip { Some(name) } else { under };
        }
        below
    }

    /// The first commits that walks from tips meet which are not beyond: one walk for all of them, of which there may be
    /// [`TOGETHER`].
    fn met_from(&self, tips: &[&String]) -> Vec<BTreeSet<&str>> {
        let mut reached = vec![0_u64; self.names.len()];
        for (bit, tip) in tips.iter().enumerate() {
            reached[self.numbers[*tip]] |= 1 << bit;
        }
        for (commit, parents) in self.parents.iter().enumerate() {
            for parent in parents {
                reached[*parent] |= reached[commit];
            }
        }
        let mut met = vec![BTreeSet::new(); tips.len()];
        let others = self.names.iter().zip(&reached).skip(self.parents.len());
        for (name, by) in others.filter(|(_, by)| **by != 0) {
            for (bit, met) in met.iter_mut().enumerate() {
                if by & (1 << bit) != 0 {
                    met.insert(name.as_str());
                }
            }
        }
        met
    }
}

/// The base, by some of the common ancestors, among which are the best.
fn of_common(git: &Git, common: &BTreeSet<&str>) -> Result<Base<Option<String>>> {
    let common: Vec<&str> = common.iter().copied().collect();
    let mut best: Vec<String> = Vec::new();
    for some in common.chunks(AT_ONCE) {
        best.extend(some.iter().map(|&commit| commit.to_owned()));
        if best.len() > 1 {
            let arguments = [
                &["merge-base".to_owned(), "--independent".to_owned()],
                &*best,
            ];
            best = lines(&git.output(&arguments.concat())?);
        }
    }
    merged(git, &best, 0)
}

/// Best common ancestors as one base.
fn merged(git: &Git, best: &[String], depth: usize) -> Result<Base<Option<String>>> {
    let Some((first, rest)) = best.split_first().filter(|_| depth <= DEEPEST) else {
        return Ok(Base::At(None));
    };
    let mut base = Base::At(Some(first.clone()));
    for (n, other) in rest.iter().enumerate() {
        let mut arguments = vec!["merge-base", "--all", other.as_str()];
        arguments.extend(best[..=n].iter().map(String::as_str));
        let found = git.run(&arguments)?;
        // Exit code 1 means that there is none.
        let below = match found.status.code() {
            Some(0 | 1) => lines(&found.stdout),
            _ => lines(&git.output(&arguments)?),
        };
        base = Base::Merged {
            one: Box::new(base),
            other: Box::new(Base::At(Some(other.clone()))),
            onto: Box::new(merged(git, &below, depth + 1)?),
        };
    }
    Ok(base)
}

fn lines(output: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(output);
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
