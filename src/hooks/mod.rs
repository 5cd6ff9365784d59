//! Installs, upgrades and removes the git hooks of a repository, next to hooks of other tools. A repository with a
//! working tree gets the client hooks, a bare one the hook that judges pushes.
//!
//! The scripts in `hooks/` are shipped as they are; only the path of the binary is filled in. The marker on their second
//! line identifies ours under any name, and they are replaced in place. A foreign hook keeps running as it was called
//! (`before`). Tools that own the place of a hook keep it and run ours. Where the team tracks its hooks, the team adds
//! the lines that run ours. Files of others are never overwritten.

mod before;
mod lfs;
mod needed;
mod place;
pub mod receive;
mod removal;
mod script;
mod state;
mod template;

use std::fs;
use std::path::{Path, PathBuf};

pub use before::callable;
pub use lfs::is_left_to_us;
pub use state::State;
pub use template::Template;

use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::latch::identity::Home;
use crate::os::files;
use crate::os::mode::Sharing;
use crate::os::paths::with_suffix;
use crate::rules::error::{Error, Result};
use crate::rules::spelling::quoted;
use before::Before;
use place::Way;
use removal::remove_strays;
use script::Shipped;
use state::{slot, state_in, state_of_line};

/// Whether hooks may be installed where all of the user's repositories look for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Global {
    /// No.
    Refuse,
    /// Yes (`--force`).
    Accept,
}

/// What became of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there now.
    Installed,
    /// An older one of ours, or one for a binary elsewhere, is replaced.
    Upgraded,
    /// It was there.
    Unchanged,
    /// It is there now, and the one that was there goes on running.
    Chained,
    /// It is for the user to add this line to a hook of the team's.
    AddLine(String),
    /// It is gone.
    Removed,
    /// It is gone, and the one that was there before is back.
    Restored,
    /// It is not ours, and stays.
    Foreign,
    /// There was none.
    Absent,
}

impl Outcome {
    /// The word of JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Installed => "installed",
            Outcome::Upgraded => "upgraded",
            Outcome::Unchanged => "unchanged",
            Outcome::Chained => "chained",
            Outcome::AddLine(_) => "add_line",
            Outcome::Removed => "removed",
            Outcome::Restored => "restored",
            Outcome::Foreign => "foreign",
            Outcome::Absent => "absent",
        }
    }
}

/// The directory in which git looks for hooks.
#[derive(Clone, Debug)]
pub struct Hooks {
    directory: PathBuf,
    way: Way,
    /// Set by `core.hooksPath` of the user or the system: for all repositories.
    is_global: bool,
    /// Those that have something to do here.
    needed: Vec<&'static Shipped>,
    /// Those that have not.
    idle: Vec<&'static Shipped>,
    common_dir: PathBuf,
}

impl Hooks {
    /// Finds it.
    pub fn of(repo: &Repo) -> Result<Self> {
        let directory = place::directory(repo)?;
        let (needed, idle) = match (repo.is_bare(), directory.join("pre-receive.d").is_dir()) {
            (false, _) => by_need(repo)?,
            (true, false) => (vec![&script::BARE], Vec::new()),
            (true, true) => (vec![&script::BARE_IN_DIRECTORY], Vec::new()),
        };
        Ok(Hooks {
            way: place::way(repo, &directory)?,
            is_global: place::is_global(repo)?,
            needed,
            idle,
            directory,
            common_dir: repo.common_dir().to_owned(),
        })
    }

    /// Whether a hook that judges does not run here, by what the configuration says; asks git for nothing, and so does
    /// not know everything: an answer of `false` is no proof.
    pub fn are_missing(repo: &Repo, config: &Config, home: &Home) -> Result<bool> {
        let Some(directory) = place::peek(repo, config, home.home.as_deref()) else {
            return Ok(false);
        };
        let way = match place::husky(&directory) {
            Some(scripts) => Way::Lines(scripts),
            None => Way::Scripts,
        };
        let (needed, idle) = by_need(repo)?;
        let hooks = Hooks {
            directory,
            way,
            is_global: false,
            needed,
            idle,
            common_dir: repo.common_dir().to_owned(),
        };
        let mut states = hooks.states()?.into_iter();
        let runs = |state| matches!(state, State::Outdated) || State::is_well(state);
        Ok(states.any(|(name, state)| name.starts_with("pre-") && !runs(state)))
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of the team's in which a hook is to call us, and the line for it; `None` where ours is a script.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<(PathBuf, String)> {
        match &self.way {
            Way::Scripts => None,
            Way::Lines(scripts) => Some((scripts.join(name), script::line_for(name))),
        }
    }

