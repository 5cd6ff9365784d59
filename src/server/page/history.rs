//! What happened to the locks of a repository, or of one path in it.

use maud::{Markup, html};

use super::messages::{self, visible};
use super::{HistoryPage, layout, links};
use crate::rules::event::{Event, Happening};

/// The page of a history, newest first.
#[must_use]
pub(crate) fn history(page: &HistoryPage<'_>) -> String {
    let title = match page.path {
        Some(path) => format!("History of {path}"),
        None => format!("History of {}", page.repo),
    };
    let main = html! {
        main #page tabindex="-1" {
            div.title {
                h1 { "History of " bdi { (visible(page.path.unwrap_or(page.repo))) } }
                a href=(links::repository(page.repo)) { "Locks in " bdi { (visible(page.repo)) } }
                @if page.path.is_some() {
                    a href=(links::history(page.repo, None, None)) { "All paths" }
                }
            }
            (table(page))
            @if page.events.is_empty() { p.quiet { "Nothing is recorded." } }
            nav #pages aria-label="Pages" {
                @if page.next_cursor.is_some() {
                    a.button rel="next" href=(links::history(page.repo, page.path, page.next_cursor)) { "Older" }
                }
            }
        }
    };
    layout::whole(&title, Some(page.viewer.person()), &main)
}

fn table(page: &HistoryPage<'_>) -> Markup {
    html! {
        div.scroll role="region" aria-labelledby="history-caption" tabindex="0" {
            table.cards role="table" {
                caption #history-caption { "What happened, newest first" }
                thead role="rowgroup" {
                    tr role="row" {
                        @for title in ["Path", "When", "What", "Who", "Reason"] {
                            th scope="col" role="columnheader" { (title) }
                        }
                    }
                }
                tbody role="rowgroup" { @for event in page.events { (row(page, event)) } }
            }
        }
    }
}

fn row(page: &HistoryPage<'_>, event: &Event) -> Markup {
    let shown = messages::shown(&event.path, event.lock.claim.kind);
    html! {
        tr role="row" data-kind=(event.lock.claim.kind.as_str()) {
            th.path scope="row" role="rowheader" {
                (layout::kind_icon())
                a href=(links::history(page.repo, Some(&event.path), None)) { (messages::path(&shown)) }
            }
            td.since role="cell" data-label="When" { (messages::moment("ago", event.at)) }
            td.what role="cell" data-label="What" data-event=(event.happening.as_str()) {
                (what(event.happening)) (from(event))
            }
            td.holder role="cell" data-label="Who" { (who(event)) }
            td.reason role="cell" data-label="Reason" {
                bdi { (visible(event.said().unwrap_or_default())) }
            }
        }
    }
}

fn what(happening: Happening) -> &'static str {
    match happening {
        Happening::Stolen => "taken over",
        other => other.as_str(),
    }
}

/// From whom it was taken, or whose it was that another gave back.
fn from(event: &Event) -> Markup {
    let word = match event.happening {
        Happening::Stolen => "from",
        _ => "for",
    };
    html! {
        @if let Some(owner) = event.bereaved() { " " (word) " " bdi { (messages::name_of(owner)) } }
    }
}

/// Who did it; a lock that expired was nobody's doing.
fn who(event: &Event) -> Markup {
    let owner = event.lock.lock().map(|lock| &lock.owner);
    let (name, id) = match (&event.by, owner) {
        (Some(by), _) => (by.name.as_str(), by.id.as_str()),
        (None, Some(owner)) => (owner.name.as_str(), owner.id.as_str()),
        (None, None) => ("unknown holder", ""),
    };
    html! {
        bdi.who { (visible(if name.is_empty() { id } else { name })) }
        @if !name.is_empty() && name != id { " " bdi.details { (visible(id)) } }
    }
}
