//! Patterns of the policy: gitignore syntax, from the repository's root; and of arguments: git's pathspec. The only file that names `gix_glob`.
//!
//! Patterns and paths are compared as keys: upper and lower case, and both normal forms of `é`, are one.

use gix_glob::pattern::Case;
use gix_glob::wildmatch::Mode;

use crate::rules::path::Key;

/// A list of patterns of which the last that matches decides, as in a `.gitignore`.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    patterns: Vec<gix_glob::Pattern>,
}

impl Patterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// The one that says nothing: empty, or only a comment.
    pub(crate) fn new(lines: &[String]) -> Result<Self, String> {
        let parse = |line: &String| {
            let folded = Key::of(line.as_bytes());
            gix_glob::parse(folded.as_bytes()).ok_or_else(|| format!("invalid pattern `{line}`"))
        };
        Ok(Patterns {
            patterns: lines.iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a file is matched: itself, or by a directory above it.
    #[must_use]
    pub(crate) fn matches(&self, path: &Key) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut above: Vec<Key> = path.ancestors().filter(|k| *k != Key::root()).collect();
        above.reverse();
        // As git does it: what lies in a matched directory is matched, whatever later patterns say of it.
        above.iter().any(|directory| self.decide(directory, true)) || self.decide(path, false)
    }

    fn decide(&self, path: &Key, is_directory: bool) -> bool {
        let bytes = path.as_bytes();
        let basename = bytes.iter().rposition(|b| *b == b'/').map(|at| at + 1);
        let matching = self.patterns.iter().rev().find(|pattern| {
            pattern.matches_repo_relative_path(
                bytes.into(),
                basename,
                Some(is_directory),
                Case::Sensitive,
                Mode::NO_MATCH_SLASH_LITERAL,
            )
        });
        matching.is_some_and(|pattern| !pattern.is_negative())
    }
}

/// Whether git's plain pathspec `pattern`, from the root, matches a path: `*` crosses directories.
#[must_use]
pub(crate) fn is_match(pattern: &[u8], path: &Key) -> bool {
    let folded = Key::of(pattern);
    let (pattern, path) = (folded.as_bytes(), path.as_bytes());
    gix_glob::wildmatch(pattern.into(), path.into(), Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(patterns: &[&str], path: &str) -> bool {
        let lines: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        Patterns::new(&lines)
            .unwrap()
            .matches(&Key::of(path.as_bytes()))
    }

    #[test]
    fn patterns_mean_what_gitignore_means() {
        assert!(matched(&["*.FCStd"], "parts/Gear.fcstd"));
        assert!(matched(&["scenes/**"], "scenes/a/b.tscn"));
        assert!(!matched(&["scenes/**"], "old/scenes/a"));
        assert!(matched(&["art/"], "x/art/hero.psd"));
        assert!(!matched(&["art/"], "x/art"));
        assert!(matched(&["/hero.psd"], "hero.psd"));
        assert!(!matched(&["/hero.psd"], "a/hero.psd"));
        assert!(!matched(&["*.psd", "!draft.psd"], "a/draft.psd"));
        assert!(matched(&["a/", "!a/draft.psd"], "a/draft.psd"));
        assert!(matched(&["Caf\u{e9}.*"], "cafe\u{301}.xls"));
        assert!(!matched(&[], "a"));
    }

    #[test]
    fn an_empty_pattern_is_refused() {
        assert!(Patterns::new(&[String::new()]).is_err());
    }
}