    /// Installs every hook that has something to do, to run `binary` where none is on the `PATH`, and removes those of
    /// ours that have nothing to do any more. Safe to repeat.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the directory is that of all repositories and `global` does not accept it.
    pub fn install(
        &self,
        binary: &Path,
        global: Global,
        sharing: Sharing,
    ) -> Result<Vec<(&'static str, Outcome)>> {
        if self.is_global && global == Global::Refuse {
            return Err(self.refuse_global());
        }
        if let Way::Lines(_) = self.way {
            if place::husky(&self.directory).is_some() {
                Self::clear(&self.directory, |_| true)?;
            }
            let line = |hook: &&Shipped| Ok((hook.name, self.line_one(hook)?));
            return self.needed.iter().map(line).collect();
        }
        // It may be a link to a directory.
        if !self.directory.is_dir() {
            self.refuse_what_is_none()?;
            files::create_directories(&self.directory, sharing)?;
        }
        self.note_directory(sharing)?;
        let install = |hook: &&Shipped| Ok((hook.name, self.install_one(hook, binary, sharing)?));
        let outcomes: Result<Vec<_>> = self.needed.iter().map(install).collect();
        let mut outcomes = outcomes?;
        let is_idle = |name: &str| self.idle.iter().any(|hook| hook.name == name);
        outcomes.extend(Self::clear(&self.directory, is_idle)?);
        // That of a template has nothing to do any more.
        Self::clear(&self.directory, |name| name == script::ONCE.name)?;
        Ok(outcomes)
    }

    fn refuse_global(&self) -> Error {
        let shown = quoted(self.directory.as_os_str().as_encoded_bytes());
        Error::Unsupported {
            problem: format!(
                "`core.hooksPath` in your global configuration sends every repository to {shown}"
            ),
            hint: Some(
                "give this one its own, `git config core.hooksPath .git/hooks`, or install for all of them: git latch init --force".into(),
            ),
        }
    }

    /// Hooks are switched off by `core.hooksPath = /dev/null`.
    fn refuse_what_is_none(&self) -> Result<()> {
        if !self.directory.exists() {
            return Ok(());
        }
        let shown = quoted(self.directory.as_os_str().as_encoded_bytes());
        Err(Error::Unsupported {
            problem: format!(
                "git looks for hooks in {shown}, which is not a directory: it runs none here"
            ),
            hint: Some("git config --unset core.hooksPath".into()),
        })
    }

