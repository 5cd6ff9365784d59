//! Time as the library sees it: a clock that is handed in, lengths of leases, time stamps of the lock file.
//!
//! Nothing here asks the system for the time: that is [`crate::os::clock`], which callers pass on purpose.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Where an operation that runs on gets its time from.
pub trait Clock: std::fmt::Debug + Sync {
    /// The present moment.
    fn now(&self) -> DateTime<Utc>;
}

/// A clock that stands still: what a test or a replay passes.
impl Clock for DateTime<Utc> {
    fn now(&self) -> DateTime<Utc> {
        *self
    }
}

/// The moment at the resolution of the lock file: whole milliseconds.
#[must_use]
pub(crate) fn to_millis(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.trunc_subsecs(3)
}

/// RFC 3339 in UTC with exactly three decimals, as in lock files and JSON.
#[must_use]
pub fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// A length of time in policies and on the command line: a whole number and `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DurationSpec {
    seconds: u32,
}

impl DurationSpec {
    /// A length of that many seconds. About 136 years are the most there can be.
    #[must_use]
    pub(crate) const fn from_secs(seconds: u32) -> Self {
        DurationSpec { seconds }
    }

    /// The length in seconds.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        u64::from(self.seconds)
    }

    /// The length as the time library's difference.
    #[must_use]
    pub(crate) fn as_delta(self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.seconds))
    }
}

impl FromStr for DurationSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "invalid duration `{text}`: expected a whole number followed by s, m, h or d, such as `90s` or `24h`"
            )
        };
        let unit = text.chars().next_back().ok_or_else(form)?;
        let factor = seconds_in(unit).filter(|_| unit != 'w').ok_or_else(form)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(form());
        }
        let count = digits.parse::<u64>().ok();
        let seconds = count.and_then(|count| count.checked_mul(factor));
        seconds
            .and_then(DurationSpec::of)
            .ok_or_else(|| too_long(text))
    }
}

impl DurationSpec {
    /// A length as a person types it: besides the form of policies also several units, the larger first, and weeks
    /// (`1h30m`, `2w`).
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn typed(text: &str) -> Result<Self, String> {
        let form = || {
            format!(
                "invalid duration `{text}`: expected whole numbers, each followed by s, m, h, d or w, such as `90s`, `24h`, `1h30m` or `2w`"
            )
        };
        let mut rest = text;
        let mut seconds: u64 = 0;
        let mut before = u64::MAX;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
            let unit = rest[end..].chars().next().and_then(seconds_in);
            let unit = unit
                .filter(|unit| end > 0 && *unit < before)
                .ok_or_else(form)?;
            let part = rest[..end].parse::<u64>().ok();
            seconds = part
                .and_then(|count| count.checked_mul(unit))
                .and_then(|part| seconds.checked_add(part))
                .unwrap_or(u64::MAX);
            before = unit;
            rest = &rest[end + 1..];
        }
        if text.is_empty() {
            return Err(form());
        }
        DurationSpec::of(seconds).ok_or_else(|| too_long(text))
    }

    /// So many seconds, unless that is over a hundred years.
    fn of(seconds: u64) -> Option<Self> {
        let seconds = u32::try_from(seconds).ok()?;
        (seconds <= 36_500 * 86_400).then_some(DurationSpec { seconds })
    }
}

/// The seconds in a unit of what a person types.
fn seconds_in(unit: char) -> Option<u64> {
    Some(match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    })
}

fn too_long(text: &str) -> String {
    format!("`{text}` is too long: the maximum is 100 years (36500d)")
}

impl fmt::Display for DurationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "24h" stays "24h": a day is what people call a lease that ends tomorrow, not "1d".
        match self.seconds {
            0 => f.write_str("0s"),
            s if s % 86_400 == 0 && s > 86_400 => write!(f, "{}d", s / 86_400),
            s if s % 3600 == 0 => write!(f, "{}h", s / 3600),
            s if s % 60 == 0 => write!(f, "{}m", s / 60),
            s => write!(f, "{s}s"),
        }
    }
}

