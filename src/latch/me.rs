//! Who I am in this repository: for a change, and for reading, which leaves no trace.

use super::Latch;
use crate::latch::identity;
use crate::latch::workspace::{WorkingTrees, Workspace};
use crate::rules::error::{Error, Result};
use crate::rules::lock::Owner;
use crate::rules::view::Me;
use crate::store::workspaces;

impl Latch {
    /// Who I am. The workspace gets its id now, if it has none.
    ///
    /// # Errors
    /// [`Error::NoIdentity`].
    pub fn me(&self) -> Result<Me> {
        // Asked first: a command that fails for want of a name leaves no trace.
        identity::owner(&self.environment, &self.config, None)?;
        let workspace = match &self.environment.workspace {
            Some(id) => id.clone(),
            None => self.settled_workspace()?,
        };
        self.me_in(Some(workspace))
    }

    /// Who I am, for reading: without a name, or in a workspace that never took a lock, nothing is mine.
    ///
    /// # Errors
    /// Only where an id was given that nobody can have, or the workspace's record cannot be read.
    pub fn reader(&self) -> Result<Me> {
        let workspace = match &self.environment.workspace {
            Some(id) => Some(id.clone()),
            // No lock has an empty workspace: nothing is held in one that has no id yet.
            None => Some(self.known_workspace()?.unwrap_or_default()),
        };
        match self.me_in(workspace.clone()) {
            Err(Error::NoIdentity) => Ok(Me {
                owner: Owner {
                    id: String::new(),
                    name: String::new(),
                    host: self.environment.host.clone(),
                    workspace,
                },
                inside: Vec::new(),
            }),
            other => other,
        }
    }

    fn me_in(&self, workspace: Option<String>) -> Result<Me> {
        Ok(Me {
            owner: identity::owner(&self.environment, &self.config, workspace)?,
            inside: self.environment.inside.clone(),
        })
    }

    /// The workspace, if it has an id. One that has none is asked again each time: whoever watches for hours began
    /// before another command took the first lock.
    fn known_workspace(&self) -> Result<Option<String>> {
        if let Some(settled) = self.settled.get() {
            return Ok(Some(settled.id.clone()));
        }
        if let Some(Workspace::Known(id)) = self.seen.get() {
            return Ok(Some(id.clone()));
        }
        let now = Workspace::of(self.repo.git_dir(), &self.environment.host)?;
        let id = match &now {
            Workspace::Known(id) => Some(id.clone()),
            Workspace::Unknown | Workspace::CopyOf(_) => None,
        };
        drop(self.seen.set(now));
        Ok(id)
    }

    /// The workspace, which gets an id if it has none.
    fn settled_workspace(&self) -> Result<String> {
        if let Some(settled) = self.settled.get() {
            return Ok(settled.id.clone());
        }
        let person = identity::owner(&self.environment, &self.config, None)?;
        let environment = &self.environment;
        // Noted with it: what a hook goes by that has no time to ask.
        let owner =
            Some(person.id.as_str()).filter(|_| environment.leaves_it_to_the_configuration());
        let settled =
            Workspace::settle(self.repo.git_dir(), &environment.host, owner, self.sharing)?;
        // Before its first lock: what nobody registered is never proven gone.
        workspaces::register(
            self.repo.common_dir(),
            self.repo.git_dir(),
            &settled.id,
            self.sharing,
        )
        .unwrap_or_else(|error| tracing::debug!(%error, "the working tree is not registered"));
        if let Some(original) = &settled.copied_from {
            // The copied record lists the original's leases.
            self.held.strike(|held| held.workspace == *original)?;
        }
        Ok(self.settled.get_or_init(|| settled).id.clone())
    }

    /// The working trees of this repository, by their workspaces.
    #[must_use]
    pub fn trees(&self) -> &WorkingTrees {
        &self.trees
    }

    /// The workspace that this one is a copy of, and its own id as soon as it has one.
    #[must_use]
    pub fn copied_workspace(&self) -> Option<(&str, Option<&str>)> {
        if let Some(settled) = self.settled.get() {
            return Some((settled.copied_from.as_deref()?, Some(&settled.id)));
        }
        match self.seen.get() {
            Some(Workspace::CopyOf(original)) => Some((original, None)),
            _ => None,
        }
    }
}
