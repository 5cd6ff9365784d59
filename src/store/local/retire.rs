//! Taking the store away, while nobody is inside.

use std::fs;

use super::LocalStore;
use crate::os::files;
use crate::os::guard::Guard;
use crate::rules::error::{Error, Result};
use crate::rules::time::Clock;
use crate::rules::view::View;
use crate::store::{LockStore as _, Scope};

/// A store that nobody can change any more, until this is dropped or the store removed.
#[must_use = "the store is open again as soon as it is dropped"]
#[derive(Debug)]
pub struct Retirement<'a> {
    store: &'a LocalStore,
    _guard: Guard,
    view: View,
}

impl LocalStore {
    /// Keeps everybody out: what is locked now stays so.
    ///
    /// # Errors
    /// [`Error::Busy`] where somebody stays inside.
    pub fn retire(&self, clock: &dyn Clock) -> Result<Retirement<'_>> {
        let guard = self.enter(clock)?;
        self.recover()?;
        crate::os::fault::point("store.retired");
        Ok(Retirement {
            store: self,
            _guard: guard,
            view: self.view(&Scope::All, clock)?,
        })
    }
}

impl Retirement<'_> {
    /// What is locked.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Removes the store with all that lies beside it. Whoever waits for the guard finds that it is another one by then.
    ///
    /// # Errors
    /// [`Error::Io`] with the directory.
    pub fn remove(self) -> Result<()> {
        let directory = self.store.directory.path();
        let gone = directory.with_file_name(format!("latch.gone-{}", std::process::id()));
        // In one step: file by file, the guard might go first and let somebody in.
        let gone = match fs::rename(directory, &gone) {
            Ok(()) => &gone,
            Err(e) if files::is_absent(&e) => return Ok(()),
            Err(_) if !files::RENAMES_WHAT_IS_OPEN => directory,
            Err(e) => return Err(Error::io("remove", directory)(e)),
        };
        match fs::remove_dir_all(gone) {
            Err(e) if !files::is_absent(&e) => Err(Error::io("remove", gone)(e)),
            _ => Ok(()),
        }
    }
}
