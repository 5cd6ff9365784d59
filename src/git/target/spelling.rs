//! Paths of the index by their keys: the one spelling that counts.

use std::collections::HashMap;

use crate::git::command::split_nul;
use crate::rules::path::{Key, Kind};

/// The spelling in a list of the index's paths that has this key: a file's own, or that of a directory above files.
pub(super) fn find_by_key(paths: &[u8], wanted: &Key) -> Option<(String, Kind)> {
    split_nul(paths).find_map(|path| {
        spellings(path)
            .find(|(key, _)| key == wanted)
            .map(|(_, s)| s)
    })
}

/// Every path in a list of the index's paths, and every directory above one.
pub(super) fn by_key(paths: &[u8]) -> HashMap<Key, (String, Kind)> {
    let mut index = HashMap::new();
    for path in split_nul(paths) {
        for (key, spelling) in spellings(path) {
            if index.contains_key(&key) {
                break;
            }
            index.insert(key, spelling);
        }
    }
    index
}

/// A file's path and the directories above it, nearest first, with their keys. Not UTF-8: cannot be locked, left out.
fn spellings(path: &[u8]) -> impl Iterator<Item = (Key, (String, Kind))> + '_ {
    let text = std::str::from_utf8(path).ok();
    let mut next = text.map(|text| (text, Kind::File));
    std::iter::from_fn(move || {
        let (spelling, kind) = next?;
        next = spelling
            .rfind('/')
            .map(|at| (&spelling[..at], Kind::Directory));
        Some((Key::of(spelling.as_bytes()), (spelling.to_owned(), kind)))
    })
}
