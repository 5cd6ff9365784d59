//! Replays the lock ref's history: no state of it may have two holders, and numbers only grow.

use std::collections::HashMap;

use super::Tree;

/// A lock as a state has it.
struct Held {
    key: String,
    is_directory: bool,
    owner: String,
}

impl Held {
    fn covers(&self, other: &Held) -> bool {
        let below = format!("{}/", self.key);
        self.key == other.key
            || (self.is_directory && (self.key == "." || other.key.starts_with(&below)))
    }
}

/// Asserts it of a bare repository's lock ref; gives the number of its states.
pub(crate) fn assert_sane(bare: &Tree<'_>) -> usize {
    let history = bare.git(&[
        "log",
        "--reverse",
        "--format=%H %P|%B%x00",
        "refs/latch/locks",
    ]);
    let commits: Vec<&str> = history
        .split('\0')
        .map(str::trim)
        .filter(|commit| !commit.is_empty())
        .collect();
    let mut last: Option<(String, u64)> = None;
    let mut blobs = HashMap::new();
    for commit in &commits {
        let (ids, message) = commit.split_once('|').unwrap();
        let mut ids = ids.split_whitespace();
        let (id, parents) = (ids.next().unwrap(), ids.collect::<Vec<_>>());
        let seq = message
            .lines()
            .find_map(|line| line.strip_prefix("Latch-Seq: "))
            .unwrap_or_else(|| panic!("{commit} has no number"));
        let seq: u64 = seq.parse().unwrap();
        if let Some((parent, before)) = &last {
            assert_eq!(parents, [parent.as_str()], "{commit}");
            assert!(seq > *before, "{commit}");
        }
        last = Some((id.to_owned(), seq));
        assert_one_holder(bare, id, seq, &mut blobs);
    }
    commits.len()
}

fn assert_one_holder(bare: &Tree<'_>, commit: &str, seq: u64, blobs: &mut HashMap<String, String>) {
    let listed = bare.git(&["ls-tree", "-r", "--format=%(objectname)", commit]);
    let mut text = |blob: &str| {
        let known = blobs.entry(blob.to_owned());
        known
            .or_insert_with(|| bare.git(&["cat-file", "blob", blob]))
            .clone()
    };
    let held: Vec<Held> = listed.lines().map(|blob| read(&text(blob), seq)).collect();
    for (n, one) in held.iter().enumerate() {
        for other in &held[n + 1..] {
            let meet = one.covers(other) || other.covers(one);
            assert!(
                !meet || one.owner == other.owner,
                "{commit}: {} of {}, {} of {}",
                one.key,
                one.owner,
                other.key,
                other.owner
            );
        }
    }
}

fn read(text: &str, seq: u64) -> Held {
    let lock: toml::Table = text.parse().unwrap();
    let word = |table: &toml::Table, key: &str| table[key].as_str().unwrap().to_owned();
    let owner = lock["owner"].as_table().unwrap();
    // A person's lock without one is theirs everywhere, and no other workspace's of theirs.
    let workspace = owner.get("workspace").and_then(toml::Value::as_str);
    let number = lock["seq"].as_integer().unwrap();
    assert!(u64::try_from(number).unwrap() <= seq, "{text}");
    Held {
        key: word(&lock, "path").to_lowercase(),
        is_directory: word(&lock, "kind") == "directory",
        owner: format!("{} {}", word(owner, "id"), workspace.unwrap_or("-")),
    }
}
