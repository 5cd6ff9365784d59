//! The page of one repository.

use maud::{Markup, html};

use super::messages::visible;
use super::{Filter, RepositoryPage, folder, layout, links, locks};
use crate::rules::time::rfc3339;
use crate::server::users::Role;

/// The page of a repository: its locks, its folders, and for editors the means to lock.
#[must_use]
pub(crate) fn repository(page: &RepositoryPage<'_>) -> String {
    let main = html! {
        main #page tabindex="-1" data-api=(links::interface(page.repo)) data-home=(links::repository(page.repo))
            data-viewer=(page.viewer.id) data-role=(page.viewer.role.as_str())
            data-seq=(page.seq) data-now=(rfc3339(page.now)) data-under=(page.filter.under)
            data-begins=[page.filter.cursor.map(|_| "")] data-goes-on=[page.next_cursor.map(|_| "")]
        {
            p #connection hidden { "Disconnected. What is shown may be out of date; reconnecting…" }
            div.title {
                h1 { bdi { (visible(page.repo)) } }
                a href=(links::history(page.repo, None, None)) { "History" }
            }
            div.columns {
                (folder::folder(page))
                div.content {
                    (filter(page))
                    @if page.viewer.role >= Role::Editor { (lock_form()) }
                    p #notice role="alert" {}
                    (locks::table(page))
                    (none(page))
                    (pages(page))
                    noscript { p.quiet { "Without JavaScript this page is for reading, and shows what was locked when it was loaded." } }
                }
            }
            @if page.viewer.role >= Role::Editor { (dialog()) }
        }
    };
    layout::whole(page.repo, Some(page.viewer.person()), &main)
}

/// Search, the switch for one's own, how many there are, what happened last.
fn filter(page: &RepositoryPage<'_>) -> Markup {
    let filter = &page.filter;
    html! {
        form #filter role="search" aria-label="Locks" action=(links::repository(page.repo)) {
            label.spoken for="search" { "Search path, holder and reason" }
            input #search type="search" name="q" value=(filter.search) autocomplete="off" spellcheck="false"
                placeholder="Search path, holder, reason";
            label.switch { input #mine type="checkbox" name="mine" value="true" checked[filter.mine]; " Mine" }
            @if !filter.under.is_empty() { input type="hidden" name="under" value=(filter.under); }
            noscript { button { "Apply" } }
            p.count { span #total { (page.total) } " locked" span #live {} }
            p #announce role="status" {}
        }
    }
}

fn lock_form() -> Markup {
    html! {
        form #lock-form.scripted aria-label="Lock a path" {
            div.field {
                label for="lock-path" { "Path" }
                input #lock-path name="path" required autocomplete="off" autocapitalize="none" spellcheck="false"
                    aria-describedby="lock-hint lock-error";
            }
            div.field {
                label for="lock-reason" { "Reason " span.quiet { "(optional)" } }
                input #lock-reason name="reason" maxlength="500" autocomplete="off";
            }
            button #lock-submit.primary { "Lock" }
            p #lock-hint.quiet { "From the repository’s root; a folder ends with a slash." }
            p #lock-error role="alert" {}
        }
    }
}

/// Why there is no row; also there when there are some, for the script to show.
fn none(page: &RepositoryPage<'_>) -> Markup {
    let is_filtered =
        page.filter.mine || !page.filter.search.is_empty() || !page.filter.under.is_empty();
    html! {
        p #none hidden[!page.locks.is_empty()] {
            @if is_filtered { "No lock matches." } @else { "Nothing is locked." }
        }
    }
}

fn pages(page: &RepositoryPage<'_>) -> Markup {
    let at = |cursor| {
        let filter = Filter {
            cursor,
            ..page.filter
        };
        links::filtered(page.repo, &filter)
    };
    html! {
        nav #pages aria-label="Pages" {
            @if page.filter.cursor.is_some() { a.button href=(at(None)) { "First page" } }
            @if page.next_cursor.is_some() { a.button rel="next" href=(at(page.next_cursor)) { "Next page" } }
        }
    }
}

/// Where a reason is asked for; the script puts in what it is about.
fn dialog() -> Markup {
    html! {
        dialog #dialog aria-labelledby="dialog-title" aria-describedby="dialog-text" {
            form #dialog-form method="dialog" {
                h2 #dialog-title {}
                p #dialog-text {}
                label for="dialog-reason" { "Reason " span #dialog-need.quiet {} }
                input #dialog-reason maxlength="500" autocomplete="off" aria-describedby="dialog-error";
                p #dialog-error role="alert" {}
                div.choice {
                    button #dialog-cancel type="button" { "Cancel" }
                    button #dialog-ok.primary { "OK" }
                }
            }
        }
    }
}
