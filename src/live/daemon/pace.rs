//! How often to try what may fail: less and less often while it does, and not in step with others. Pure.

use std::time::{Duration, Instant};

/// The longest pause after failures, where nothing wants a shorter one.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// When to do something next.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    every: Duration,
    failures: u32,
    next: Instant,
    /// A number that differs from daemon to daemon.
    seed: u64,
}

impl Pace {
    /// Now, and then at this interval.
    pub(super) fn new(every: Duration, seed: u64, now: Instant) -> Self {
        Pace {
            every,
            failures: 0,
            next: now,
            seed,
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether it failed the last time.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// At once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next = now;
    }

    /// It was done; says whether it had failed before.
    pub(super) fn succeeded(&mut self, now: Instant) -> bool {
        let had_failed = self.failures > 0;
        self.failures = 0;
        self.next = now + self.jittered(self.every);
        had_failed
    }

    /// It failed; says how often in a row, this time included, and when it is tried again: after `longest` at most.
    pub(super) fn failed(&mut self, now: Instant, longest: Duration) -> (u32, Duration) {
        self.failures = self.failures.saturating_add(1);
        let factor = 2_u32.saturating_pow(self.failures - 1);
        let longest = longest.max(self.every);
        let pause = self.jittered(self.every.saturating_mul(factor).min(longest));
        self.next = now + pause;
        (self.failures, pause)
    }

    /// Up to a tenth sooner, another part of it each time.
    fn jittered(&mut self, pause: Duration) -> Duration {
        // The constants of Knuth's MMIX generator.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let part = u32::try_from(self.seed >> 54).unwrap_or_default();
        pause.saturating_sub((pause / 10_240) * part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_it_slower_and_success_makes_it_quick_again() {
        let now = Instant::now();
        let every = Duration::from_secs(30);
        let mut pace = Pace::new(every, 7, now);
        assert!(pace.is_due(now));
        let mut last = Duration::ZERO;
        for nth in 1..=3 {
            let (failures, pause) = pace.failed(now, LONGEST);
            assert_eq!(failures, nth);
            assert!(pause > last && pause <= every * 4, "{pause:?}");
            last = pause;
        }
        for _ in 0..40 {
            assert!(pace.failed(now, LONGEST).1 <= LONGEST);
        }
        assert!(pace.succeeded(now));
        assert!(!pace.is_due(now) && pace.is_due(now + every));
        assert!(!pace.succeeded(now));
    }

    #[test]
    fn two_agents_do_not_march_in_step() {
        let now = Instant::now();
        let next = |seed| {
            let mut pace = Pace::new(Duration::from_secs(30), seed, now);
            pace.succeeded(now);
            pace.next()
        };
        assert_ne!(next(1), next(2 << 40));
        for seed in 0..1000_u64 {
            let pause = next(seed << 50) - now;
            assert!(pause > Duration::from_secs(26) && pause <= Duration::from_secs(30));
        }
    }
}