impl TryFrom<String> for DurationSpec {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DurationSpec> for String {
    fn from(length: DurationSpec) -> String {
        length.to_string()
    }
}

/// How long a lease lives after its last heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Ttl {
    /// That long, one second at least.
    For(DurationSpec),
    /// It does not expire by time.
    Never,
}

impl Ttl {
    /// The life in seconds, `None` for ever.
    #[must_use]
    pub(crate) fn as_secs(self) -> Option<u64> {
        match self {
            Ttl::For(length) => Some(length.as_secs()),
            Ttl::Never => None,
        }
    }

    /// When a life that began at `from` ends, `None` for never.
    #[must_use]
    pub(crate) fn end_from(self, from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Ttl::For(length) => from.checked_add_signed(length.as_delta()),
            Ttl::Never => None,
        }
    }
}

impl Ttl {
    /// A life as a person types it: see [`DurationSpec::typed`].
    ///
    /// # Errors
    /// As there.
    pub fn typed(text: &str) -> Result<Self, String> {
        Self::read(text, DurationSpec::typed)
    }

    fn read(text: &str, length: fn(&str) -> Result<DurationSpec, String>) -> Result<Self, String> {
        if text == "never" {
            return Ok(Ttl::Never);
        }
        let length = length(text)?;
        if length.as_secs() == 0 {
            return Err(format!(
                "a ttl of `{text}` would expire at once: the minimum is `1s`"
            ));
        }
        Ok(Ttl::For(length))
    }
}

impl FromStr for Ttl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text, str::parse)
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ttl::For(length) => length.fmt(f),
            Ttl::Never => f.write_str("never"),
        }
    }
}

impl TryFrom<String> for Ttl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Ttl> for String {
    fn from(ttl: Ttl) -> String {
        ttl.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_read_back_as_they_are_written() {
        for text in ["0s", "1s", "90s", "3m", "24h", "14d", "36500d"] {
            assert_eq!(text.parse::<DurationSpec>().unwrap().to_string(), text);
        }
        assert_eq!("1d".parse::<DurationSpec>().unwrap().to_string(), "24h");
    }

    #[test]
    fn people_type_weeks_and_several_units() {
        let typed = |text: &str| DurationSpec::typed(text).map(DurationSpec::as_secs);
        assert_eq!(typed("2w"), Ok(14 * 86_400));
        assert_eq!(typed("1h30m"), Ok(5400));
        assert_eq!(typed("1w2d3h4m5s"), Ok(788_645));
        assert_eq!(typed("90s"), Ok(90));
        assert_eq!(Ttl::typed("never"), Ok(Ttl::Never));
        for text in [
            "",
            "5",
            "h",
            "99999999999999999999s",
            "30m1h",
            "1h1h",
            "1h30",
            "-1h",
            "1.5h",
            "1 h",
            "5y",
            "é",
            "５m",
            "9999999w",
        ] {
            assert!(DurationSpec::typed(text).is_err(), "{text}");
            assert!(Ttl::typed(text).is_err(), "{text}");
        }
        assert!("1h30m".parse::<DurationSpec>().is_err() && "2w".parse::<DurationSpec>().is_err());
    }

    #[test]
    fn a_moment_is_cut_off_at_the_millisecond_and_never_in_the_future() {
        let moment = DateTime::from_timestamp_nanos(1_999_999);
        assert_eq!(rfc3339(to_millis(moment)), "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn nonsense_is_no_length() {
        for text in [
            "",
            "5",
            "h",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "1w",
            "1H",
            "99999999999999999999d",
            "36501d",
            "é",
            "５m",
        ] {
            assert!(text.parse::<DurationSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_ttl_lives_at_least_a_second() {
        assert!("0s".parse::<Ttl>().is_err());
        assert_eq!("never".parse::<Ttl>().unwrap(), Ttl::Never);
        assert!(Ttl::Never > "36500d".parse::<Ttl>().unwrap());
    }
}
