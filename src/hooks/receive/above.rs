//! The locked files of others that paths would make directories of: no tree that git writes has both, but another may.

use std::collections::{HashMap, HashSet};

use crate::rules::judge;
use crate::rules::view::{Entry, Me, View};

/// Those above some paths.
pub(super) struct Above<'v>(HashMap<Vec<u8>, &'v Entry>);

impl<'v> Above<'v> {
    /// That which a path lies below.
    pub(super) fn over(&self, path: &[u8]) -> Option<&'v Entry> {
        directories(path).find_map(|directory| self.0.get(directory).copied())
    }
}

/// Finds those above these paths.
pub(super) fn held_above<'v, 'p>(
    view: &'v View,
    me: &Me,
    paths: impl Iterator<Item = &'p Vec<u8>>,
) -> Above<'v> {
    let all: HashSet<&[u8]> = paths.flat_map(|path| directories(path)).collect();
    let held = |directory: &[u8]| {
        let (_, holder) = judge::on_mine(view, me, directory, &|_| false)?;
        Some((directory.to_vec(), holder?))
    };
    Above(all.into_iter().filter_map(held).collect())
}

/// The directories that a path lies in.
pub(super) fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/');
    slashes.map(|(at, _)| &path[..at])
}
