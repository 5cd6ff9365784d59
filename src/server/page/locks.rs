//! The table of locks.
//!
//! A row carries its lock as the interface's JSON in `data-lock`, and the empty row of the `template` says in
//! `data-whose` for whose locks a button is meant: the script makes new rows from it without knowing the rules of roles.

use maud::{Markup, html};

use super::layout::kind_icon;
use super::messages::{self, Badge, Whose, visible};
use super::{RepositoryPage, links};
use crate::rules::lock::{Lock, Owner};
use crate::rules::report::{NoTrees, Viewpoint};
use crate::rules::spelling::Here;
use crate::rules::view::{Content, Entry, Me};
use crate::server::users::Role;

/// The table, and the template of its rows.
pub(super) fn table(page: &RepositoryPage<'_>) -> Markup {
    let me = me(page);
    let viewpoint = Viewpoint {
        me: &me,
        now: page.now,
        terms: page.terms,
        here: Here::root(),
        trees: &NoTrees,
    };
    html! {
        div #locks-region role="region" aria-labelledby="locks-caption" tabindex="0" {
            table #locks role="table" {
                caption #locks-caption { "Locks in " bdi { (visible(page.repo)) } ", by path" }
                thead role="rowgroup" { (heading()) }
                tbody role="rowgroup" {
                    @for entry in page.locks { (row(page, &viewpoint, entry)) }
                }
            }
        }
        template #row { (empty_row(page)) }
    }
}

/// The viewer as a holder: a browser has no workspace.
fn me(page: &RepositoryPage<'_>) -> Me {
    Me {
        owner: Owner {
            id: page.viewer.id.to_owned(),
            name: page.viewer.shown.to_owned(),
            host: String::new(),
            workspace: None,
        },
        inside: Vec::new(),
    }
}

fn heading() -> Markup {
    html! {
        tr role="row" {
            @for title in ["Path", "Holder", "Since", "Until", "Reason", "Actions"] {
                th scope="col" role="columnheader" { (title) }
            }
        }
    }
}

fn row(page: &RepositoryPage<'_>, viewpoint: &Viewpoint<'_>, entry: &Entry) -> Markup {
    let badge = Badge::of(entry, page.now, page.terms);
    let whose = Whose::of(entry, page.viewer);
    let path = entry.shown_path();
    let json = serde_json::json!(viewpoint.entry(entry)).to_string();
    html! {
        tr role="row" data-path=(path) data-kind=(entry.claim.kind.as_str())
            data-lease=[entry.lock().map(|lock| lock.lease.as_str())] data-whose=(whose.as_str())
            data-badge=[badge.map(Badge::as_str)] data-bound=[entry.is_bound_to_living().then_some("")]
            data-lock=(json)
        {
            th.path scope="row" role="rowheader" { (kind_icon()) (messages::path(&messages::path_of(entry))) }
            @match &entry.content {
                Content::Lock { lock, .. } => (facts(page, entry, lock, badge)),
                Content::Unreadable { problem } => (unreadable(problem)),
            }
            td.actions role="cell" {
                (history_link(page, Some(entry)))
                @for action in Action::ALL {
                    @if action.is_for(page.viewer.role, whose) { (action.button(&messages::path_of(entry), None)) }
                }
            }
        }
    }
}

/// The cells of a lock between path and actions.
fn facts(page: &RepositoryPage<'_>, entry: &Entry, lock: &Lock, badge: Option<Badge>) -> Markup {
    let owner = &lock.owner;
    let details = owner_details(owner);
    html! {
        td.holder role="cell" data-label="Holder" {
            bdi.who { (messages::name_of(owner)) } " " span.tag.you { "you" } " "
            bdi.details { (details) }
        }
        td.since role="cell" data-label="Since" { (messages::moment("ago", lock.acquired_at)) }
        td.until role="cell" data-label="Until" {
            span.ends {
                @match entry.ends_at(page.now, page.terms) {
                    Some(end) => (messages::moment("until", end)),
                    None => "unlocked",
                }
            }
            " " span.badge { (badge.map_or("", Badge::label)) }
        }
        td.reason role="cell" data-label="Reason" {
            bdi { (visible(lock.reason.as_deref().unwrap_or_default())) }
        }
    }
}

