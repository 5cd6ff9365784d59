//! What all pages have in common: head, header, icons.

use maud::{DOCTYPE, Markup, html};

use super::Person;
use super::messages::visible;

/// A whole page around its `main` element, which has the id `page`.
pub(super) fn whole(title: &str, person: Option<Person<'_>>, main: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (visible(title)) " · git latch" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href="/-/page.css";
                script type="module" src="/-/page.js" {}
            }
            body {
                a.skip href="#page" { "Skip to content" }
                (header(person))
                (main)
            }
        }
    };
    page.into_string()
}

/// The padlock again, as an address: a browser would ask for `/favicon.ico` otherwise.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Cpath fill='%234b7be5' d='M8 1a4 4 0 0 0-4 4v2H3v8h10V7h-1V5a4 4 0 0 0-4-4Zm-2 4a2 2 0 1 1 4 0v2H6Z'/%3E%3C/svg%3E";

fn header(person: Option<Person<'_>>) -> Markup {
    html! {
        header.top {
            a.brand href="/" { (icon(LOCK)) "git latch" }
            nav aria-label="Site" {
                a href="/" { "Repositories" }
                a href="/api" { "API" }
            }
            @if let Some(person) = person {
                p.viewer {
                    span.spoken { "Signed in as " }
                    bdi title=(visible(person.id)) { (visible(person.shown)) }
                    @if let Some(role) = person.role { " " span.tag { (role.as_str()) } }
                }
            }
        }
    }
}

/// A closed padlock.
pub(super) const LOCK: &str =
    "M8 1a4 4 0 0 0-4 4v2H3v8h10V7h-1V5a4 4 0 0 0-4-4Zm-2 4a2 2 0 1 1 4 0v2H6Z";
/// A folder.
pub(super) const FOLDER: &str = "M1 3h5l1.5 2H15v8H1Z";
/// A sheet of paper with a folded corner.
pub(super) const FILE: &str = "M3 1h6l4 4v10H3Zm5.5 1.5v3h3Z";

/// A small picture beside words that say the same.
pub(super) fn icon(outline: &str) -> Markup {
    html! {
        svg.icon viewBox="0 0 16 16" aria-hidden="true" focusable="false" { path d=(outline) {} }
    }
}

/// The picture of a file or a folder, whichever the nearest `data-kind` above it says.
pub(super) fn kind_icon() -> Markup {
    html! {
        span.kind.file { (icon(FILE)) }
        span.kind.directory { (icon(FOLDER)) span.spoken { "folder " } }
    }
}
