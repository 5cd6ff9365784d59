//! Who I am: an id, a name, a host. The environment comes in as an argument.

use std::path::PathBuf;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::lock::{Owner, check_word};

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
            host: host_name(&set),
            home: Home {
                home: set("HOME").or(set("USERPROFILE")).map(PathBuf::from),
                xdg_config_home: set("XDG_CONFIG_HOME").map(PathBuf::from),
            },
        }
    }
}

#[cfg(unix)]
fn host_name(_variable: &dyn Fn(&str) -> Option<String>) -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

#[cfg(not(unix))]
fn host_name(variable: &dyn Fn(&str) -> Option<String>) -> String {
    variable("COMPUTERNAME").unwrap_or_else(|| "localhost".into())
}

impl Environment {
    /// Whether who I am is the configuration's to say, and where I am the working tree's.
    #[must_use]
    pub fn leaves_it_to_the_configuration(&self) -> bool {
        self.as_id.is_none()
            && self.owner.is_none()
            && self.agent.is_none()
            && self.workspace.is_none()
    }
}

/// The owner that my locks get: `--as`, `GIT_LATCH_OWNER`, `latch.owner`, else `user.email`; an agent's name appended.
///
/// # Errors
/// [`Error::NoIdentity`], or [`Error::BadUsage`] for an id that no lock file could hold.
pub fn owner(
    environment: &Environment,
    config: &Config,
    workspace: Option<String>,
) -> Result<Owner> {
    let configured = config
        .get("latch.owner")
        .or(config.get("user.email"))
        .map(str::to_owned);
    let person = environment
        .as_id
        .clone()
        .or(environment.owner.clone())
        .or(configured)
        .ok_or(Error::NoIdentity)?;
    let name = match (&environment.author_name, config.get("user.name")) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) if config.get("user.email") == Some(&person) => name.to_owned(),
        _ => person.clone(),
    };
    let id = match &environment.agent {
        Some(agent) => {
            check_id("GIT_LATCH_AGENT", agent)?;
            format!("{person}/{agent}")
        }
        None => person,
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
        name: printable(&name),
        host: printable(&environment.host),
        workspace,
    })
}

fn check_id(what: &str, id: &str) -> Result<()> {
    let problem = match check_word(what, id) {
        Err(problem) => Some(problem),
        Ok(()) if id.trim().is_empty() || id.trim() != id => {
            Some(format!("{what} is empty or has blanks around it"))
        }
        Ok(()) => None,
    };
    match problem {
        Some(problem) => Err(Error::bad_usage(
            problem,
            "an id is a mail address or a name, such as ada@example.com",
        )),
        None => Ok(()),
    }
}
