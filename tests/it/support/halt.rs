//! Processes that halt at a fault point until they are let go.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::{Sandbox, eventually};

/// A fault point at which whoever comes first halts.
pub(crate) struct Halt {
    point: &'static str,
    directory: PathBuf,
}

impl Halt {
    pub(crate) fn at(sandbox: &Sandbox, point: &'static str) -> Self {
        let directory = sandbox.path().join("halt");
        fs::create_dir(&directory).unwrap();
        Halt { point, directory }
    }

    /// Tells a command to.
    pub(crate) fn tell(&self, command: &mut Command) {
        let fault = format!("{}={}", self.point, self.directory.display());
        command.env("GIT_LATCH_FAULT", fault);
    }

    /// Waits until somebody halts.
    pub(crate) fn reached(&self) {
        let reached = self.directory.join("reached");
        eventually(self.point, || reached.exists());
    }

    /// Lets them go.
    pub(crate) fn go(&self) {
        fs::write(self.directory.join("go"), "").unwrap();
    }
}
