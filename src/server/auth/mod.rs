//! Who asks, and whether they are let in.
//!
//! A [`Authenticator`] is open (a loopback server without users: whoever reaches it is one person) or guarded by a file of users.
//! Then a request shows a name and a password, a token (as a bearer, or in the password's place), or comes from a proxy
//! that has asked already and names the user in a header.
//!
//! A right password is remembered while it is used, since it takes tens of milliseconds to check, for the address it came
//! from; a wrong one is counted against its address and the name it was for. What is remembered, and a right token, pass
//! whatever was counted: guessing at a name does not lock its owner out of a program that is logged in. Comparing with what
//! is remembered is fast, so that it is counted as well, by address and name together: else it could be guessed at.
//! What this does not do: keep secrets from those who listen (that is TLS), or tell a browser's own requests from forged
//! ones.

mod attempts;
mod caller;
mod credentials;
mod network;
mod remembered;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::users::{Current, PasswordHash};
use crate::rules::error::{Error, Result};
use attempts::{Attempts, Client};
pub use caller::Caller;
use credentials::{Credentials, Malformed};
pub use network::Network;
use remembered::{Remembered, Shown};

/// How many passwords are checked at once, at 19 MiB and a core each: a flood of logins must not take all there is.
const AT_ONCE: usize = 2;
/// How often the file of users is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why somebody is not let in.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Denied {
    /// Nothing was said of who asks.
    #[error("a name and password, or a token, are required")]
    Missing,
    /// What was said is not right.
    #[error("wrong name, password or token")]
    Wrong,
    /// Too many wrong ones from this address, or for this name.
    #[error("too many wrong passwords or tokens recently")]
    TooMany {
        /// When the next one is looked at; a fraction of a second counts as a whole one.
        retry_after: Duration,
    },
    /// Nobody can tell who the users are.
    #[error("the users cannot be read")]
    Unavailable(#[source] Arc<Error>),
}

/// Where everybody has to pass.
#[derive(Debug)]
pub struct Authenticator(Kind);

#[derive(Debug)]
enum Kind {
    Open(Box<Caller>),
    Guarded(Arc<Guarded>),
}

impl Authenticator {
    /// No users: everybody who reaches the port is this person.
    #[must_use]
    pub fn open(caller: Caller) -> Self {
        Authenticator(Kind::Open(Box::new(caller)))
    }

    /// The users of a file. Requests that come from `proxies` may name the user in `header`, if there is one; from
    /// anywhere else the header means nothing.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::BadUsers`]; where the file breaks later, the users read last stay in force.
    pub fn guarded(
        file: PathBuf,
        proxies: Vec<Network>,
        header: Option<HeaderName>,
    ) -> Result<Self> {
        Self::looking_every(LOOK, file, proxies, header)
    }

    fn looking_every(
        every: Duration,
        file: PathBuf,
        proxies: Vec<Network>,
        header: Option<HeaderName>,
    ) -> Result<Self> {
        Ok(Authenticator(Kind::Guarded(Arc::new(Guarded {
            users: Arc::new(Current::open(file, every)?),
            proxies,
            header,
            nobodys: PasswordHash::of_nothing(),
            attempts: Mutex::default(),
            remembered: Mutex::new(Remembered::new()),
            checking: Arc::new(Semaphore::new(AT_ONCE)),
        }))))
    }

    /// Whether those who are known can be read.
    ///
    /// # Errors
    /// Why they cannot be read: all logins are rejected then.
    pub(crate) async fn users(&self) -> Result<(), Arc<Error>> {
        match &self.0 {
            Kind::Open(_) => Ok(()),
            Kind::Guarded(guarded) => guarded.users.users().await.map(drop),
        }
    }

    /// Whether nobody is asked who they are.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.0, Kind::Open(_))
    }

    /// Who asks; `peer` is the other end of the connection.
    ///
    /// # Errors
    /// Why all logins are rejected.
    pub(crate) async fn authenticate(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Caller, Denied> {
        match &self.0 {
            Kind::Open(caller) => Ok(caller.as_ref().clone()),
            Kind::Guarded(guarded) => guarded.authenticate(peer, headers).await,
        }
    }

    /// Whom wrong passwords are counted against: the other end of the connection, or the last address that a trusted
    /// proxy names in `X-Forwarded-For`.
    #[must_use]
    pub(crate) fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        match &self.0 {
            Kind::Open(_) => peer.to_canonical(),
            Kind::Guarded(guarded) => guarded.client_of(peer, headers),
        }
    }
}

/// An authenticator with users, and what is known of those who tried.
#[derive(Debug)]
struct Guarded {
    users: Arc<Current>,
    proxies: Vec<Network>,
    /// In which a proxy names the user. Without it none may: nothing would keep clients from sending one through it.
    header: Option<HeaderName>,
    /// The hash that passwords of unknown names are checked against, so that this takes as long.
    nobodys: PasswordHash,
    attempts: Mutex<Attempts>,
    remembered: Mutex<Remembered>,
    checking: Arc<Semaphore>,
}

