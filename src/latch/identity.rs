//! Who I am: an id, a name, a host. The environment comes in as an argument.

use std::path::PathBuf;

use crate::git::config::Config;
use crate::rules::error::{Error, Result};
use crate::rules::lock::{Owner, check_word, is_same_id};

/// Where a person's own files lie, as the environment says.
#[derive(Clone, Debug, Default)]
pub struct Home {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<PathBuf>,
}

/// What the environment says about who I am and where.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `--as`: my id.
    pub as_id: Option<String>,
    /// `GIT_LATCH_OWNER`: my id.
    pub owner: Option<String>,
    /// `GIT_LATCH_AGENT`: the agent's name, appended to the id.
    pub agent: Option<String>,
    /// `GIT_LATCH_WORKSPACE`: the workspace, instead of the recorded one.
    pub workspace: Option<String>,
    /// `GIT_AUTHOR_NAME`: what people are shown.
    pub author_name: Option<String>,
    /// `GIT_LATCH_LEASE`: the leases of the `run` around this command, separated by commas.
    pub inside: Vec<String>,
    /// The machine's name.
    pub host: String,
    /// Where my own files lie.
    pub home: Home,
}

impl Environment {
    /// Reads the variables through `variable`, which gives `None` for what is not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|v| !v.is_empty());
        Environment {
            as_id: None,
            owner: set("GIT_LATCH_OWNER"),
            agent: set("GIT_LATCH_AGENT"),
            workspace: set("GIT_LATCH_WORKSPACE"),
            author_name: set("GIT_AUTHOR_NAME"),
            inside: set("GIT_LATCH_LEASE")
                .map(|v| v.split(',').map(str::to_owned).collect())
                .unwrap_or_default(),
            host: crate::os::marks::host_name(&set),
            home: Home {
                home: set("HOME").or(set("USERPROFILE")).map(PathBuf::from),
                xdg_config_home: set("XDG_CONFIG_HOME").map(PathBuf::from),
            },
        }
    }
}

impl Environment {
    /// Whether who I am is the configuration's to say, and where I am the working tree's.
    #[must_use]
    pub(crate) fn leaves_it_to_the_configuration(&self) -> bool {
        self.as_id.is_none()
            && self.owner.is_none()
            && self.agent.is_none()
            && self.workspace.is_none()
    }
}

/// The owner that my locks get: `--as`, `GIT_LATCH_OWNER`, `latch.owner`, else `user.email` as git spells it; an agent's
/// name appended. Blanks around an id never count.
///
/// # Errors
/// [`Error::NoIdentity`], or [`Error::BadUsage`] for an id that no lock file could hold.
pub fn owner(
    environment: &Environment,
    config: &Config,
    workspace: Option<String>,
) -> Result<Owner> {
    let mail = config.get("user.email").map(as_git_spells);
    let mail = mail.filter(|mail| !mail.is_empty());
    let given = [
        environment.as_id.as_deref(),
        environment.owner.as_deref(),
        config.get("latch.owner"),
    ];
    let given = given.into_iter().flatten().next().map(str::trim);
    let person = given.or(mail).ok_or(Error::NoIdentity)?;
    let is_gits = mail.is_some_and(|mail| is_same_id(mail, person));
    let name = match (&environment.author_name, config.get("user.name")) {
        (Some(name), _) => as_git_spells(name),
        (None, Some(name)) if is_gits => as_git_spells(name),
        _ => person,
    };
    check_id("the owner's id", person)?;
    let id = match &environment.agent {
        Some(agent) => format!("{person}/{}", checked_agent(agent)?),
        None => person.to_owned(),
    };
    check_id("the owner's id", &id)?;
    let printable = |text: &str| {
        text.chars()
            .filter(|c| !c.is_control())
            .take(256)
            .collect::<String>()
    };
    Ok(Owner {
        id,
        name: printable(name),
        host: printable(&environment.host),
        workspace,
    })
}

/// A name or mail address as it gets into git's commits: without the blanks and signs that git takes away around it
/// (`ident.c` calls them crud). Older versions take a full stop away as well.
fn as_git_spells(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ' || ",:;<>\"\\'".contains(c))
}

/// An agent's name, whose parts by `/` are agents of agents: an empty part would be somebody below who is nobody.
fn checked_agent(agent: &str) -> Result<&str> {
    let agent = agent.trim();
    check_id("GIT_LATCH_AGENT", agent)?;
    if agent.split('/').any(str::is_empty) {
        return Err(Error::bad_usage(
            format!("GIT_LATCH_AGENT `{agent}` has an empty part"),
            "use a name such as codex-1, or codex-1/2 for an agent of that agent",
        ));
    }
    Ok(agent)
}

fn check_id(what: &str, id: &str) -> Result<()> {
    let problem = match check_word(what, id) {
        Err(problem) => Some(problem),
        Ok(()) if id.is_empty() => Some(format!("{what} is empty")),
        Ok(()) => None,
    };
    match problem {
        Some(problem) => Err(Error::bad_usage(
            problem,
            "use an email address or a name, such as ada@example.com",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(environment: &Environment, config: &[(&str, &str)]) -> Result<(String, String)> {
        owner(environment, &Config::of(config), None).map(|owner| (owner.id, owner.name))
    }

    fn configured(mail: &str) -> Option<(String, String)> {
        let config = [("user.email", mail), ("user.name", " Ada, ")];
        of(&Environment::default(), &config).ok()
    }

    #[test]
    fn a_mail_address_is_spelled_as_git_spells_it_in_commits() {
        for mail in [" ada@x ", "<ada@x>", "\"ada@x\"", "\tada@x;\n", "ada@x"] {
            assert_eq!(
                configured(mail),
                Some(("ada@x".into(), "Ada".into())),
                "{mail:?}"
            );
        }
        assert_eq!(configured("Ada@X.").unwrap().0, "Ada@X.");
        assert_eq!(configured(" <> "), None);
    }

    #[test]
    fn blanks_around_an_id_do_not_count_and_case_does_not_change_the_name() {
        let given = Environment {
            owner: Some(" ADA@x\t".into()),
            agent: Some(" s1/2 ".into()),
            ..Environment::default()
        };
        let config = [("user.email", "ada@x"), ("user.name", "Ada")];
        assert_eq!(
            of(&given, &config).unwrap(),
            ("ADA@x/s1/2".into(), "Ada".into())
        );
    }

    #[test]
    fn an_agent_without_a_name_is_nobody() {
        for agent in [" ", "s1/", "/s1", "s1//2"] {
            let environment = Environment {
                owner: Some("ada@x".into()),
                agent: Some(agent.into()),
                ..Environment::default()
            };
            assert!(of(&environment, &[]).is_err(), "{agent:?}");
        }
        let blank = Environment {
            as_id: Some("  ".into()),
            ..Environment::default()
        };
        assert!(of(&blank, &[("user.email", "ada@x")]).is_err());
    }
}
