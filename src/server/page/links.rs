//! Addresses: every segment and every value percent-encoded.

use super::Filter;
use crate::server::address::escaped;

/// The page of a repository.
pub(super) fn repository(repo: &str) -> String {
    format!("/{}", path(repo))
}

/// Where the interface has a repository's locks, events and history.
pub(super) fn interface(repo: &str) -> String {
    format!("/api/v1/repos/{}/-", path(repo))
}

/// The history of a path, or of all of them.
pub(super) fn history(repo: &str, of: Option<&str>, cursor: Option<&str>) -> String {
    let query = [
        ("path", of.unwrap_or_default()),
        ("cursor", cursor.unwrap_or_default()),
    ];
    format!("/{}/-/history{}", path(repo), question(&query))
}

/// The page of a repository under a filter.
pub(super) fn filtered(repo: &str, filter: &Filter<'_>) -> String {
    let query = [
        ("q", filter.search),
        ("mine", if filter.mine { "true" } else { "" }),
        ("under", filter.under),
        ("cursor", filter.cursor.unwrap_or_default()),
    ];
    format!("/{}{}", path(repo), question(&query))
}

/// A path whose slashes stay slashes.
fn path(text: &str) -> String {
    text.split('/').map(escaped).collect::<Vec<_>>().join("/")
}

/// A query of those parameters that have a value.
fn question(parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}
