//! Whether locks are shared, through which remote, and the step from one machine's locks to shared ones.

use std::time::Duration;

use super::Latch;
use crate::git::config::Config;
use crate::git::repo::Repo;
use crate::latch::policy::Policy;
use crate::os::mode::Sharing;
use crate::rules::error::{Error, Result};
use crate::rules::lease::{self, Change};
use crate::rules::time::{Clock, DurationSpec, Ttl};
use crate::rules::view::{Entry, Me};
use crate::store::{self, LockStore as _, Scope, SharedStore, Synced, Verdict};

/// The shortest life of a shared lock.
const SHORTEST: Ttl = Ttl::For(DurationSpec::from_secs(600));

/// The shared store, where there is one: the repository's own configuration decides once it has been written, so that a
/// branch with another policy does not split the locks in two.
pub(super) fn of(
    repo: &Repo,
    policy: &Policy,
    config: &Config,
    sharing: Sharing,
) -> Option<SharedStore> {
    // Where pushes arrive the ref itself is looked at.
    if repo.is_bare() {
        return None;
    }
    let configured = config.get("latch.remote");
    let remote = configured.or(policy.share_remote.as_deref())?;
    let reference = match configured {
        Some(_) => config.get("latch.ref").unwrap_or(&policy.share_ref),
        None => &policy.share_ref,
    };
    let mut store = SharedStore::new(repo, remote, reference, policy.terms, sharing);
    // A policy comes from others: `--upload-pack=CMD`, or a repository in the working tree with hooks of its own, would
    // run what they like.
    if !config.knows_remote(remote) {
        store = store.with_unknown_remote();
    }
    Some(if config.depends_on_the_place() {
        store.with_settings_of(repo)
    } else {
        store
    })
}

impl Latch {
    /// Whether a lock may have this life, asked for or given by the policy: the one rule for both.
    ///
    /// # Errors
    /// [`Error::BadUsage`] with the way out.
    pub(super) fn check_ttl(&self, asked: Option<Ttl>) -> Result<()> {
        let max = self.terms().max_ttl;
        let ttl = asked.unwrap_or(self.terms().ttl);
        if self.shared().is_some() && ttl < SHORTEST {
            let hint = match asked {
                _ if max < SHORTEST => format!("set the policy's `max_ttl` to at least {SHORTEST}"),
                Some(_) => format!("use at least `--ttl {SHORTEST}`"),
                None => format!("set the policy's `ttl` to at least {SHORTEST}"),
            };
            return Err(Error::bad_usage(
                format!("a ttl of `{ttl}` is too short for shared locks: every renewal is a push"),
                hint,
            ));
        }
        if ttl > max {
            return Err(Error::bad_usage(
                format!("a ttl of `{ttl}` exceeds the policy's max_ttl of `{max}`"),
                format!("use at most `--ttl {max}`, and renew"),
            ));
        }
        Ok(())
    }

    /// Fetches the shared locks, if locks are shared: what changed, and the number of the last change.
    ///
    /// # Errors
    /// [`Error::Unreachable`], after `limit` at the latest; [`Error::Refused`] where the remote's state went back.
    pub fn sync(&self, limit: Option<Duration>, clock: &dyn Clock) -> Result<Option<Synced>> {
        let Some(shared) = self.shared() else {
            return Ok(None);
        };
        self.prepare()?;
        // Who only looks, a build server say, needs no name.
        let me = match self.me() {
            Err(Error::NoIdentity) => self.reader()?,
            other => other?,
        };
        self.turn_sharing_on(&me, clock)?;
        let synced = shared.sync(limit, clock)?;
        // The locks that it has brought may have taken mine.
        if let Err(error) = self.take_back_lost(clock) {
            tracing::warn!(%error, "write bits are not set");
        }
        Ok(Some(synced))
    }

    /// Fetches the shared locks for somebody who only looks: no more is made or changed by it than by any other fetch.
    ///
    /// # Errors
    /// As [`Latch::sync`].
    pub fn look(&self, limit: Option<Duration>, clock: &dyn Clock) -> Result<()> {
        match (self.shared(), self.config.get("latch.remote")) {
            (Some(shared), Some(_)) => shared.sync(limit, clock).map(drop),
            // The first time locks of this machine may have to move.
            _ => self.sync(limit, clock).map(drop),
        }
    }

    /// Notes in the repository's configuration through which remote locks are shared, the first time a command changes
    /// locks after the policy says so; my locks of this machine move there in one push.
    ///
    /// # Errors
    /// [`Error::Unsupported`] while others hold locks on this machine: they would not know.
    pub(super) fn turn_sharing_on(&self, me: &Me, clock: &dyn Clock) -> Result<()> {
        let Some(shared) = self.shared() else {
            return Ok(());
        };
        let is_on = self.config.get("latch.remote").is_some();
        // Somebody may have written into the configuration by hand what this clone calls the remote.
        let was_on = shared.has_copy() || (is_on && shared.is_begun());
        if !was_on {
            self.move_own_locks(shared, me, clock)?;
        }
        if is_on {
            return Ok(());
        }
        let git = self.repo.git();
        for (key, value) in [
            ("latch.ref", self.policy.share_ref.as_str()),
            ("latch.remote", shared.remote()),
        ] {
            let file = self.repo.common_dir().join("config");
            let file = file.to_string_lossy().into_owned();
            git.output(&["config", "--file", &file, key, value])?;
        }
        Ok(())
    }

    fn move_own_locks(&self, shared: &SharedStore, me: &Me, clock: &dyn Clock) -> Result<()> {
        let before = self.local.view(&Scope::All, clock)?;
        if let Some(entry) = before.live().find(|e| !me.has(e)) {
            return Err(Error::HeldHere {
                path: entry.shown_path(),
                remote: shared.remote().to_owned(),
            });
        }
        let mine: Vec<_> = before.live().filter_map(Entry::lock).cloned().collect();
        if !mine.is_empty() {
            move_to(shared, &mine, me, clock)?;
        }
        let (_, ()) = store::transact(&self.local, &Scope::All, clock, |view| {
            let all = view.entries().map(|entry| Change::Remove {
                place: entry.place.clone(),
                was_live: false,
                note: None,
            });
            Ok((all.collect(), Verdict::Yes, ()))
        })?;
        Ok(())
    }
}

/// Moves locks of mine to where they are shared, in one push.
fn move_to(
    shared: &SharedStore,
    mine: &[crate::rules::lock::Lock],
    me: &Me,
    clock: &dyn Clock,
) -> Result<()> {
    let scope = Scope::Claims(mine.iter().map(crate::rules::lock::Lock::claim).collect());
    let (_, rival) = store::transact(shared, &scope, clock, |view| {
        let rival = mine
            .iter()
            .find_map(|lock| lease::rival(view, &me.owner, &lock.claim()).map(Entry::shown_path));
        if rival.is_some() {
            return Ok((Vec::new(), Verdict::No, rival));
        }
        let moved = mine.iter().map(|lock| {
            let seq = view.next_seq();
            Change::Acquire(Box::new(crate::rules::lock::Lock {
                seq,
                // Acquired there now: whoever reads it there holds both moments against that of the change.
                acquired_at: crate::rules::time::to_millis(view.now),
                heartbeat_at: crate::rules::time::to_millis(view.now),
                ..lock.clone()
            }))
        });
        Ok((moved.collect(), Verdict::Yes, None))
    })?;
    match rival {
        None => Ok(()),
        Some(path) => Err(Error::HeldThere {
            path,
            remote: shared.remote().to_owned(),
        }),
    }
}
