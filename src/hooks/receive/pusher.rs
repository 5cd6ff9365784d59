//! Who pushes: what the host tells its hooks, as the id of an owner.

use std::collections::BTreeMap;

/// Who pushes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pusher {
    /// The host's name for them.
    pub name: String,
    /// The owner id of their locks.
    pub id: String,
    /// Where that id comes from.
    pub origin: Origin,
}

/// Where a pusher's id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The policy's `[server.pushers]`.
    Policy,
    /// The mail address that the host told.
    Mail,
    /// The host's name is the id.
    Name,
}

/// The variables in which hosts tell a pusher's name, and mail address where they do: ours, that of a web server in front
/// of `git http-backend`, Gitolite's, Gitea's and Forgejo's, GitLab's.
const VARIABLES: [(&str, Option<&str>); 5] = [
    ("GIT_LATCH_PUSHER", None),
    ("GITEA_PUSHER_NAME", Some("GITEA_PUSHER_EMAIL")),
    ("GL_USERNAME", None),
    ("GL_USER", None),
    ("REMOTE_USER", None),
];

/// Who pushes, as the environment says; `mapping` turns a host's name into an owner's id.
pub(crate) fn pusher(
    variable: &dyn Fn(&str) -> Option<String>,
    mapping: &BTreeMap<String, String>,
) -> Option<Pusher> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let (name, mail) = VARIABLES
        .iter()
        .find_map(|(name, mail)| Some((set(name)?, mail.and_then(set))))?;
    let (id, origin) = match (mapping.get(&name), mail) {
        (Some(id), _) => (id.clone(), Origin::Policy),
        (None, Some(mail)) => (mail, Origin::Mail),
        (None, None) => (name.clone(), Origin::Name),
    };
    Some(Pusher { name, id, origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)], mapping: &[(&str, &str)]) -> Option<(String, Origin)> {
        let variable = |name: &str| {
            let mut all = variables.iter();
            all.find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        };
        let mapping = mapping
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        pusher(&variable, &mapping).map(|p| (p.id, p.origin))
    }

    #[test]
    fn the_policy_knows_better_than_the_host_and_ours_comes_first() {
        assert_eq!(of(&[], &[]), None);
        assert_eq!(of(&[("REMOTE_USER", "")], &[]), None);
        assert_eq!(
            of(&[("REMOTE_USER", "ada")], &[]),
            Some(("ada".into(), Origin::Name))
        );
        let gitea = [
            ("GITEA_PUSHER_NAME", "ada"),
            ("GITEA_PUSHER_EMAIL", "ada@x"),
        ];
        assert_eq!(of(&gitea, &[]), Some(("ada@x".into(), Origin::Mail)));
        assert_eq!(
            of(&gitea, &[("ada", "ada@example.com")]),
            Some(("ada@example.com".into(), Origin::Policy))
        );
        let both = [("REMOTE_USER", "www"), ("GIT_LATCH_PUSHER", "ada")];
        assert_eq!(of(&both, &[]), Some(("ada".into(), Origin::Name)));
    }
}
