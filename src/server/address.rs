//! Addresses: a repository's name may have slashes, and stands before, between or after fixed words. Here it becomes one
//! component, so that a plain router can tell the rest.
//!
//! | outside | inside |
//! |---|---|
//! | `/api/v1/repos/team/game/-/locks` | `/api/v1/repos/team%2Fgame/-/locks` |
//! | `/team/game.git/info/lfs/locks` | `/-/lfs/team%2Fgame/locks` |
//! | `/team/game` | `/-/page/team%2Fgame` |
//! | `/team/game/-/history` | `/-/page/team%2Fgame/history` |

use axum::extract::Request;
use axum::http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const API: &str = "/api/v1/repos/";
const LFS: &str = "/info/lfs/";
/// What comes after a repository's name.
const END: &str = "/-/";
/// Addresses at the root that are no repositories.
const FIXED: [&str; 5] = ["/", "/api", "/healthz", "/readyz", "/metrics"];

/// What a request asked for, before it was led on.
#[derive(Clone, Debug)]
pub(super) struct Outside(pub(super) Uri);

/// Leads a request to where the router has it.
pub(super) fn lead<B>(mut request: Request<B>) -> Request<B> {
    let outside = Outside(request.uri().clone());
    request.extensions_mut().insert(outside);
    let uri = request.uri();
    let Some(path) = inside(uri.path()) else {
        return request;
    };
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = target.parse().ok();
    if parts.path_and_query.is_some()
        && let Ok(uri) = Uri::from_parts(parts)
    {
        *request.uri_mut() = uri;
    }
    request
}

fn inside(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix(API) {
        let (repo, rest) = rest.split_once(END)?;
        return Some(format!("{API}{}{END}{rest}", one(repo)));
    }
    if FIXED.contains(&path) || path.starts_with("/-/") || path.starts_with("/api/") {
        return None;
    }
    let name = path.strip_prefix('/')?;
    if let Some((repo, rest)) = name.split_once(LFS) {
        return Some(format!("/-/lfs/{}/{rest}", one(repo)));
    }
    match name.split_once(END) {
        Some((repo, rest)) => Some(format!("/-/page/{}/{rest}", one(repo))),
        None => Some(format!("/-/page/{}", one(name.trim_end_matches('/')))),
    }
}

/// A name as one component.
fn one(repo: &str) -> String {
    repo.replace('/', "%2F")
}

/// A component of an address, with what could mean something else in it escaped.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_become_one_component() {
        for (outside, expected) in [
            (
                "/api/v1/repos/team/game/-/locks",
                "/api/v1/repos/team%2Fgame/-/locks",
            ),
            (
                "/api/v1/repos/team%2Fgame/-/locks/1/renew",
                "/api/v1/repos/team%2Fgame/-/locks/1/renew",
            ),
            (
                "/team/game.git/info/lfs/locks/verify",
                "/-/lfs/team%2Fgame.git/locks/verify",
            ),
            ("/team/game", "/-/page/team%2Fgame"),
            ("/team/game/-/history", "/-/page/team%2Fgame/history"),
            ("/x/", "/-/page/x"),
        ] {
            assert_eq!(inside(outside).as_deref(), Some(expected));
        }
        for fixed in [
            "/",
            "/api",
            "/healthz",
            "/-/page.css",
            "/api/openapi.json",
            "/api/v1/repos/x",
        ] {
            assert_eq!(inside(fixed), None, "{fixed}");
        }
    }
}
