//! Wrong passwords, counted by the address they came from and the name they were for. Pure: the time comes in.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// For how long one counts.
const WINDOW: Duration = Duration::from_secs(60);
/// How many of one client there may be in that time.
const OF_A_CLIENT: usize = 10;
/// How many for one name there may be in that time, from wherever.
const FOR_A_NAME: usize = 30;
/// How many of one client for one name may be compared with what is remembered in that time: more than a program sends at
/// once before its password is known.
const GUESSES: usize = 100;
/// How many clients, names, and pairs of them are kept in mind.
pub(super) const MOST: usize = 10_000;

/// Where somebody sits, as far as that can be told: an address, or the /64 that every IPv6 host has to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Client(IpAddr);

impl Client {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Client(v4.into()),
            IpAddr::V6(v6) => Client(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into()),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The wrong passwords of late.
#[derive(Debug)]
pub(super) struct Attempts {
    by_client: Failures<Client>,
    by_name: Failures<String>,
    guesses: Failures<(Client, String)>,
}

impl Default for Attempts {
    fn default() -> Self {
        Attempts {
            by_client: Failures::at_most(OF_A_CLIENT),
            by_name: Failures::at_most(FOR_A_NAME),
            guesses: Failures::at_most(GUESSES),
        }
    }
}

impl Attempts {
    /// How long another one must wait, if it must.
    pub(super) fn retry_after(
        &self,
        client: Client,
        name: Option<&str>,
        now: Instant,
    ) -> Option<Duration> {
        let by_client = self.by_client.retry_after(&client, now);
        let by_name = name.and_then(|name| self.by_name.retry_after(&name.to_owned(), now));
        by_client.max(by_name)
    }

    /// Counts one.
    pub(super) fn failed(&mut self, client: Client, name: Option<&str>, now: Instant) {
        self.by_client.failed(client, now);
        if let Some(name) = name {
            self.by_name.failed(name.to_owned(), now);
        }
    }

    /// How long this client must wait before another password for this name is compared with what is remembered.
    pub(super) fn no_more_guesses(
        &self,
        client: Client,
        name: &str,
        now: Instant,
    ) -> Option<Duration> {
        let left = self.guesses.retry_after(&(client, name.to_owned()), now)?;
        // Told as for a name that nobody has.
        self.retry_after(client, Some(name), now).or(Some(left))
    }

    /// Counts one that was compared and not remembered.
    pub(super) fn guessed(&mut self, client: Client, name: &str, now: Instant) {
        self.guesses.failed((client, name.to_owned()), now);
    }

    /// Forgets what this client guessed: it knew.
    pub(super) fn recognised(&mut self, client: Client, name: &str) {
        self.guesses.moments.remove(&(client, name.to_owned()));
    }
}

/// When it went wrong, for each of one kind; never empty, oldest first.
#[derive(Debug)]
struct Failures<K> {
    limit: usize,
    moments: HashMap<K, VecDeque<Instant>>,
}

impl<K: Hash + Eq + Clone> Failures<K> {
    fn at_most(limit: usize) -> Self {
        Failures {
            limit,
            moments: HashMap::new(),
        }
    }

    fn retry_after(&self, key: &K, now: Instant) -> Option<Duration> {
        let moments = self.moments.get(key)?;
        if moments.len() < self.limit {
            return None;
        }
        // No more than the limit are kept: while the first of them counts, all do.
        let end = *moments.front()? + WINDOW;
        Some(end.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    fn failed(&mut self, key: K, now: Instant) {
        if !self.moments.contains_key(&key) {
            let last = |moments: &VecDeque<Instant>| moments.back().copied();
            make_room(&mut self.moments, last);
        }
        let moments = self.moments.entry(key).or_default();
        moments.push_back(now);
        if moments.len() > self.limit {
            moments.pop_front();
        }
    }
}

/// Makes room for one more in a table of at most [`MOST`], by dropping the one with the oldest moment. It takes a look at
/// each, which is little beside the checking of a password.
pub(super) fn make_room<K: Hash + Eq + Clone, V>(
    table: &mut HashMap<K, V>,
    moment: impl Fn(&V) -> Option<Instant>,
) {
    if table.len() < MOST {
        return;
    }
    let oldest = table.iter().min_by_key(|(_, value)| moment(value));
    if let Some(key) = oldest.map(|(key, _)| key.clone()) {
        table.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(address.parse().unwrap())
    }

    #[test]
    fn the_eleventh_of_a_client_waits_until_the_first_is_a_minute_old() {
        let mut attempts = Attempts::default();
        let (start, ada) = (Instant::now(), client("10.0.0.1"));
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..10 {
            assert_eq!(attempts.retry_after(ada, None, at(second)), None);
            attempts.failed(ada, None, at(second));
        }
        let left = attempts.retry_after(ada, None, at(10));
        assert_eq!(left, Some(Duration::from_secs(50)));
        assert_eq!(attempts.retry_after(client("10.0.0.2"), None, at(10)), None);
        assert_eq!(attempts.retry_after(ada, None, at(60)), None);
        attempts.failed(ada, None, at(60));
        let left = attempts.retry_after(ada, None, at(60));
        assert_eq!(left, Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_name_has_thirty_from_wherever() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        for host in 0..30 {
            let from = client(&format!("10.0.0.{host}"));
            assert_eq!(attempts.retry_after(from, Some("ada"), now), None);
            attempts.failed(from, Some("ada"), now);
        }
        let elsewhere = client("10.0.1.1");
        let left = attempts.retry_after(elsewhere, Some("ada"), now);
        assert_eq!(left, Some(WINDOW));
        assert_eq!(attempts.retry_after(elsewhere, Some("bob"), now), None);
        assert_eq!(attempts.retry_after(elsewhere, None, now), None);
    }

    #[test]
    fn a_hundred_guesses_at_what_is_remembered_are_the_most_unless_one_is_right() {
        let mut attempts = Attempts::default();
        let (now, here) = (Instant::now(), client("10.0.0.1"));
        for _ in 0..100 {
            assert_eq!(attempts.no_more_guesses(here, "ada", now), None);
            attempts.guessed(here, "ada", now);
        }
        let left = attempts.no_more_guesses(here, "ada", now);
        assert_eq!(left, Some(WINDOW));
        assert_eq!(attempts.no_more_guesses(here, "bob", now), None);
        assert_eq!(
            attempts.no_more_guesses(client("10.0.0.2"), "ada", now),
            None
        );
        attempts.recognised(here, "ada");
        assert_eq!(attempts.no_more_guesses(here, "ada", now), None);
    }

    #[test]
    fn a_client_is_an_address_or_the_network_it_has_to_itself() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }

    #[test]
    fn the_tables_are_bounded_and_drop_the_oldest() {
        let mut failures = Failures::at_most(1);
        let start = Instant::now();
        for key in 0..=MOST {
            let step = u64::try_from(key).unwrap();
            failures.failed(key, start + Duration::from_micros(step));
        }
        assert_eq!(failures.moments.len(), MOST);
        assert_eq!(failures.retry_after(&0, start), None);
        assert!(failures.retry_after(&1, start).is_some());
        assert!(failures.retry_after(&MOST, start).is_some());
    }
}
