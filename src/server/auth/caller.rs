//! Who asks, and what they may do.

use std::collections::BTreeMap;

use crate::server::users::{Access, Role, User};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The user's name.
    pub name: String,
    /// The owner id of this user's locks.
    pub id: String,
    /// What people are shown.
    pub shown: String,
    /// Whether the request came through a trusted proxy.
    pub is_proxied: bool,
    role: Option<Role>,
    repos: BTreeMap<String, Access>,
}

impl Caller {
    /// Somebody who may do everything everywhere.
    #[must_use]
    pub fn admin(id: impl Into<String>, shown: impl Into<String>) -> Self {
        let id = id.into();
        Caller {
            name: id.clone(),
            id,
            shown: shown.into(),
            is_proxied: false,
            role: Some(Role::Admin),
            repos: BTreeMap::new(),
        }
    }

    pub(super) fn of(name: &str, user: &User, is_proxied: bool) -> Self {
        Caller {
            name: name.to_owned(),
            id: user.id_as(name).to_owned(),
            shown: user.shown_as(name).to_owned(),
            is_proxied,
            role: user.role,
            repos: user.repos.clone(),
        }
    }

    /// What the caller may do in a repository; `None`: nothing, and it must look as if there were no such repository.
    ///
    /// `repo` is the repository's own name, not another spelling under which a file system finds it as well.
    #[must_use]
    pub(crate) fn role_in(&self, repo: &str) -> Option<Role> {
        self.repos.get(repo).map_or(self.role, |own| own.role())
    }
}
