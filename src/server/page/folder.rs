//! The folder beside the locks: where one is, what lies in it, what of that is locked.

use maud::{Markup, html};

use super::layout::{LOCK, icon, kind_icon};
use super::messages::{locked_by, visible};
use super::{Filter, FolderItem, RepositoryPage, links};
use crate::rules::path::Kind;
use crate::server::users::Role;

/// The folder as a list of links.
pub(super) fn folder(page: &RepositoryPage<'_>) -> Markup {
    html! {
        details.folders open {
            summary { "Folders" }
            div #folder {
                (trail(page))
                nav aria-label="Folder" {
                    @if page.folder.is_empty() { p.quiet { "Nothing is in this folder." } }
                    ul { @for shown in page.folder { (item(page, shown)) } }
                }
            }
        }
    }
}

fn link_to(page: &RepositoryPage<'_>, under: &str) -> String {
    let filter = Filter {
        under,
        cursor: None,
        ..page.filter
    };
    links::filtered(page.repo, &filter)
}

/// The folders above, down to the one shown.
fn trail(page: &RepositoryPage<'_>) -> Markup {
    let under = page.filter.under.trim_end_matches('/');
    let ends = under.match_indices('/').map(|(at, _)| at);
    let ends = ends.chain((!under.is_empty()).then_some(under.len()));
    let above: Vec<&str> = ends.map(|end| &under[..end]).collect();
    html! {
        nav.trail aria-label="Path to this folder" {
            ol {
                li { (step(page, "", "all folders", under.is_empty())) }
                @for path in above {
                    @let name = path.rsplit('/').next().unwrap_or(path);
                    li { (step(page, path, name, path == under)) }
                }
            }
        }
    }
}

fn step(page: &RepositoryPage<'_>, path: &str, name: &str, is_here: bool) -> Markup {
    html! {
        a href=(link_to(page, path)) aria-current=[is_here.then_some("page")] { bdi { (visible(name)) } }
    }
}

fn item(page: &RepositoryPage<'_>, item: &FolderItem<'_>) -> Markup {
    let held = item.lock.map(locked_by);
    html! {
        li data-path=(item.path) data-kind=(item.kind.as_str()) data-below=(item.locked_below)
            data-locked=[held.is_some().then_some("")] title=[held.as_deref()]
        {
            (kind_icon())
            @if item.kind == Kind::Directory {
                a href=(link_to(page, &item.path)) { bdi { (visible(&item.name)) } }
            } @else {
                bdi { (visible(&item.name)) }
            }
            span.held { (icon(LOCK)) span.spoken { (held.as_deref().unwrap_or_default()) } }
            span.below { span.count { (item.locked_below) } span.spoken { " locked" } }
            @if page.viewer.role >= Role::Editor {
                button.scripted type="button" data-action="lock"
                    aria-label=(format!("Lock {}", visible(&item.path))) { "Lock" }
            }
        }
    }
}
