//! What the user's repository says of a remote and our own, which includes its `config`, does not: `config.worktree`, and
//! files included under a condition that only the user's repository meets.

use std::collections::HashMap;

use crate::git::command::{Git, split_nul};
use crate::rules::error::Result;

/// What bears on how a remote is reached: the beginnings of keys, in lower case.
const SECTIONS: [&str; 10] = [
    "remote.",
    "url.",
    "credential.",
    "http.",
    "https.",
    "ssh.",
    "protocol.",
    "core.sshcommand",
    "core.gitproxy",
    "core.askpass",
];

/// The settings that `theirs` has and `ours` has not, in their order, as keys and values.
pub(super) fn missing(theirs: &Git, ours: &Git, store: &str) -> Result<Vec<(String, String)>> {
    let list = ["config", "--null", "--list"];
    let own = [&[store][..], &list].concat();
    let (theirs, ours) = (theirs.start(&list)?, ours.start(&own)?);
    Ok(difference(&theirs.finish()?, &ours.finish()?))
}

/// What the first of two listings has more often than the second.
fn difference(theirs: &[u8], ours: &[u8]) -> Vec<(String, String)> {
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    for item in split_nul(ours) {
        *known.entry(item).or_default() += 1;
    }
    let mut is_new = |item: &&[u8]| match known.get_mut(*item) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let items = split_nul(theirs).filter(&mut is_new);
    items
        .filter_map(|item| {
            let text = String::from_utf8_lossy(item);
            // A key without a value is git's short form of "true".
            let (key, value) = text.split_once('\n').unwrap_or((&text, "true"));
            let bears = SECTIONS.iter().any(|section| key.starts_with(section));
            bears.then(|| (key.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_once_more_is_missing_and_the_rest_is_not() {
        let theirs = b"remote.o.url\na\0user.name\nx\0remote.o.url\nb\0http.u.proxy\0";
        let ours = b"remote.o.url\na\0core.bare\ntrue\0";
        let pairs = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            difference(theirs, ours),
            [pairs("remote.o.url", "b"), pairs("http.u.proxy", "true")]
        );
        assert_eq!(difference(ours, theirs), []);
    }
}