/// The id, where it is not the name, and the host.
fn owner_details(owner: &Owner) -> String {
    let id = (owner.id != owner.name && !owner.name.is_empty()).then_some(owner.id.as_str());
    let host = (!owner.host.is_empty()).then(|| format!("on {}", owner.host));
    let parts: Vec<&str> = id.into_iter().chain(host.as_deref()).collect();
    visible(&parts.join(" ")).into_owned()
}

fn unreadable(problem: &str) -> Markup {
    html! {
        td.holder role="cell" data-label="Holder" { bdi.who { "unknown holder" } }
        td.since role="cell" data-label="Since" { "unknown" }
        td.until role="cell" data-label="Until" {
            span.ends { "unknown" } " " span.badge { (Badge::Unreadable.label()) }
        }
        td.reason role="cell" data-label="Reason" { bdi { (visible(problem)) } }
    }
}

/// The row that the script fills in.
fn empty_row(page: &RepositoryPage<'_>) -> Markup {
    html! {
        tr role="row" {
            th.path scope="row" role="rowheader" { (kind_icon()) (messages::path("")) }
            td.holder role="cell" data-label="Holder" {
                bdi.who {} " " span.tag.you { "you" } " " bdi.details {}
            }
            td.since role="cell" data-label="Since" {}
            td.until role="cell" data-label="Until" { span.ends {} " " span.badge {} }
            td.reason role="cell" data-label="Reason" { bdi {} }
            td.actions role="cell" {
                (history_link(page, None))
                @for action in Action::ALL {
                    @let whose = action.meant_for(page.viewer.role);
                    @if !whose.is_empty() { (action.button("", Some(&whose))) }
                }
            }
        }
    }
}

fn history_link(page: &RepositoryPage<'_>, entry: Option<&Entry>) -> Markup {
    let label = entry.map(|entry| format!("History of {}", messages::path_of(entry)));
    let path = entry.map(Entry::shown_path);
    html! {
        a.button data-action="history" href=(links::history(page.repo, path.as_deref(), None)) aria-label=[label] { "History" }
    }
}

/// What a button does to another's or one's own lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Gives back.
    Unlock,
    /// Replaces the lock by the viewer's.
    TakeOver,
    /// Removes another's lock.
    ForceUnlock,
}

impl Action {
    const ALL: [Action; 3] = [Action::Unlock, Action::TakeOver, Action::ForceUnlock];

    /// Whether somebody in that role is offered it for such a lock.
    pub(super) fn is_for(self, role: Role, whose: Whose) -> bool {
        match (self, whose) {
            (_, Whose::Nobody) => false,
            (Action::Unlock, _) => role >= Role::Editor && whose == Whose::Mine,
            (_, Whose::Mine) => false,
            (Action::TakeOver, Whose::Elsewhere) => role >= Role::Editor,
            (Action::TakeOver | Action::ForceUnlock, _) => role >= Role::Admin,
        }
    }

    /// For whose locks somebody in that role is offered it, as words.
    fn meant_for(self, role: Role) -> String {
        let all = [Whose::Mine, Whose::Elsewhere, Whose::Other];
        let meant = all.into_iter().filter(|whose| self.is_for(role, *whose));
        meant.map(Whose::as_str).collect::<Vec<_>>().join(" ")
    }

    fn button(self, path: &str, whose: Option<&str>) -> Markup {
        let (name, label) = match self {
            Action::Unlock => ("unlock", "Unlock"),
            Action::TakeOver => ("take-over", "Take over"),
            Action::ForceUnlock => ("force-unlock", "Force unlock"),
        };
        html! {
            button.scripted.danger[self == Action::ForceUnlock] type="button" data-action=(name) data-whose=[whose]
                aria-label=(format!("{label} {path}")) { (label) }
        }
    }
}