    /// Puts those of ours back that another tool has replaced while one of them ran, as lefthook does when its
    /// configuration has changed; what the tool put there goes on running. Gives their names. One that has come to be
    /// needed is installed.
    ///
    /// `script` is the hook of ours that runs, as git called it.
    pub fn mend(repo: &Repo, script: &Path, binary: &Path) -> Result<Vec<&'static str>> {
        let Some(directory) = script.parent() else {
            return Ok(Vec::new());
        };
        let state = |hook: &'static Shipped| Some((hook, state_in(directory, hook).ok()?));
        let astray = |(hook, state): &(&Shipped, State)| match state {
            State::Foreign => true,
            State::Missing => needed::comes_later(hook.name),
            _ => false,
        };
        let astray: Vec<_> = script::WORKING
            .iter()
            .filter_map(state)
            .filter(astray)
            .collect();
        let mut mended = Vec::new();
        for (hook, state) in astray {
            if !needed::is_needed(hook.name, repo)? {
                continue;
            }
            let hooks = Hooks::of(repo)?;
            let config = Config::read(&repo.git())?;
            let shared = config.get("core.sharedrepository").unwrap_or_default();
            let sharing = Sharing::from_config(shared);
            let is_here = place::is_same(&hooks.directory, directory);
            if is_here && !hooks.is_global && hooks.way == Way::Scripts {
                hooks.install_one(hook, binary, sharing)?;
                mended.extend((state == State::Foreign).then_some(hook.name));
            }
        }
        Ok(mended)
    }

    fn line_one(&self, hook: &Shipped) -> Result<Outcome> {
        Ok(match self.state_of(hook)? {
            State::Called | State::Right => Outcome::Unchanged,
            _ => Outcome::AddLine(script::line_for(hook.name)),
        })
    }

    fn install_one(&self, hook: &Shipped, binary: &Path, sharing: Sharing) -> Result<Outcome> {
        let place = self.directory.join(hook.file);
        self.upgrade_first(&place, sharing)?;
        let slot = slot(&place);
        let text = hook.text(binary);
        let outcome = match self.state_of(hook)? {
            State::Called if !script::is_ours(&slot) => return Ok(Outcome::Unchanged),
            State::Right | State::Called
                if fs::read(&slot).is_ok_and(|old| old == text.as_bytes()) =>
            {
                return Ok(Outcome::Unchanged);
            }
            State::Foreign => {
                if fs::symlink_metadata(&slot).is_ok() {
                    let name = slot.file_name().unwrap_or_default();
                    Before::of(slot.parent().unwrap_or(&slot)).keep(name, sharing)?;
                }
                Outcome::Chained
            }
            State::Missing => Outcome::Installed,
            _ => Outcome::Upgraded,
        };
        write(&slot, &text, sharing)?;
        remove_strays(hook, &slot)?;
        Ok(outcome)
    }

    /// Our first version kept a hook that was there as `<name>.legacy`.
    fn upgrade_first(&self, place: &Path, sharing: Sharing) -> Result<()> {
        let legacy = with_suffix(place, ".legacy");
        let text = script::text_of(place).unwrap_or_default();
        let is_first = script::version_of(&text) == Some(script::FIRST);
        if !is_first || fs::symlink_metadata(&legacy).is_err() || script::is_ours(&legacy) {
            return Ok(());
        }
        let called = self.directory.join(script::CALLED_BY_FIRST);
        if called.is_dir() {
            fs::remove_dir_all(&called).map_err(Error::io("remove", &called))?;
        }
        if script::text_of(&legacy).is_some_and(|text| script::keeps_its_place(&text)) {
            // It finds itself where it was before, and runs ours.
            return fs::rename(&legacy, place).map_err(Error::io("restore", place));
        }
        let name = place.file_name().unwrap_or_default();
        Before::of(place.parent().unwrap_or(place)).adopt(&legacy, name, sharing)
    }

    /// Removes ours, whatever other tools have called them, and brings back what was there before. What is not ours
    /// stays.
    pub fn uninstall(&self) -> Result<Vec<(&'static str, Outcome)>> {
        let mut cleared = Vec::new();
        for directory in self.directories() {
            cleared.extend(Self::clear(&directory, |_| true)?);
        }
        let outcome = |hook: &&'static Shipped| {
            let found = cleared.iter().find(|(name, _)| *name == hook.name);
            let left = || match self.state_of(hook) {
                Ok(State::Missing | State::LineMissing) => Outcome::Absent,
                _ => Outcome::Foreign,
            };
            let outcome = found.map_or_else(left, |(_, outcome)| outcome.clone());
            (hook.name, outcome)
        };
        Ok(self.needed.iter().chain(&self.idle).map(outcome).collect())
    }

    /// The team's scripts that call us, which are for the team to change.
    #[must_use]
    pub fn lines_left(&self) -> Vec<PathBuf> {
        let Way::Lines(scripts) = &self.way else {
            return Vec::new();
        };
        let all = self.needed.iter().chain(&self.idle);
        let calls = |hook: &&&Shipped| {
            let text = fs::read(scripts.join(hook.name)).unwrap_or_default();
            script::calls_us(&String::from_utf8_lossy(&text), hook.name)
        };
        all.filter(calls)
            .map(|hook| scripts.join(hook.name))
            .collect()
    }

    /// How every hook stands that has something to do.
    pub fn states(&self) -> Result<Vec<(&'static str, State)>> {
        let state = |hook: &&Shipped| Ok((hook.name, self.state_of(hook)?));
        self.needed.iter().map(state).collect()
    }

    fn state_of(&self, hook: &Shipped) -> Result<State> {
        match &self.way {
            Way::Scripts => state_in(&self.directory, hook),
            Way::Lines(scripts) => Ok(state_of_line(scripts, &self.directory, hook)),
        }
    }
}

/// The hooks of a repository that somebody works in: those that have something to do, and the others.
fn by_need(repo: &Repo) -> Result<(Vec<&'static Shipped>, Vec<&'static Shipped>)> {
    let (mut needed, mut idle) = (Vec::new(), Vec::new());
    for hook in &script::WORKING {
        let group = if needed::is_needed(hook.name, repo)? {
            &mut needed
        } else {
            &mut idle
        };
        group.push(hook);
    }
    Ok((needed, idle))
}

fn write(path: &Path, text: &str, sharing: Sharing) -> Result<()> {
    let staged = files::stage(path.parent().unwrap_or(path), text.as_bytes(), sharing)?;
    crate::os::permissions::make_executable(staged.path())
        .map_err(Error::io("set the mode of", path))?;
    staged
        .persist(path)
        .map(drop)
        .map_err(|e| Error::io("write", path)(e.error))
}
