//! The users of the server: a TOML file that `git latch user` writes and people may edit.
//!
//! A file that cannot be understood is an error with its line, never "no users". It is replaced as a whole, readable by
//! its owner only; two who write it at once are not kept apart, the later one wins. Comments in it do not outlive a
//! change by the command.

mod current;
mod role;
mod secret;
mod stored;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::rules::error::{Error, Result};
use crate::rules::lock::check_word;

pub(super) use current::Current;
pub use role::{Access, Role};
pub(super) use secret::{LONGEST as LONGEST_PASSWORD, random, sha256};
pub use secret::{PasswordHash, Token};

/// The longest name of a user or a token.
const LONGEST_NAME: usize = 64;

/// One user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// The owner id of this user's locks; `None`: the user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What people are shown; `None`: the user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the user may do in every repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The password's hash; `None`: no password lets this user in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// What the user may do in one repository, instead of `role`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub repos: BTreeMap<String, Access>,
    /// What programs of this user show instead of the password, by label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, Token>,
}

impl User {
    /// The owner id of the locks of the user of this name.
    #[must_use]
    pub fn id_as<'a>(&'a self, name: &'a str) -> &'a str {
        self.id.as_deref().unwrap_or(name)
    }

    /// What people are shown of the user of this name.
    #[must_use]
    pub fn shown_as<'a>(&'a self, name: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(name)
    }

    /// Whether this is one of the user's tokens.
    pub(super) fn has_token(&self, token: &str) -> bool {
        let digest = sha256(&[token.as_bytes()]);
        self.tokens.values().any(|known| known.is_of(&digest))
    }

    /// What is wrong with it.
    fn check(&self, name: &str) -> Result<(), String> {
        check_name("a user's name", name)?;
        let id = self.id_as(name);
        check_word("the id", id)?;
        if id.is_empty() || id.trim() != id {
            return Err(format!(
                "the id of `{name}` is empty or has blanks around it"
            ));
        }
        check_word("the name that people are shown", self.shown_as(name))?;
        for repo in self.repos.keys() {
            role::check_repo(repo)?;
        }
        for (label, token) in &self.tokens {
            check_name("a token's label", label)?;
            token
                .check()
                .map_err(|e| format!("the token `{label}` of `{name}` {e}"))?;
        }
        let password = self.password.as_ref().map_or(Ok(()), PasswordHash::check);
        password.map_err(|e| format!("the password of `{name}` {e}"))
    }
}

/// The users, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Users {
    users: BTreeMap<String, User>,
}

impl Users {
    /// The user of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// Every user, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.users.iter().map(|(name, user)| (name.as_str(), user))
    }

    /// The user who has this token.
    pub(super) fn with_token(&self, token: &str) -> Option<(&str, &User)> {
        let digest = sha256(&[token.as_bytes()]);
        self.iter()
            .find(|(_, user)| user.tokens.values().any(|known| known.is_of(&digest)))
    }

    /// Adds a user, or replaces one; gives the one who was there.
    ///
    /// # Errors
    /// [`Error::BadUsage`] for a name or an id that cannot be, or an id by which two users would own each other's locks;
    /// nothing is changed then.
    pub fn put(&mut self, name: &str, user: User) -> Result<Option<User>> {
        let refuse = |problem| Error::BadUsage {
            problem,
            hint: None,
        };
        user.check(name).map_err(refuse)?;
        let mut changed = self.users.clone();
        let old = changed.insert(name.to_owned(), user);
        check_ids(&changed).map_err(|(_, problem)| {
            Error::bad_usage(problem, "give one of them another id with --id")
        })?;
        self.users = changed;
        Ok(old)
    }

    /// Takes a user out.
    pub fn remove(&mut self, name: &str) -> Option<User> {
        self.users.remove(name)
    }
}

/// Checks the name of a user or a token: what Basic authentication, a URL and a shell all take as it is.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._@+-".contains(&b);
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    let shown = crate::rules::spelling::escaped(name.as_bytes());
    Err(format!(
        "`{shown}` cannot be {what}: expected 1 to {LONGEST_NAME} letters, digits, `.`, `_`, `@`, `+` or `-`"
    ))
}

/// Checks that nobody's id is another's or below it: they would own each other's locks. The error names the user that
/// stands later in the alphabet.
fn check_ids(users: &BTreeMap<String, User>) -> Result<(), (String, String)> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, user) in users {
        if let Some(other) = owners.insert(user.id_as(name), name) {
            return Err(clash(name, user.id_as(name), other, user.id_as(name)));
        }
    }
    for (id, name) in &owners {
        let mut above = id.match_indices('/').map(|(at, _)| &id[..at]);
        if let Some((other_id, other)) = above.find_map(|a| owners.get_key_value(a)) {
            return Err(clash(name, id, other, other_id));
        }
    }
    Ok(())
}

fn clash(name: &str, id: &str, other: &str, other_id: &str) -> (String, String) {
    let problem = format!(
        "the users `{name}` (id `{id}`) and `{other}` (id `{other_id}`) would own each other's locks: \
         an id must not equal another one or lie below it"
    );
    (name.max(other).to_owned(), problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_id(id: &str) -> User {
        User {
            id: Some(id.into()),
            ..User::default()
        }
    }

    #[test]
    fn nobody_gets_an_id_that_owns_anothers_locks() {
        for (taken, wanted) in [
            ("ada@x", "ada@x"),
            ("ada@x", "ada@x/agent"),
            ("ada@x/agent", "ada@x"),
            ("a/b/c", "a"),
        ] {
            let mut users = Users::default();
            users.put("ada", with_id(taken)).unwrap();
            let before = users.clone();
            let refused = users.put("bob", with_id(wanted)).unwrap_err().to_string();
            assert!(
                refused.contains("`ada`") && refused.contains("`bob`"),
                "{refused}"
            );
            assert_eq!(users, before);
        }
        let mut users = Users::default();
        users.put("ada", with_id("ada@x")).unwrap();
        users.put("bob", with_id("ada@xy")).unwrap();
        users.put("ada", with_id("ada@x/1")).unwrap();
        assert!(users.put("ada@xy", User::default()).is_err());
    }

    #[test]
    fn names_and_ids_that_cannot_be_are_refused() {
        let mut users = Users::default();
        for name in ["", "a:b", "a b", "ä", "a/b", "a\n", &"a".repeat(65)] {
            assert!(users.put(name, User::default()).is_err(), "{name}");
        }
        for id in ["", " ada", "ada\t", &"a".repeat(300)] {
            assert!(users.put("ada", with_id(id)).is_err(), "{id}");
        }
        assert!(users.put(&"a".repeat(64), User::default()).is_ok());
        assert!(
            users
                .put("Ada.L_1+x@example-1.com", User::default())
                .is_ok()
        );
    }
}
