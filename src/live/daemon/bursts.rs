//! Saves that belong together: an editor writes a file several times for one save, a build writes it every second. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long nothing is written between two bursts.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// The bursts that are under way, by path.
#[derive(Debug, Default)]
pub(super) struct Bursts {
    of: HashMap<Vec<u8>, Burst>,
}

#[derive(Debug)]
struct Burst {
    last: Instant,
    state: State,
}

/// What is known of a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing yet: git is to be asked.
    Open,
    /// Git was asked, and saw no edit so far.
    Unchanged,
    /// The edit was told.
    Told,
}

impl Bursts {
    /// A file was written.
    pub(super) fn touch(&mut self, path: Vec<u8>, now: Instant) {
        let burst = self.of.entry(path).or_insert(Burst {
            last: now,
            state: State::Open,
        });
        burst.last = now;
        if burst.state == State::Unchanged {
            burst.state = State::Open;
        }
    }

    /// The files about which git is to be asked now.
    pub(super) fn unjudged(&mut self) -> Vec<Vec<u8>> {
        let open = self.of.iter_mut().filter(|(_, b)| b.state == State::Open);
        let mut paths: Vec<Vec<u8>> = open
            .map(|(path, burst)| {
                burst.state = State::Unchanged;
                path.clone()
            })
            .collect();
        paths.sort();
        paths
    }

    /// Git saw an edit; says whether it is to be told: once in each burst.
    pub(super) fn is_news(&mut self, path: &[u8], now: Instant) -> bool {
        let burst = self.of.entry(path.to_vec()).or_insert(Burst {
            last: now,
            state: State::Open,
        });
        std::mem::replace(&mut burst.state, State::Told) != State::Told
    }

    /// The files whose burst is over and was not told: git is asked about them for the last time.
    pub(super) fn over(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let is_over = |burst: &Burst| now.duration_since(burst.last) >= QUIET;
        let mut untold = Vec::new();
        self.of.retain(|path, burst| {
            if is_over(burst) && burst.state != State::Told {
                untold.push(path.clone());
            }
            !is_over(burst)
        });
        untold.sort();
        untold
    }

    /// A file that git is to be asked about when nothing has been written to it for a while, and not before.
    pub(super) fn ask_at_end(&mut self, path: Vec<u8>, now: Instant) {
        self.of.entry(path).or_insert(Burst {
            last: now,
            state: State::Unchanged,
        });
    }

    /// The burst of a file is over at once.
    pub(super) fn end(&mut self, path: &[u8]) {
        self.of.remove(path);
    }

    /// When the next burst is over.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.of.values().map(|burst| burst.last + QUIET).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_told_once_and_the_next_one_again() {
        let (mut bursts, begin) = (Bursts::default(), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        let file = || b"hero.psd".to_vec();
        bursts.touch(file(), at(0));
        assert_eq!(bursts.unjudged(), [file()]);
        assert!(bursts.unjudged().is_empty());
        assert!(bursts.is_news(b"hero.psd", begin));
        for millis in [500, 1500, 3000] {
            bursts.touch(file(), at(millis));
            assert!(bursts.unjudged().is_empty());
            assert!(!bursts.is_news(b"hero.psd", begin));
            assert!(bursts.over(at(millis + 1999)).is_empty());
        }
        assert_eq!(bursts.next_end(), Some(at(5000)));
        assert!(bursts.over(at(5000)).is_empty());
        bursts.touch(file(), at(5001));
        assert_eq!(bursts.unjudged(), [file()]);
        assert!(bursts.is_news(b"hero.psd", begin));
    }

    #[test]
    fn what_is_asked_about_at_the_end_is_not_asked_about_before() {
        let (mut bursts, begin) = (Bursts::default(), Instant::now());
        bursts.ask_at_end(b"a".to_vec(), begin);
        bursts.ask_at_end(b"a".to_vec(), begin + QUIET / 2);
        assert!(bursts.unjudged().is_empty());
        assert_eq!(bursts.over(begin + QUIET), [b"a".to_vec()]);
    }

    #[test]
    fn what_was_no_edit_is_asked_about_again_at_every_write_and_at_the_end() {
        let (mut bursts, begin) = (Bursts::default(), Instant::now());
        bursts.touch(b"a".to_vec(), begin);
        assert_eq!(bursts.unjudged(), [b"a".to_vec()]);
        bursts.touch(b"a".to_vec(), begin);
        assert_eq!(bursts.unjudged(), [b"a".to_vec()]);
        assert_eq!(bursts.over(begin + QUIET), [b"a".to_vec()]);
        assert!(bursts.over(begin + QUIET).is_empty());
    }
}
