//! Where the histories of refs have left that of HEAD's branch: one pass over what is not in it, however many refs.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::rule::Base;
use crate::error::Result;
use crate::git::Git;

/// How deep merge bases of merge bases are looked at.
const DEEPEST: usize = 8;
/// How many commits are named on one command line.
const AT_ONCE: usize = 1000;

/// The bases of these commits with `head`; nothing where there is no history in common.
pub(super) fn bases(
    git: &Git,
    head: Option<&str>,
    tips: &BTreeSet<String>,
) -> Result<HashMap<String, Base<Option<String>>>> {
    let Some(head) = head.filter(|_| !tips.is_empty()) else {
        let none = tips.iter().map(|tip| (tip.clone(), Base::At(None)));
        return Ok(none.collect());
    };
    let excluded = format!("^{head}");
    let input: Vec<&str> = tips
        .iter()
        .map(String::as_str)
        .chain([&*excluded])
        .collect();
    let beyond = commits(git, &["--stdin"], &input)?;
    let mut known: HashMap<BTreeSet<&str>, Base<Option<String>>> = HashMap::new();
    let mut found = HashMap::new();
    for tip in tips {
        let met = met_from(&beyond, tip);
        let base = match known.get(&met) {
            Some(base) => base.clone(),
            None => of_common(git, &met)?,
        };
        known.insert(met, base.clone());
        found.insert(tip.clone(), base);
    }
    Ok(found)
}

/// Commits with their parents, as `rev-list` names them.
pub(super) fn commits(
    git: &Git,
    options: &[&str],
    input: &[&str],
) -> Result<HashMap<String, Vec<String>>> {
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

/// The first commits that a walk from a tip meets which are not beyond.
fn met_from<'a>(beyond: &'a HashMap<String, Vec<String>>, tip: &'a str) -> BTreeSet<&'a str> {
    let mut met = BTreeSet::new();
    let mut seen = HashSet::new();
    let mut next = vec![tip];
    while let Some(commit) = next.pop() {
        if !seen.insert(commit) {
            continue;
        }
        match beyond.get(commit) {
            Some(parents) => next.extend(parents.iter().map(String::as_str)),
            None => drop(met.insert(commit)),
        }
    }
    met
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
