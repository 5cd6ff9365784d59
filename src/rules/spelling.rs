//! Paths as a person is shown them: from where they stand, as a word that a shell reads back as the same path, or within
//! a sentence. Pure.
//!
//! What is printed can be used as input. So every path of the repository that goes to a person passes here; what goes to
//! a program stays as it is, from the repository's root.

use std::fmt::Write as _;

use super::kind::Kind;

/// Where a person stands, as seen from the root of the working tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    place: Stand,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Stand {
    /// In this directory of the tree; empty is its root.
    Inside(Vec<u8>),
    /// Elsewhere: the way from there to the root.
    Outside(Vec<u8>),
}

impl Default for Stand {
    fn default() -> Self {
        Stand::Inside(Vec::new())
    }
}

static ROOT: Here = Here {
    place: Stand::Inside(Vec::new()),
};

impl Here {
    /// At the root: where there is no working tree, and over HTTP.
    #[must_use]
    pub fn root() -> &'static Here {
        &ROOT
    }

    /// In a directory of the tree, by its path from the root; a slash at its end is left out.
    #[must_use]
    pub fn within(directory: &[u8]) -> Self {
        let end = directory.iter().rposition(|b| *b != b'/');
        let directory = &directory[..end.map_or(0, |end| end + 1)];
        Here {
            place: Stand::Inside(directory.to_vec()),
        }
    }

    /// In a directory of the file system; both are absolute, without links and without `..`.
    #[must_use]
    pub(crate) fn of(root: &[u8], directory: &[u8]) -> Self {
        match directory.strip_prefix(root) {
            Some(inside) if matches!(inside.first(), None | Some(b'/')) => {
                Here::within(&inside[inside.len().min(1)..])
            }
            _ => Here {
                place: Stand::Outside(between(directory, root)),
            },
        }
    }

    /// A path from the root, as it is called from here.
    #[must_use]
    pub(crate) fn relative(&self, path: &[u8]) -> Vec<u8> {
        let path = if path == b"." { b"" } else { path };
        match &self.place {
            Stand::Inside(directory) => between(directory, path),
            Stand::Outside(way) if path.is_empty() => way.clone(),
            Stand::Outside(way) => [way.as_slice(), path].join(&b'/'),
        }
    }

    /// A path from the root, as a word for a shell here.
    #[must_use]
    pub fn path(&self, path: &[u8]) -> String {
        word(&self.relative(path))
    }

    /// The same, a directory's with a slash; the directory one stands in, and the whole repository from its root, is `.`.
    #[must_use]
    pub fn named(&self, path: &[u8], kind: Kind) -> String {
        let mut relative = self.relative(path);
        if kind == Kind::Directory && relative != b"." {
            relative.push(b'/');
        }
        word(&relative)
    }
}

/// The way from one directory to another path; both without a slash at either end, or both absolute.
fn between(directory: &[u8], path: &[u8]) -> Vec<u8> {
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        let all = path.split(|b| *b == b'/');
        all.filter(|c| !c.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (from, to) = (split(directory), split(path));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(b"..".to_vec(), from.len() - common);
    let way: Vec<Vec<u8>> = up.chain(to[common..].iter().cloned()).collect();
    if way.is_empty() {
        return b".".to_vec();
    }
    way.join(&b'/')
}

/// A path between backticks, safe on a terminal: control characters, bytes that are no UTF-8 and backslashes are
/// escaped as git's C-style quoting does.
#[must_use]
pub(crate) fn quoted(path: &[u8]) -> String {
    format!("`{}`", escaped(path))
}

/// A path without quotes around it, otherwise like `quoted`.
#[must_use]
pub fn escaped(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                c if c.is_control() => {
                    text.extend(c.to_string().bytes().map(|b| format!("\\{b:03o}")));
                }
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|b| format!("\\{b:03o}")));
    }
    text
}

/// Bytes as one word of a shell (sh, bash, zsh), safe on a terminal; as they are where that will do.
///
/// What begins like an option, or like git's pathspec magic, gets a `./` in front of it.
#[must_use]
pub fn word(bytes: &[u8]) -> String {
    let text = match bytes.first() {
        Some(b'-' | b':') => [b"./", bytes].concat(),
        _ => bytes.to_vec(),
    };
    argument(&text)
}

