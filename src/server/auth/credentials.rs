//! What a request says of who asks: its `Authorization`, and what a proxy adds. Pure; whether the proxy is trusted is
//! asked elsewhere.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::server::users::{LONGEST_PASSWORD, check_name};

/// What is shown for oneself.
#[derive(PartialEq, Eq)]
pub(super) enum Credentials {
    /// A name and a password, or a token in its place.
    Basic { name: String, password: String },
    /// A token.
    Bearer(String),
}

/// Something is shown, and it makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Credentials {
    /// What `Authorization` says; `None` where it is not there or of a scheme that is not ours.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        let Some(value) = only(headers, &AUTHORIZATION)? else {
            return Ok(None);
        };
        let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rest = rest.trim_matches(' ');
        if scheme.eq_ignore_ascii_case("basic") {
            return Self::basic(rest).map(Some);
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(Credentials::Bearer(rest.to_owned())));
        }
        Ok(None)
    }

    fn basic(text: &str) -> Result<Self, Malformed> {
        let bytes = STANDARD.decode(text).map_err(|_| Malformed)?;
        let text = String::from_utf8(bytes).map_err(|_| Malformed)?;
        let (name, password) = text.split_once(':').ok_or(Malformed)?;
        // A name that nobody can have need not be counted, nor what it comes with checked.
        if check_name("the name", name).is_err() || password.len() > LONGEST_PASSWORD {
            return Err(Malformed);
        }
        Ok(Credentials::Basic {
            name: name.to_owned(),
            password: password.to_owned(),
        })
    }
}

/// The user that a proxy names. Twice is not what a proxy does that replaces what its client sent.
pub(super) fn named<'a>(
    headers: &'a HeaderMap,
    header: &HeaderName,
) -> Option<Result<&'a str, Malformed>> {
    match only(headers, header) {
        Ok(None | Some("")) => None,
        Ok(Some(name)) => Some(Ok(name)),
        Err(Malformed) => Some(Err(Malformed)),
    }
}

/// The last address in `X-Forwarded-For`: those before it are what the proxy's own client said.
pub(super) fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = last.to_str().ok()?.rsplit(',').next()?.trim();
    let bare = last.trim_start_matches('[').trim_end_matches(']');
    let with_port = || last.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port)
}

/// The value of a header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(|v| Some(v.trim()))
            .map_err(|_| Malformed),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    fn basic(text: &str) -> Result<Option<Credentials>, Malformed> {
        let value = format!("Basic {}", STANDARD.encode(text));
        Credentials::of(&headers("authorization", &[&value]))
    }

    #[test]
    fn a_password_may_have_colons_and_be_empty_or_not_ascii() {
        for (text, password) in [("ada:a:b", "a:b"), ("ada:", ""), ("ada:grüße", "grüße")] {
            let Ok(Some(Credentials::Basic {
                name,
                password: found,
            })) = basic(text)
            else {
                panic!("{text}");
            };
            assert_eq!((name.as_str(), found.as_str()), ("ada", password));
        }
    }

    #[test]
    fn what_makes_no_sense_is_not_the_same_as_nothing() {
        let of = |values: &[&str]| Credentials::of(&headers("authorization", values));
        assert!(matches!(of(&[]), Ok(None)));
        assert!(matches!(of(&["Negotiate abc"]), Ok(None)));
        assert!(matches!(of(&["bEARER  x "]), Ok(Some(Credentials::Bearer(t))) if t == "x"));
        assert!(of(&["Basic ??"]).is_err());
        assert!(of(&["Basic"]).is_err());
        assert!(of(&["Bearer a", "Bearer a"]).is_err());
        for text in [
            "ada",
            ":secret",
            "a b:secret",
            &format!("ada:{}", "a".repeat(1025)),
        ] {
            assert!(basic(text).is_err(), "{text}");
        }
        assert!(of(&[&format!("Basic {}", STANDARD.encode(b"ada:\xff"))]).is_err());
    }

    #[test]
    fn the_last_forwarded_address_is_the_one_the_proxy_saw() {
        for (values, address) in [
            (&["1.1.1.1, 2.2.2.2"][..], Some("2.2.2.2")),
            (&["1.1.1.1", "3.3.3.3"], Some("3.3.3.3")),
            (&["1.1.1.1:80"], Some("1.1.1.1")),
            (&["[2001:db8::1]:80"], Some("2001:db8::1")),
            (&["[2001:db8::1]"], Some("2001:db8::1")),
            (&["1.1.1.1, unknown"], None),
            (&[], None),
        ] {
            let found = forwarded(&headers("x-forwarded-for", values));
            assert_eq!(found, address.map(|a| a.parse().unwrap()), "{values:?}");
        }
    }

    #[test]
    fn a_proxy_names_one_user_or_none() {
        let header = HeaderName::from_static("x-forwarded-user");
        let named = |values: &[&str]| {
            let headers = headers("x-forwarded-user", values);
            named(&headers, &header).map(|n| n.map(str::to_owned))
        };
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[""]), None);
        assert_eq!(named(&["ada"]), Some(Ok("ada".to_owned())));
        assert_eq!(named(&["ada", "root"]), Some(Err(Malformed)));
    }
}
