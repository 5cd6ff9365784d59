//! What a request must be like to be answered at all, whoever asks.
//!
//! A browser sends the user's credentials with what any page in it asks for, and a name of anybody's may lead to this
//! machine: so the name by which the server is reached must be ours, and a change wants a type that pages elsewhere
//! cannot send, and an origin that is ours where one is told.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::BODY;
use super::problem::Problem;
use super::render::LFS_TYPE;
use crate::rules::error::Code;

/// The longest address, in bytes.
const LONGEST_TARGET: usize = 8 * 1024;

/// What browsers are told about every answer.
const HEADERS: [(&str, &str); 3] = [
    ("x-content-type-options", "nosniff"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-cache"),
];
/// What they are told about pages besides.
const FOR_PAGES: [(&str, &str); 3] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
];

/// The names by which the server is reached, besides addresses and this machine's own.
pub(crate) type Hosts = Arc<[String]>;

/// Turns away what is not for us, and adds what browsers should know.
pub(crate) async fn guard(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let mut response = match check(&hosts, &request) {
        Err(problem) => problem.into_response(),
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    let kind = text(headers, "content-type").unwrap_or_default();
    let for_pages: &[_] = if kind.starts_with("text/html") {
        &FOR_PAGES
    } else {
        &[]
    };
    for (name, value) in HEADERS.iter().chain(for_pages) {
        if !headers.contains_key(*name) {
            headers.insert(*name, HeaderValue::from_static(value));
        }
    }
    response
}

fn check(hosts: &[String], request: &Request) -> Result<(), Problem> {
    let target = request.uri().path_and_query();
    if target.is_some_and(|target| target.as_str().len() > LONGEST_TARGET) {
        let problem = format!("the address is longer than {LONGEST_TARGET} bytes");
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            Code::BadUsage,
            problem,
        ));
    }
    let headers = request.headers();
    let host = host_of(request);
    if !host.as_deref().is_some_and(|host| is_ours(hosts, host)) {
        let shown = crate::rules::spelling::quoted(host.unwrap_or_default().as_bytes());
        let problem = format!("this server is not called {shown}");
        return Err(
            Problem::new(StatusCode::MISDIRECTED_REQUEST, Code::BadUsage, problem)
                .with_hint("start it with `--host NAME` for every name by which it is reached"),
        );
    }
    let length = text(headers, "content-length").and_then(|length| length.parse().ok());
    if length.is_some_and(|length: usize| length > BODY) {
        // Nobody has to send it first.
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Code::BadUsage,
            "the body is too large",
        ));
    }
    let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if is_safe {
        return Ok(());
    }
    if !is_same_origin(headers, host.as_deref().unwrap_or_default()) {
        return Err(Problem::of(
            Code::Forbidden,
            "the request comes from a page of another origin",
        ));
    }
    Ok(())
}

/// Refuses what pages elsewhere could send without being asked for leave.
///
/// Only where something is there to be done: elsewhere it matters more that there is not.
pub(crate) fn check_type(parts: &Parts) -> Result<(), Problem> {
    if parts.method != Method::POST || has_our_type(&parts.headers) {
        return Ok(());
    }
    let problem =
        "the body must be JSON: send `Content-Type: application/json`, with an empty body too";
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::BadUsage,
        problem,
    ))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The name by which the server is reached, with its port.
fn host_of(request: &Request) -> Option<String> {
    let mut all = request.headers().get_all(header::HOST).iter();
    let told = match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok().map(str::to_owned),
        // HTTP/2 says it in the address.
        (None, _) => request.uri().authority().map(ToString::to_string),
        _ => None,
    };
    told.map(|host| host.to_ascii_lowercase())
}

/// Whether a name is ours: an address (nobody can make one lead elsewhere), this machine's, or one that was given.
fn is_ours(hosts: &[String], host: &str) -> bool {
    let name = without_port(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name == "localhost"
        || hosts
            .iter()
            .any(|ours| ours.eq_ignore_ascii_case(name) || ours.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let site = text(headers, "sec-fetch-site");
    if !site.is_none_or(|site| matches!(site, "same-origin" | "none")) {
        return false;
    }
    match headers.get(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default().to_ascii_lowercase();
            let rest = origin
                .strip_prefix("https://")
                .or(origin.strip_prefix("http://"));
            let is_default =
                |rest: &str| [":80", ":443"].iter().any(|p| format!("{rest}{p}") == host);
            rest.is_some_and(|rest| rest == host || is_default(rest))
        }
    }
}

/// Whether a body says to be JSON, of the API's kind or of Git LFS's.
fn has_our_type(headers: &HeaderMap) -> bool {
    let told = text(headers, "content-type").unwrap_or_default();
    let kind = told.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case(LFS_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = of.iter().map(|(name, value)| {
            let name: axum::http::HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn a_page_of_somebody_elses_changes_nothing() {
        let is_fine =
            |name, value| is_same_origin(&headers(&[(name, value)]), "latch.example:7420");
        assert!(is_same_origin(&headers(&[]), "latch.example:7420"));
        assert!(is_fine("origin", "http://latch.example:7420"));
        assert!(is_fine("sec-fetch-site", "same-origin"));
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("origin", "http://latch.example:7421"),
            ("origin", "http://latch.example:7420.evil.example"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!is_fine(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn a_port_is_no_part_of_a_name() {
        assert_eq!(without_port("a:1"), "a");
        assert_eq!(without_port("[::1]:7420"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("a"), "a");
    }
}
