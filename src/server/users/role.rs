//! What a user may do: everywhere, or in one repository.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a user may do; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See locks and history.
    Viewer,
    /// Take locks and give them back.
    Editor,
    /// Take away the locks of others.
    Admin,
}

impl Role {
    /// The word of the file of users and of JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        [Role::Viewer, Role::Editor, Role::Admin]
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| format!("unknown role `{word}`: expected viewer, editor or admin"))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a user may do in one repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Access {
    /// Nothing, not even see that there is such a repository.
    None,
    /// What the role allows.
    As(Role),
}

impl Access {
    /// The role, if any.
    #[must_use]
    pub fn role(self) -> Option<Role> {
        match self {
            Access::None => None,
            Access::As(role) => Some(role),
        }
    }

    /// The word of the file of users and of JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.role().map_or("none", Role::as_str)
    }
}

impl FromStr for Access {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "none" {
            return Ok(Access::None);
        }
        let role = word.parse().map(Access::As);
        role.map_err(|_| format!("unknown role `{word}`: expected viewer, editor, admin or none"))
    }
}

impl TryFrom<String> for Access {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        word.parse()
    }
}

impl From<Access> for String {
    fn from(access: Access) -> Self {
        access.as_str().to_owned()
    }
}

/// Checks the name of a repository. A `team/secret.git` that names none must not pass for a rule about `team/secret`.
pub(super) fn check_repo(repo: &str) -> Result<(), String> {
    let is_no_name = |part: &str| part.is_empty() || part == "." || part == "..";
    let is_odd = repo.split('/').any(is_no_name) || repo.chars().any(char::is_control);
    if is_odd || repo.strip_suffix(".git").is_some() {
        let shown = crate::rules::spelling::escaped(repo.as_bytes());
        return Err(format!(
            "invalid repository name `{shown}`: expected its path below the root without `.git`, such as `team/game`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_include_those_before_them_and_are_read_as_they_are_written() {
        assert!(Role::Viewer < Role::Editor && Role::Editor < Role::Admin);
        for word in ["viewer", "editor", "admin"] {
            assert_eq!(word.parse::<Role>().unwrap().as_str(), word);
            assert_eq!(word.parse::<Access>().unwrap().as_str(), word);
        }
        assert_eq!("none".parse::<Access>().unwrap().role(), None);
        assert!("none".parse::<Role>().is_err());
        assert!("Admin".parse::<Access>().is_err());
    }

    #[test]
    fn what_names_no_repository_is_no_rule() {
        for repo in ["", "/a", "a/", "a//b", "a/../b", "a.git", "a\nb"] {
            assert!(check_repo(repo).is_err(), "{repo}");
        }
        assert!(check_repo("team/my game").is_ok());
    }
}
