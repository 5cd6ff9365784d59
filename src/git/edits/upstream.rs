//! Work that is not out yet: what the working tree and its branch have and their upstream does not.

use std::collections::{BTreeSet, HashSet};

use super::versions::unpushed_files;
use super::{NAMES, changed_files, paths};
use crate::git::repo::Repo;
use crate::rules::error::{Error, Result};
use crate::rules::path::Key;

/// The files, by their keys, on which there is work that the branch's upstream does not have: changed in the working
/// tree, or by commits of the branch, and not the same there. Without an upstream every branch of `remote` counts, and
/// without a remote only what is not committed.
pub(crate) fn work_in_progress(repo: &Repo, remote: Option<&str>) -> Result<HashSet<Key>> {
    let mut found: HashSet<Key> = changed_files(repo)?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    match (ahead_of_upstream(repo)?, remote) {
        (Some(ahead), _) => found.extend(ahead.iter().map(|path| Key::of(path))),
        (None, Some(remote)) => found.extend(unpushed_files(repo, remote)?),
        (None, None) => {}
    }
    Ok(found)
}

/// What commits of the branch changed and its upstream has otherwise; `None` where it has no upstream. What came there by
/// another way (squashed, picked) is the same; what others changed there meanwhile is not ours.
fn ahead_of_upstream(repo: &Repo) -> Result<Option<BTreeSet<Vec<u8>>>> {
    let differing = |range: &str| -> Result<BTreeSet<Vec<u8>>> {
        let arguments = [&["diff", "--no-ext-diff"], &NAMES[..], &[range, "--"]].concat();
        Ok(paths(&repo.git().output(&arguments)?))
    };
    if repo.commit_of("@{upstream}")?.is_none() || !repo.has_head()? {
        return Ok(None);
    }
    let differs = differing("@{upstream}..HEAD")?;
    match differing("@{upstream}...HEAD") {
        Ok(ours) => Ok(Some(ours.intersection(&differs).cloned().collect())),
        // Without a common ancestor, in a shallow clone say, nobody can tell whose the difference is.
        Err(error @ Error::Git { .. }) => {
            tracing::debug!(%error, "there is no merge base");
            Ok(Some(differs))
        }
        Err(error) => Err(error),
    }
}
