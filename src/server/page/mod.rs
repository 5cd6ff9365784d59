//! The pages that browsers are shown: a repository with its locks, its history, the list of repositories, errors, the
//! description of the interface.
//!
//! Pure: what to show comes in, HTML goes out. Each page reads well without a script; the script keeps a repository's page
//! up to date and lets people lock. All of it is in the binary, asks nobody else for anything, and lives under a policy of
//! `default-src 'none'` with scripts, styles and connections of its own origin only.
//!
//! Whatever users named (paths, people, reasons, repositories) is hostile: `maud` escapes it, `messages::visible` takes
//! away its power over the direction of text, and `links` encodes it in addresses.

use chrono::{DateTime, Utc};

use crate::rules::event::Event;
use crate::rules::path::Kind;
use crate::rules::view::{Entry, LeaseLimits};
use crate::server::users::Role;

mod folder;
mod history;
mod interface;
mod layout;
mod links;
mod locks;
mod messages;
mod plain;
mod repository;
#[cfg(test)]
mod tests;

pub(crate) use history::history;
pub(crate) use interface::api;
pub(crate) use plain::{message, repositories};
pub(crate) use repository::repository;

/// The style sheet, to be served at `/-/page.css`.
pub(crate) const STYLE: &str = include_str!("page.css");
/// The script, to be served at `/-/page.js` as `text/javascript`.
pub(crate) const SCRIPT: &str = concat!(include_str!("messages.js"), "\n", include_str!("page.js"));

/// Who looks at a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer<'a> {
    /// The owner id that their locks get.
    pub(crate) id: &'a str,
    /// What people are shown.
    pub(crate) shown: &'a str,
    /// What they may do.
    pub(crate) role: Role,
}

/// Who is signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person<'a> {
    /// The owner id that their locks get.
    pub(crate) id: &'a str,
    /// What people are shown.
    pub(crate) shown: &'a str,
    /// What they may do in the repository that is shown, if one is.
    pub(crate) role: Option<Role>,
}

impl<'a> Viewer<'a> {
    fn person(&self) -> Person<'a> {
        Person {
            id: self.id,
            shown: self.shown,
            role: Some(self.role),
        }
    }
}

/// Which locks a page shows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter<'a> {
    /// Words to be found in path, owner or reason; empty for any. The parameter `q`.
    pub(crate) search: &'a str,
    /// Whether only the viewer's own, those of their agents too. The parameter `mine=true`.
    pub(crate) mine: bool,
    /// The folder; empty for all. The parameter `under`.
    pub(crate) under: &'a str,
    /// Where the page begins, if it is not the first one. The parameter `cursor`.
    pub(crate) cursor: Option<&'a str>,
}

/// A file or folder in the folder shown.
#[derive(Clone, Debug)]
pub(crate) struct FolderItem<'a> {
    /// Its own name.
    pub(crate) name: String,
    /// Its path from the repository's root.
    pub(crate) path: String,
    /// A file, or a folder.
    pub(crate) kind: Kind,
    /// The lock on itself, if there is one.
    pub(crate) lock: Option<&'a Entry>,
    /// How many locks lie below it.
    pub(crate) locked_below: usize,
}

/// What the page of a repository shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepositoryPage<'a> {
    /// The repository's path below the root, without `.git`.
    pub(crate) repo: &'a str,
    /// Who looks.
    pub(crate) viewer: &'a Viewer<'a>,
    /// The locks of this page, filtered and sorted by key.
    pub(crate) locks: &'a [&'a Entry],
    /// What of the policy bears on expiry.
    pub(crate) terms: &'a LeaseLimits,
    /// The moment.
    pub(crate) now: DateTime<Utc>,
    /// The number of the last change.
    pub(crate) seq: u64,
    /// How many locks the filter lets through, on all pages.
    pub(crate) total: usize,
    /// What was asked for.
    pub(crate) filter: Filter<'a>,
    /// Where the next page begins, if there is one.
    pub(crate) next_cursor: Option<&'a str>,
    /// What lies in the folder that the filter names, sorted as it is to be shown.
    pub(crate) folder: &'a [FolderItem<'a>],
}

/// What the page of a history shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryPage<'a> {
    /// The repository's path below the root, without `.git`.
    pub(crate) repo: &'a str,
    /// Who looks.
    pub(crate) viewer: &'a Viewer<'a>,
    /// The path whose history it is; `None` for all of them.
    pub(crate) path: Option<&'a str>,
    /// What happened, newest first.
    pub(crate) events: &'a [Event],
    /// Where the next page begins, if there is one.
    pub(crate) next_cursor: Option<&'a str>,
}