/// A name and a password on their way to being checked.
struct Login {
    client: Client,
    name: String,
    password: String,
    /// `None`: no password lets this name in.
    hash: Option<PasswordHash>,
}

impl Login {
    fn shown<'a>(&'a self, hash: &'a PasswordHash) -> Shown<'a> {
        Shown {
            client: self.client,
            name: &self.name,
            hash,
            password: &self.password,
        }
    }
}

impl Guarded {
    async fn authenticate(
        self: &Arc<Self>,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Caller, Denied> {
        let users = self.users.users().await.map_err(Denied::Unavailable)?;
        let is_proxied = self.is_proxy(peer);
        let header = self.header.as_ref().filter(|_| is_proxied);
        if let Some(named) = header.and_then(|header| credentials::named(headers, header)) {
            let name = named.map_err(|Malformed| Denied::Wrong)?;
            let user = users.get(name).ok_or(Denied::Wrong)?;
            return Ok(Caller::of(name, user, true));
        }
        let client = Client::of(self.client_of(peer, headers));
        match Credentials::of(headers) {
            Ok(None) => Err(Denied::Missing),
            Err(Malformed) => Err(self.wrong(client)),
            Ok(Some(Credentials::Bearer(token))) => users
                .with_token(&token)
                .map(|(name, user)| Caller::of(name, user, is_proxied))
                .ok_or_else(|| self.wrong(client)),
            Ok(Some(Credentials::Basic { name, password })) => {
                let user = users.get(&name);
                let caller = user.map(|user| Caller::of(&name, user, is_proxied));
                if user.is_none_or(|user| !user.has_token(&password)) {
                    let hash = user.and_then(|user| user.password.clone());
                    let login = Login {
                        client,
                        name,
                        password,
                        hash,
                    };
                    self.check(login).await?;
                }
                caller.ok_or(Denied::Wrong)
            }
        }
    }

    /// What is wrong without a password to check: counted, unless there were too many already.
    fn wrong(&self, client: Client) -> Denied {
        let now = Instant::now();
        let mut attempts = self.attempts();
        if let Some(retry_after) = attempts.retry_after(client, None, now) {
            return Denied::TooMany { retry_after };
        }
        attempts.failed(client, None, now);
        Denied::Wrong
    }

    /// Checks a password, unless it is remembered.
    async fn check(self: &Arc<Self>, login: Login) -> Result<(), Denied> {
        if self.recalls(&login)? {
            return Ok(());
        }
        self.admits_another(&login)?;
        let permit = Arc::clone(&self.checking)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let this = Arc::clone(self);
        // Where that panics, nothing was proved.
        tokio::task::spawn_blocking(move || this.check_now(&login, permit))
            .await
            .unwrap_or(Err(Denied::Wrong))
    }

    /// Checks a password, and notes the outcome here, where it is noted even if whoever asked has gone away.
    fn check_now(&self, login: &Login, _permit: OwnedSemaphorePermit) -> Result<(), Denied> {
        // Those who came before may have settled it.
        if self.remembers(login, Instant::now()) {
            return Ok(());
        }
        self.admits_another(login)?;
        let matches = login
            .hash
            .as_ref()
            .unwrap_or(&self.nobodys)
            .is_of(&login.password);
        let now = Instant::now();
        match &login.hash {
            Some(hash) if matches => {
                self.remembered().remember(&login.shown(hash), now);
                self.attempts().recognised(login.client, &login.name);
                Ok(())
            }
            _ => {
                self.attempts().failed(login.client, Some(&login.name), now);
                tracing::info!(client = %login.client, name = login.name, "a wrong password");
                Err(Denied::Wrong)
            }
        }
    }

    /// Whether a password is remembered, as far as one may ask.
    fn recalls(&self, login: &Login) -> Result<bool, Denied> {
        if login.hash.is_none() {
            return Ok(false);
        }
        let now = Instant::now();
        let mut attempts = self.attempts();
        if let Some(retry_after) = attempts.no_more_guesses(login.client, &login.name, now) {
            return Err(Denied::TooMany { retry_after });
        }
        let is_known = self.remembers(login, now);
        if !is_known {
            // Before it is checked, so that a thousand at once are no thousand guesses.
            attempts.guessed(login.client, &login.name, now);
        }
        Ok(is_known)
    }

    fn remembers(&self, login: &Login, now: Instant) -> bool {
        let shown = login.hash.as_ref().map(|hash| login.shown(hash));
        shown.is_some_and(|shown| self.remembered().knows(&shown, now))
    }

    fn admits_another(&self, login: &Login) -> Result<(), Denied> {
        let attempts = self.attempts();
        match attempts.retry_after(login.client, Some(&login.name), Instant::now()) {
            Some(retry_after) => Err(Denied::TooMany { retry_after }),
            None => Ok(()),
        }
    }

    fn is_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }

    fn client_of(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let forwarded = self.is_proxy(peer).then(|| credentials::forwarded(headers));
        forwarded.flatten().unwrap_or(peer).to_canonical()
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock()
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock()
    }
}

#[cfg(test)]
mod tests;
