//! The user's git configuration, as far as it concerns us: read by one `git config`.

use std::collections::HashMap;

use crate::git::command::{Git, Running, split_nul};
use crate::rules::error::{Error, Result};

const KEYS: &str = r"^(user\.(name|email)|latch\..*|remote\..*\.(url|pushurl)|color\.ui|core\.(sharedrepository|ignorecase|attributesfile|hookspath)|includeif\..*|extensions\.worktreeconfig)$";

/// Values of git's configuration, the last of each key.
#[derive(Clone, Debug, Default)]
pub struct Config {
    values: HashMap<String, String>,
}

impl Config {
    /// Reads the configuration that git would use.
    pub fn read(git: &Git) -> Result<Self> {
        Self::finish(Self::start(git)?)
    }

    /// Starts to read; what does not need it can go on meanwhile.
    pub(crate) fn start(git: &Git) -> Result<Running> {
        git.start(&["config", "--null", "--get-regexp", KEYS])
    }

    /// Waits for what [`Config::start`] began.
    pub(crate) fn finish(running: Running) -> Result<Self> {
        let output = match running.finish() {
            Ok(output) => output,
            // Exit status 1 without a word: no such key.
            Err(Error::Git { problem, .. }) if problem.starts_with("exit status") => Vec::new(),
            Err(e) => return Err(e),
        };
        let mut values = HashMap::new();
        for item in split_nul(&output) {
            let text = String::from_utf8_lossy(item);
            // A key without a value is git's short form of "true".
            let (key, value) = text.split_once('\n').unwrap_or((&text, "true"));
            values.insert(key.to_owned(), value.to_owned());
        }
        Ok(Config { values })
    }

    /// A configuration of these values.
    #[cfg(test)]
    pub(crate) fn of(values: &[(&str, &str)]) -> Self {
        let values = values
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        Config {
            values: values.collect(),
        }
    }

    /// The value of a key, written in lower case; empty ones count as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// Whether git has been told of a remote of this name. To git, any other word would be an option, a path or a URL.
    #[must_use]
    pub(crate) fn knows_remote(&self, name: &str) -> bool {
        let has = |key: &str| self.get(&format!("remote.{name}.{key}")).is_some();
        has("url") || has("pushurl")
    }

    /// Whether it depends on where it is read: it has files of its own for a working tree, or includes some on conditions.
    #[must_use]
    pub(crate) fn depends_on_the_place(&self) -> bool {
        let mut keys = self.values.keys();
        self.is_true("extensions.worktreeconfig") || keys.any(|key| key.starts_with("includeif."))
    }

    /// Whether a key is true, by git's words for it.
    #[must_use]
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|v| matches!(v.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "1"))
    }
}
