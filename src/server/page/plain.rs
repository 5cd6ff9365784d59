//! The pages without locks: the list of repositories, and what went wrong.

use maud::html;

use super::messages::visible;
use super::{Person, layout, links};

/// The list of repositories, each with how many locks there are in it, where that is known.
#[must_use]
pub(crate) fn repositories(names: &[(String, Option<usize>)], person: Person<'_>) -> String {
    let main = html! {
        main #page tabindex="-1" {
            div.title { h1 { "Repositories" } }
            @if names.is_empty() { p.quiet { "There is no repository yet." } }
            ul.repositories {
                @for (name, locks) in names {
                    li {
                        a href=(links::repository(name)) { bdi { (visible(name)) } }
                        @if let Some(locks) = locks { span.quiet { (locks) " locked" } }
                    }
                }
            }
        }
    };
    layout::whole("Repositories", Some(person), &main)
}

/// What went wrong, for browsers.
#[must_use]
pub(crate) fn message(status: u16, title: &str, detail: &str) -> String {
    let main = html! {
        main #page tabindex="-1" {
            div.title { h1 { (visible(title)) } }
            p.detail { bdi { (visible(detail)) } }
            p.quiet { "Status " (status) }
        }
    };
    layout::whole(title, None, &main)
}
