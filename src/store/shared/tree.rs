//! Locks as they lie in a tree of objects: which file of it is a lock's, and what bears on given claims.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::commit::seq_of;
use crate::git::repo::{Node, NodeKind, Objects, Revision};
use crate::rules::error::Result;
use crate::rules::lock::{Liveness, MAX_BYTES};
use crate::rules::path::{Claim, Key, Kind, Place, RepoPath};
use crate::rules::view::{Content, Entry, LeaseLimits, View};
use crate::store::{Scope, entry_of};

/// What is known of a lock besides its record.
#[derive(Clone, Copy)]
pub(crate) enum SeenBefore<'a> {
    /// When it was first seen here, and whether its process lives.
    Here(&'a dyn Fn(&Place) -> Option<DateTime<Utc>>),
    /// Nothing, where pushes arrive: what a record says of a process there is anybody's word.
    Nothing,
    /// When it was first seen, where a server runs.
    Since(&'a dyn Fn(&Place) -> Option<DateTime<Utc>>),
}

/// What the locks are as of a tip; none where there is no tip.
pub(crate) fn view(
    objects: &Objects,
    tip: Option<&Revision>,
    scope: &Scope,
    known: SeenBefore<'_>,
    (terms, now): (LeaseLimits, DateTime<Utc>),
) -> Result<View> {
    let entries = match tip {
        Some(tip) => entries(objects, &tip.tree, scope, known)?,
        None => Vec::new(),
    };
    Ok(View::new(tip.map_or(0, seq_of), now, terms, entries))
}

/// The entries of a tree that bear on `scope`: a lock's file, and whatever else lies in a place where one should.
pub(crate) fn entries(
    objects: &Objects,
    tree: &str,
    scope: &Scope,
    known: SeenBefore<'_>,
) -> Result<Vec<Entry>> {
    let mut nodes = Vec::new();
    let mut keep = |node: Node| {
        if is_lock(&node.path) {
            nodes.push(node);
        }
        true
    };
    match scope {
        Scope::All => {
            objects.walk(tree, b"", &mut keep)?;
        }
        Scope::Places(places) => {
            let places = places.iter().map(|p| p.as_bytes().to_vec()).collect();
            for node in objects.nodes(tree, &places, &|_| false)? {
                keep(node);
            }
        }
        Scope::Claims(claims) => {
            let mut places: BTreeSet<Vec<u8>> = BTreeSet::new();
            let mut walked: BTreeSet<Vec<u8>> = BTreeSet::new();
            for claim in claims {
                places.extend(places_over(claim));
                if claim.kind == Kind::Directory {
                    let place = claim.place();
                    let below = place.as_ref().map_or(&b""[..], directory_of);
                    if walked.insert(below.to_vec()) {
                        objects.walk(tree, below, &mut keep)?;
                    }
                }
            }
            let is_walked = |place: &Vec<u8>| walked.iter().any(|w| is_below(place, w));
            places.retain(|place| !is_walked(place));
            let found = objects.nodes(tree, &places, &is_unfolded)?;
            nodes.extend(found.into_iter().filter(|node| is_lock(&node.path)));
            // Directories asked for may lie in each other.
            nodes.sort_by(|a, b| a.path.cmp(&b.path));
            nodes.dedup_by(|a, b| a.path == b.path);
        }
    }
    nodes
        .into_iter()
        .map(|node| entry(objects, node, known))
        .collect()
}

/// What lies in one place.
pub(crate) fn entry(objects: &Objects, node: Node, known: SeenBefore<'_>) -> Result<Entry> {
    let bytes = match node.kind {
        NodeKind::Odd => Err("it is not a regular file".to_owned()),
        NodeKind::File => objects
            .blob(&node.oid, MAX_BYTES)?
            .map_err(|size| format!("it is larger than {MAX_BYTES} bytes: {size}")),
    };
    let place = Place::from_bytes(node.path);
    match known {
        SeenBefore::Here(seen) => {
            let stored_at = seen(&place);
            Ok(entry_of(place, bytes, stored_at))
        }
        SeenBefore::Nothing => Ok(of_unknown_life(entry_of(place, bytes, None))),
        SeenBefore::Since(seen) => {
            let stored_at = seen(&place);
            Ok(of_unknown_life(entry_of(place, bytes, stored_at)))
        }
    }
}

fn of_unknown_life(mut entry: Entry) -> Entry {
    if let Content::Lock { life, .. } = &mut entry.content {
        *life = Liveness::Unknown;
    }
    entry
}

/// Whether a name claims to be a lock's; everything else in a tree means nothing.
pub(crate) fn is_lock(path: &[u8]) -> bool {
    path.ends_with(b".lock")
}

/// Whether no place has a component of this name, but one that folds to it may: found, it blocks what it stands beside.
fn is_unfolded(name: &[u8]) -> bool {
    let may_fold = |b: &u8| b.is_ascii_uppercase() || !b.is_ascii();
    name.iter().any(may_fold) && Key::of(name).as_bytes() != name
}

/// Whether a path of a tree is the place of some lock: what may be written into a lock directory.
pub(crate) fn is_place(path: &[u8]) -> bool {
    let is_plain =
        |c: &[u8]| !matches!(c, b"" | b"." | b"..") && c.len() <= 255 && !c.contains(&b'\\');
    let place = Place::from_bytes(path.to_vec());
    path.len() <= 4000
        && path.split(|b| *b == b'/').all(is_plain)
        && place.claim().is_some_and(|claim| {
            let is_folded = Key::of(claim.key.as_bytes()) == claim.key;
            let is_path = str::from_utf8(claim.key.as_bytes())
                .is_ok_and(|key| claim.key == Key::root() || RepoPath::new(key).is_ok());
            is_folded && is_path && claim.place().as_ref() == Some(&place)
        })
}

/// The places of everything that can hold a claim: its own as file and directory, and directories above.
fn places_over(claim: &Claim) -> impl Iterator<Item = Vec<u8>> {
    let own = [Kind::File, Kind::Directory].map(|kind| Claim {
        key: claim.key.clone(),
        kind,
    });
    let above = claim.key.ancestors().map(|key| Claim {
        key,
        kind: Kind::Directory,
    });
    own.into_iter()
        .filter(|claim| claim.key != Key::root() || claim.kind == Kind::Directory)
        .chain(above.collect::<Vec<_>>())
        .filter_map(|claim| claim.place())
        .map(|place| place.as_bytes().to_vec())
}

/// The directory that a place lies in, without the slash.
fn directory_of(place: &Place) -> &[u8] {
    let bytes = place.as_bytes();
    let end = bytes.iter().rposition(|b| *b == b'/').unwrap_or(0);
    &bytes[..end]
}

fn is_below(place: &[u8], directory: &[u8]) -> bool {
    directory.is_empty()
        || place
            .strip_prefix(directory)
            .is_some_and(|rest| rest.first() == Some(&b'/'))
}
