//! What proves who somebody is: passwords by their argon2id hash, tokens by their SHA-256. The only file that names
//! argon2, sha2 and subtle.
//!
//! A password is what a person can remember, so that guessing it must be slow. A token has 244 random bits: nobody
//! guesses it, and a fast hash does.

use std::fmt::{self, Write as _};

use argon2::Argon2;
use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _, SaltString};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::rules::error::{Error, Result};

/// The shortest password, in characters.
const SHORTEST: usize = 8;
/// The longest password, in bytes.
pub(in crate::server) const LONGEST: usize = 1024;
/// What a token begins with, by which scanners for leaked secrets can know it.
const PREFIX: &str = "latch_";

/// A password's argon2id hash in the PHC string format.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password, with a new salt. Takes tens of milliseconds and 19 MiB.
    ///
    /// # Errors
    /// [`Error::BadUsage`] for less than 8 characters, more than 1024 bytes, or control characters.
    pub fn of(password: &str) -> Result<Self> {
        let problem = if password.is_empty() {
            "the password is empty".to_owned()
        } else if password.chars().count() < SHORTEST {
            format!("the password has fewer than {SHORTEST} characters")
        } else if password.len() > LONGEST {
            format!("the password is longer than {LONGEST} bytes")
        } else if password.chars().any(char::is_control) {
            "the password has control characters".to_owned()
        } else {
            return Ok(hash(password));
        };
        Err(Error::BadUsage {
            problem,
            hint: None,
        })
    }

    /// A hash of no password that anybody knows.
    pub(in crate::server) fn of_nothing() -> Self {
        hash(&hex(&random()))
    }

    /// Whether this is the password. Takes as long as hashing one.
    pub(in crate::server) fn is_of(&self, password: &str) -> bool {
        password_hash::PasswordHash::new(&self.0).is_ok_and(|hash| {
            let outcome = Argon2::default().verify_password(password.as_bytes(), &hash);
            outcome.is_ok()
        })
    }

    /// The text that is stored.
    pub(in crate::server) fn as_str(&self) -> &str {
        &self.0
    }

    /// What is wrong with it, as a sentence goes on.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_fine = password_hash::PasswordHash::new(&self.0).is_ok_and(|hash| {
            hash.algorithm == argon2::ARGON2ID_IDENT
                && hash.salt.is_some()
                && hash.hash.is_some()
                && argon2::Params::try_from(&hash).is_ok()
        });
        if is_fine {
            Ok(())
        } else {
            Err("is not an argon2id hash, such as `git latch user add` writes".into())
        }
    }
}

/// Without the hash: what is logged must not be worth guessing at.
impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

fn hash(password: &str) -> PasswordHash {
    let salt = SaltString::encode_b64(&random()).expect("32 bytes are a salt");
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .expect("the parameters are argon2's own, and the password is short");
    PasswordHash(hash.to_string())
}

/// A token as it is stored: enough to know it again, not enough to use it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    sha256: String,
    /// When it was made.
    #[serde(
        serialize_with = "moment",
        deserialize_with = "crate::rules::lock::moment"
    )]
    pub created: DateTime<Utc>,
}

impl Token {
    /// Makes a token; the text is known to nobody else and stored nowhere.
    #[must_use]
    pub fn issue(now: DateTime<Utc>) -> (String, Self) {
        let text = format!("{PREFIX}{}", hex(&random()));
        let sha256 = hex(&sha256(&[text.as_bytes()]));
        let token = Token {
            sha256,
            created: now,
        };
        (text, token)
    }

    /// Whether it is the token with this SHA-256; takes the same time whatever differs.
    pub(super) fn is_of(&self, digest: &[u8; 32]) -> bool {
        self.sha256.as_bytes().ct_eq(hex(digest).as_bytes()).into()
    }

    /// What is wrong with it, as a sentence goes on.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if self.sha256.len() == 64 && self.sha256.bytes().all(is_hex) {
            Ok(())
        } else {
            Err("has no SHA-256 of 64 small hexadecimal digits".into())
        }
    }
}

/// To the second, in UTC.
fn moment<S: Serializer>(moment: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = moment.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let stamp: toml::value::Datetime = text.parse().map_err(serde::ser::Error::custom)?;
    stamp.serialize(serializer)
}

/// The SHA-256 of some bytes, one after the other.
pub(in crate::server) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// 256 random bits of the system.
pub(in crate::server) fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random bits");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_alone() {
        let hash = PasswordHash::of("correct horse").unwrap();
        assert_eq!(hash.check(), Ok(()));
        assert!(hash.as_str().starts_with("$argon2id$"));
        assert!(hash.is_of("correct horse"));
        assert!(!hash.is_of("correct horsE"));
        assert_ne!(hash, PasswordHash::of("correct horse").unwrap());
        assert!(!format!("{hash:?}").contains("argon2id"));
    }

    #[test]
    fn passwords_that_are_easily_guessed_or_not_sendable_are_refused() {
        for password in [
            "",
            "1234567",
            "äöüäöüä",
            "with\ttabs in it",
            &"a".repeat(1025),
        ] {
            assert!(PasswordHash::of(password).is_err(), "{password}");
        }
        assert!(PasswordHash::of("äöüäöüäö").is_ok());
    }

    #[test]
    fn only_argon2id_hashes_are_hashes() {
        let fine = PasswordHash::of("correct horse").unwrap().0;
        let cut = fine.rsplit_once('$').unwrap().0.to_owned();
        for text in [
            "correct horse".into(),
            fine.replace("argon2id", "argon2i"),
            cut,
        ] {
            assert!(PasswordHash(text.clone()).check().is_err(), "{text}");
        }
    }

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let (text, token) = Token::issue(DateTime::UNIX_EPOCH);
        assert_eq!(token.check(), Ok(()));
        assert_eq!(text.len(), PREFIX.len() + 64);
        assert!(token.is_of(&sha256(&[text.as_bytes()])));
        assert!(!token.is_of(&sha256(&[b"latch_", b"0"])));
        assert!(!format!("{token:?}").contains(&text));
        assert_ne!(Token::issue(DateTime::UNIX_EPOCH).0, text);
    }

    #[test]
    fn the_digest_is_sha_256() {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(&[b"a", b"bc"])), digest);
    }
}