/// Any argument as one word of a shell; see [`word`] for paths.
#[must_use]
pub fn argument(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.starts_with('=') && text.chars().all(is_plain) => {
            text.to_owned()
        }
        Ok(text) if !text.chars().any(is_hidden) => format!("'{}'", text.replace('\'', "'\\''")),
        _ => escaped_word(bytes),
    }
}

/// What no shell acts on.
fn is_plain(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        c if c.is_ascii() => "/._-+=:@%,".contains(c),
        c => !is_hidden(c) && !c.is_whitespace(),
    }
}

/// What a terminal acts on or does not show: control characters, marks of direction and of no width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `$'…'`, which bash, zsh and ksh read back.
fn escaped_word(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    let octal = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\{byte:03o}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\'' | '\\' => text.extend(['\\', c]),
                c if is_hidden(c) => octal(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => text.push(c),
            }
        }
        octal(&mut text, chunk.invalid());
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_told_from_where_one_stands() {
        let here = Here::within(b"art/props/");
        let told = |path: &str| here.path(path.as_bytes());
        assert_eq!(told("art/props/cup.psd"), "cup.psd");
        assert_eq!(told("art/props"), ".");
        assert_eq!(told("art"), "..");
        assert_eq!(told("."), "../..");
        assert_eq!(told("art/hero.psd"), "../hero.psd");
        assert_eq!(told("art/propsy/x"), "../propsy/x");
        assert_eq!(here.named(b"art", Kind::Directory), "../");
        assert_eq!(here.named(b"art/props", Kind::Directory), ".");
        assert_eq!(Here::root().named(b".", Kind::Directory), ".");
        assert_eq!(Here::root().named(b"art", Kind::Directory), "art/");
    }

    #[test]
    fn who_stands_outside_the_tree_is_led_into_it() {
        let here = Here::of(b"/home/ada/game", b"/home/ada/dot/x");
        assert_eq!(here.path(b"hero.psd"), "../../game/hero.psd");
        assert_eq!(here.path(b"."), "../../game");
        let here = Here::of(b"/home/ada/game", b"/home/ada/game/art");
        assert_eq!(here.path(b"art/hero.psd"), "hero.psd");
    }

    #[test]
    fn a_word_is_quoted_where_a_shell_would_act_on_it() {
        for (bytes, quoted) in [
            (&b"a/b-c_d.psd"[..], "a/b-c_d.psd"),
            (b"hero (1).psd", "'hero (1).psd'"),
            (b"it's", "'it'\\''s'"),
            (b"-x", "./-x"),
            (b":x", "./:x"),
            (b"=ls", "'=ls'"),
            (b"a[1].psd", "'a[1].psd'"),
            ("bücher/日本🎨.psd".as_bytes(), "bücher/日本🎨.psd"),
            ("a\u{a0}b".as_bytes(), "'a\u{a0}b'"),
            (b"a\nb'\\", "$'a\\nb\\'\\\\'"),
            ("x\u{202e}gsp".as_bytes(), "$'x\\342\\200\\256gsp'"),
            (b"\xff", "$'\\377'"),
            (b"", "''"),
        ] {
            assert_eq!(word(bytes), quoted);
        }
    }

    proptest! {
        #[test]
        fn quoting_leaves_nothing_a_terminal_would_act_on(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(!quoted(&bytes).chars().any(char::is_control));
        }

        #[test]
        fn a_word_has_nothing_a_terminal_would_act_on(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(!word(&bytes).chars().any(is_hidden));
        }

        #[test]
        fn what_is_told_leads_back_to_the_path(
            here in prop::collection::vec("[ab]{1,2}", 0..4),
            path in prop::collection::vec("[ab]{1,2}", 1..5),
        ) {
            let (here, path) = (here.join("/"), path.join("/"));
            let told = Here::within(here.as_bytes()).relative(path.as_bytes());
            let told = String::from_utf8(told).unwrap();
            let mut way: Vec<&str> = here.split('/').filter(|c| !c.is_empty()).collect();
            for component in told.split('/').filter(|c| *c != ".") {
                if component == ".." { way.pop(); } else { way.push(component); }
            }
            prop_assert_eq!(way.join("/"), path);
        }
    }
}
