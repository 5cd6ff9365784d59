//! The pages that browsers are shown: a repository with its locks, its history, the list of repositories, errors, the
//! description of the interface.
//!
//! Pure: what to show comes in, HTML goes out. Each page reads well without a script; the script keeps a repository's page
//! up to date and lets people lock. All of it is in the binary, asks nobody else for anything, and lives under a policy of
//! `default-src 'none'` with scripts, styles and connections of its own origin only.
//!
//! Whatever users named (paths, people, reasons, repositories) is hostile: `maud` escapes it, [`words::visible`] takes
//! away its power over the direction of text, and [`links`] encodes it in addresses.

use chrono::{DateTime, Utc};

use crate::event::Event;
use crate::lock::is_or_below;
use crate::path::{Key, Kind};
use crate::server::users::Role;
use crate::view::{Entry, Terms};

mod folder;
mod history;
mod interface;
mod layout;
mod links;
mod locks;
mod plain;
mod repository;
#[cfg(test)]
mod tests;
mod words;

pub use history::history;
pub use interface::api;
pub use plain::{message, repositories};
pub use repository::repository;

/// The style sheet, to be served at `/-/page.css`.
pub const STYLE: &str = include_str!("page/page.css");
/// The script, to be served at `/-/page.js` as `text/javascript`.
pub const SCRIPT: &str = concat!(
    include_str!("page/words.js"),
    "\n",
    include_str!("page/page.js")
);

/// Who looks at a page.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// The owner id that their locks get.
    pub id: &'a str,
    /// What people are shown.
    pub shown: &'a str,
    /// What they may do.
    pub role: Role,
}

/// Which locks a page shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Words to be found in path, owner or reason; empty for any. The parameter `q`.
    pub search: &'a str,
    /// Whether only the viewer's own, those of their agents too. The parameter `mine=true`.
    pub mine: bool,
    /// The folder; empty for all. The parameter `under`.
    pub under: &'a str,
    /// Where the page begins, if it is not the first one. The parameter `cursor`.
    pub cursor: Option<&'a str>,
}

impl Filter<'_> {
    /// Whether search and `mine` let an entry through; `under` is the store's to answer.
    ///
    /// The script judges events by the same rule.
    #[must_use]
    pub fn lets_through(&self, entry: &Entry, viewer: &Viewer<'_>) -> bool {
        let lock = entry.lock();
        let is_mine = || lock.is_some_and(|lock| is_or_below(&lock.owner.id, viewer.id));
        if self.mine && !is_mine() {
            return false;
        }
        if self.search.is_empty() {
            return true;
        }
        let path = entry.shown_path();
        let words = lock.map_or([path.as_str(), "", "", ""], |lock| {
            let reason = lock.reason.as_deref().unwrap_or_default();
            [&path, &lock.owner.name, &lock.owner.id, reason]
        });
        let text = Key::of(words.join("\n").as_bytes());
        let sought = Key::of(self.search.trim().as_bytes());
        let (text, sought) = (text.as_bytes(), sought.as_bytes());
        sought.is_empty() || text.windows(sought.len()).any(|part| part == sought)
    }
}

/// A file or folder in the folder shown.
#[derive(Clone, Debug)]
pub struct FolderItem<'a> {
    /// Its own name.
    pub name: String,
    /// Its path from the repository's root.
    pub path: String,
    /// A file, or a folder.
    pub kind: Kind,
    /// The lock on itself, if there is one.
    pub lock: Option<&'a Entry>,
    /// How many locks lie below it.
    pub locked_below: usize,
}

/// What the page of a repository shows.
#[derive(Clone, Copy, Debug)]
pub struct RepositoryPage<'a> {
    /// The repository's path below the root, without `.git`.
    pub repo: &'a str,
    /// Who looks.
    pub viewer: &'a Viewer<'a>,
    /// The locks of this page, filtered and sorted by key.
    pub locks: &'a [&'a Entry],
    /// What of the policy bears on expiry.
    pub terms: &'a Terms,
    /// The moment.
    pub now: DateTime<Utc>,
    /// The number of the last change.
    pub seq: u64,
    /// How many locks the filter lets through, on all pages.
    pub total: usize,
    /// What was asked for.
    pub filter: Filter<'a>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<&'a str>,
    /// What lies in the folder that the filter names, sorted as it is to be shown.
    pub folder: &'a [FolderItem<'a>],
}

/// What the page of a history shows.
#[derive(Clone, Copy, Debug)]
pub struct HistoryPage<'a> {
    /// The repository's path below the root, without `.git`.
    pub repo: &'a str,
    /// Who looks.
    pub viewer: &'a Viewer<'a>,
    /// The path whose history it is; `None` for all of them.
    pub path: Option<&'a str>,
    /// What happened, newest first.
    pub events: &'a [Event],
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<&'a str>,
}
