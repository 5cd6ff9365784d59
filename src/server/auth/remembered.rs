//! Passwords that were right a short while ago, so that the next request with one takes microseconds. Pure: the time
//! comes in.
//!
//! Neither passwords nor anything they could be found from are kept, only digests under a key of this process. The stored
//! hash is part of the digest: a new password, or none, is in force at once.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::attempts::{Client, make_room};
use crate::server::users::{PasswordHash, random, sha256};

/// For how long one is remembered after it was used.
const WHILE: Duration = Duration::from_secs(300);

/// A password that somebody shows.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    /// Where it comes from. A password that was right here need not pass elsewhere, where others may be guessing.
    pub(super) client: Client,
    /// The user's name.
    pub(super) name: &'a str,
    /// What is stored of the user's password.
    pub(super) hash: &'a PasswordHash,
    /// The password.
    pub(super) password: &'a str,
}

impl Shown<'_> {
    fn digest(&self, key: &[u8; 32]) -> [u8; 32] {
        let client = self.client.to_string();
        let parts = [&client, self.name, self.hash.as_str(), self.password];
        // With their lengths, so that no two of these are the same bytes.
        let lengths = parts.map(|part| (part.len() as u64).to_le_bytes());
        let framed = lengths.iter().zip(parts);
        let framed = framed.flat_map(|(length, part)| [length.as_slice(), part.as_bytes()]);
        let all: Vec<&[u8]> = std::iter::once(key.as_slice()).chain(framed).collect();
        sha256(&all)
    }
}

/// The right passwords of late.
pub(super) struct Remembered {
    key: [u8; 32],
    used: HashMap<[u8; 32], Instant>,
}

impl Remembered {
    pub(super) fn new() -> Self {
        Remembered {
            key: random(),
            used: HashMap::new(),
        }
    }

    /// Whether this was right and has been used since; then it stays remembered.
    pub(super) fn knows(&mut self, shown: &Shown<'_>, now: Instant) -> bool {
        match self.used.get_mut(&shown.digest(&self.key)) {
            Some(used) if now.saturating_duration_since(*used) < WHILE => {
                *used = now;
                true
            }
            _ => false,
        }
    }

    /// Notes that this was right.
    pub(super) fn remember(&mut self, shown: &Shown<'_>, now: Instant) {
        let digest = shown.digest(&self.key);
        if !self.used.contains_key(&digest) {
            make_room(&mut self.used, |used| Some(*used));
        }
        self.used.insert(digest, now);
    }
}

/// Without the key.
impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remembered({})", self.used.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempts::MOST;
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap())
    }

    fn shown(hash: &PasswordHash) -> Shown<'_> {
        Shown {
            client: client("192.0.2.1"),
            name: "ada",
            hash,
            password: "correct horse",
        }
    }

    #[test]
    fn only_what_was_right_is_known_and_nothing_else_may_differ() {
        let (hash, other) = (PasswordHash::of_nothing(), PasswordHash::of_nothing());
        let mut remembered = Remembered::new();
        let now = Instant::now();
        let right = shown(&hash);
        remembered.remember(&right, now);
        assert!(remembered.knows(&right, now));
        let elsewhere = client("192.0.2.2");
        for wrong in [
            shown(&other),
            Shown {
                client: elsewhere,
                ..right
            },
            Shown {
                name: "bob",
                ..right
            },
            Shown {
                password: "correct hors",
                ..right
            },
        ] {
            assert!(!remembered.knows(&wrong, now));
        }
        assert!(!Remembered::new().knows(&right, now));
    }

    #[test]
    fn what_is_used_stays_known_and_what_is_not_is_forgotten() {
        let hash = PasswordHash::of_nothing();
        let mut remembered = Remembered::new();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        remembered.remember(&shown(&hash), start);
        assert!(remembered.knows(&shown(&hash), at(299)));
        assert!(remembered.knows(&shown(&hash), at(598)));
        assert!(!remembered.knows(&shown(&hash), at(898)));
    }

    #[test]
    fn the_table_is_bounded() {
        let hash = PasswordHash::of_nothing();
        let mut remembered = Remembered::new();
        let now = Instant::now();
        for n in 0..MOST + 5 {
            let name = n.to_string();
            let shown = Shown {
                name: &name,
                ..shown(&hash)
            };
            remembered.remember(&shown, now);
        }
        assert_eq!(remembered.used.len(), MOST);
    }
}
