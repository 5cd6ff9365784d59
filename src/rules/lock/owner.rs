//! Who holds a lock, and whose it is seen from somebody else. The one place that compares owners' ids.
//!
//! Ids are compared without case, and nest by `/`: `ada@example.com/codex-01` is below `ada@example.com`. They are shown
//! as they were given.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rules::path::folded;

/// Who holds a lock: a person or agent, in one workspace or (without it) everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The person, or an agent of theirs: `ada@example.com/agent-7`.
    pub id: String,
    /// What people are shown.
    pub name: String,
    /// The machine's name.
    pub host: String,
    /// The workspace, 16 hexadecimal digits.
    #[serde(default)]
    pub workspace: Option<String>,
}

impl Owner {
    /// Whether the ids are one person's: equal, or `self` is the person whose agent `other` is. In any workspace.
    #[must_use]
    pub fn is_person_of(&self, other: &Owner) -> bool {
        is_or_below(&other.id, &self.id)
    }

    /// Whether what `holder` holds is held by `self`: the same id, in the same workspace or in none.
    ///
    /// Only a holder takes, extends and nests: an agent below is at work by itself, and two must not share in silence.
    #[must_use]
    pub(crate) fn is(&self, holder: &Owner) -> bool {
        is_same_id(&self.id, &holder.id) && self.is_where(holder)
    }

    /// Whether `self` may commit, push, renew and unlock what `holder` holds: its own, or that of somebody below it, in
    /// the same workspace or in none. Who is below does not own what is held above.
    #[must_use]
    pub(crate) fn answers_for(&self, holder: &Owner) -> bool {
        self.is_person_of(holder) && self.is_where(holder)
    }

    /// Whether a holder holds something where `self` works; what is held in no workspace is held in all of them.
    fn is_where(&self, holder: &Owner) -> bool {
        holder.workspace.is_none() || holder.workspace == self.workspace
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show_person(f, &self.name, &self.id)
    }
}

/// People as people are shown them: `Name <id>`, or the id where that is all there is.
pub(crate) fn show_person(f: &mut fmt::Formatter<'_>, name: &str, id: &str) -> fmt::Result {
    if name.is_empty() || name == id {
        f.write_str(id)
    } else {
        write!(f, "{name} <{id}>")
    }
}

/// What makes two spellings of an id one, to look it up by: without case, in Unicode's composed form.
#[must_use]
pub(crate) fn id_key(id: &str) -> Cow<'_, str> {
    folded(id)
}

/// Whether two ids are one, whatever their case.
#[must_use]
pub fn is_same_id(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        a.eq_ignore_ascii_case(b)
    } else {
        folded(a) == folded(b)
    }
}

/// Whether `id` is `person`, or an agent below it (`person/…`). Nobody is below an empty id: that is who has none.
#[must_use]
pub fn is_or_below(id: &str, person: &str) -> bool {
    let is_at_or_below = |id: &str, person: &str| {
        let (head, rest) = id.as_bytes().split_at_checked(person.len())?;
        let is_whole = rest.is_empty() || rest[0] == b'/';
        (is_whole && head.eq_ignore_ascii_case(person.as_bytes())).then_some(())
    };
    let found = if id.is_ascii() && person.is_ascii() {
        is_at_or_below(id, person)
    } else {
        is_at_or_below(&folded(id), &folded(person))
    };
    !person.is_empty() && found.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(id: &str, workspace: Option<&str>) -> Owner {
        Owner {
            id: id.into(),
            name: String::new(),
            host: "host".into(),
            workspace: workspace.map(str::to_owned),
        }
    }

    #[test]
    fn an_agent_is_below_its_person_and_not_the_other_way_round() {
        assert!(is_or_below("ada@x/agent-7", "ada@x"));
        assert!(is_or_below("ada@x", "ada@x"));
        assert!(is_or_below("ada@x/s1/7f", "ada@x/s1"));
        assert!(!is_or_below("ada@x", "ada@x/agent-7"));
        assert!(!is_or_below("ada@xy", "ada@x"));
        assert!(!is_or_below("ada@x/s10", "ada@x/s1"));
        assert!(!is_or_below("ada@x/s2", "ada@x/s1"));
        assert!(!is_or_below("/s1", "") && !is_or_below("", ""));
    }

    #[test]
    fn case_and_unicode_form_do_not_make_another_owner() {
        assert!(is_same_id("Ada@Example.com", "ada@example.com"));
        assert!(is_same_id("J\u{f6}rg@x", "JO\u{308}RG@X"));
        assert!(is_same_id("\u{212a}im@x", "kim@x"));
        assert!(!is_same_id("ada@x", "ada@y"));
        assert!(is_or_below("ADA@X/S1", "ada@x"));
        assert!(is_or_below("J\u{d6}RG@x/s1", "jo\u{308}rg@X"));
        assert!(!is_or_below("j\u{f6}rgen@x", "j\u{f6}rg"));
        assert_eq!(id_key("J\u{d6}RG/S1"), "j\u{f6}rg/s1");
    }

    #[test]
    fn a_workspace_tells_apart_who_has_one_id() {
        let (here, there, everywhere) = (
            owner("ada", Some("1")),
            owner("Ada", Some("2")),
            owner("ADA", None),
        );
        assert!(here.is(&here) && here.is(&everywhere));
        assert!(!here.is(&there) && !everywhere.is(&here));
        let (child, sibling) = (owner("ada/s1", Some("1")), owner("ada/s2", Some("1")));
        assert!(here.answers_for(&child) && !here.is(&child));
        assert!(!there.answers_for(&child) && !sibling.answers_for(&child));
        assert!(!child.answers_for(&here));
        assert!(here.answers_for(&owner("ada/s1", None)));
    }
}
