//! The pages without locks: the list of repositories, and what went wrong.

use maud::html;

use super::words::visible;
use super::{Viewer, layout, links};

/// The list of repositories, each with how many locks there are in it.
#[must_use]
pub(crate) fn repositories(names: &[(String, usize)], viewer: &Viewer<'_>) -> String {
    let main = html! {
        main #page tabindex="-1" {
            div.title { h1 { "Repositories" } }
            @if names.is_empty() { p.quiet { "There is no repository yet." } }
            ul.repositories {
                @for (name, locks) in names {
                    li {
                        a href=(links::repository(name)) { bdi { (visible(name)) } }
                        span.quiet { (locks) " locked" }
                    }
                }
            }
        }
    };
    layout::whole("Repositories", Some(viewer), &main)
}

/// What went wrong, for browsers.
#[must_use]
pub(crate) fn message(status: u16, title: &str, detail: &str) -> String {
    let main = html! {
        main #page tabindex="-1" {
            div.title { h1 { (visible(title)) } }
            p { bdi { (visible(detail)) } }
            p.quiet { "Status " (status) }
        }
    };
    layout::whole(title, None, &main)
}
