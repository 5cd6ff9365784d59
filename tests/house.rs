//! The walls of the house: which wing may import which, and the one door of each foreign crate.
//!
//! It reads the sources as text, line by line, and leaves tests and comments out. A wall that is broken names the line.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

/// Each imports only those before it.
#[rustfmt::skip]
const WINGS: [&str; 8] = ["rules", "os", "git", "store", "latch", "hooks", "live", "server"];
/// These stand side by side: none imports another.
const SIDE_BY_SIDE: [&str; 3] = ["hooks", "live", "server"];

/// What may be said in one place only: the words, and the beginnings of the files where.
#[rustfmt::skip]
const DOORS: [(&str, &[&str]); 10] = [
    ("git/repo/", &["git2::"]),
    ("os/guard.rs", &["fs2::"]),
    ("os/watch.rs", &["notify::"]),
    ("server/", &["tokio::", "axum::", "hyper::", "tower_http::"]),
    ("os/", &["rustix::", "signal_hook::", "windows_sys::"]),
    ("os/", &["cfg(unix", "cfg(windows", "cfg(not(unix", "cfg(not(windows", "cfg!(", "target_os"]),
    ("git/command/", &["Command::new(\"git\")"]),
    ("os/clock.rs", &["SystemTime::now", "Utc::now", "Local::now"]),
    ("cli/ os/clock.rs lib.rs", &["SystemClock"]),
    ("cli/", &["println!", "print!(", "eprint!("]),
];

/// What the pure wing knows nothing of.
#[rustfmt::skip]
const IMPURE: [&str; 6] = ["std::fs", "std::env", "std::process", "std::net", "std::thread", "SystemTime"];

/// A line of code: the file below `src`, its number, what it says.
struct Line {
    file: String,
    number: usize,
    text: String,
}

/// All code, without tests and comments.
fn code() -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut lines, mut directories) = (Vec::new(), vec![root.clone()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(&root).unwrap();
            let file = below.to_str().unwrap().replace('\\', "/");
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_for_tests(&file) {
                lines.extend(lines_of(&file, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    lines
}

fn is_for_tests(file: &str) -> bool {
    file.ends_with("/tests.rs") || file == "git/scratch.rs"
}

fn lines_of(file: &str, text: &str) -> Vec<Line> {
    let tests = ["#[cfg(test)]\nmod tests {", "#[cfg(all(test, "];
    let end = tests.iter().filter_map(|begin| text.find(begin)).min();
    let code = &text[..end.unwrap_or(text.len())];
    let line = |(at, line): (usize, &str)| Line {
        file: file.to_owned(),
        number: at + 1,
        text: line.split("//").next().unwrap().to_owned(),
    };
    code.lines().enumerate().map(line).collect()
}

/// Fails with every line that `problem` has something to say of.
fn hold(problem: impl Fn(&Line) -> Option<String>) {
    let lines = code();
    let told = lines.iter().filter_map(|line| {
        let problem = problem(line)?;
        let Line { file, number, text } = line;
        Some(format!("src/{file}:{number}: {problem}: {}", text.trim()))
    });
    let told: Vec<String> = told.collect();
    assert!(told.is_empty(), "\n{}", told.join("\n"));
}

/// The wing that a path begins with.
fn wing(path: &str) -> Option<usize> {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_');
    let first = &path[..end.unwrap_or(path.len())];
    WINGS.iter().position(|wing| *wing == first)
}

#[test]
fn each_wing_imports_only_those_before_it() {
    let is_side = |wing: usize| SIDE_BY_SIDE.contains(&WINGS[wing]);
    hold(|line| {
        let own = wing(&line.file)?;
        let mut named = line.text.split("crate::").skip(1).filter_map(wing);
        let wrong = named
            .find(|other| *other > own || (*other != own && is_side(*other) && is_side(own)))?;
        Some(format!(
            "`{}` must not import `{}`",
            WINGS[own], WINGS[wrong]
        ))
    });
}

#[test]
fn the_top_has_the_wings_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let entries = fs::read_dir(root).unwrap();
    let mut found: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut wanted = [&WINGS[..], &["cli", "lib.rs", "main.rs"]].concat();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn what_has_a_door_is_said_there_only() {
    hold(|line| {
        let is_at = |doors: &str| doors.split(' ').any(|door| line.file.starts_with(door));
        let closed = DOORS.iter().filter(|(doors, _)| !is_at(doors));
        let (door, word) = closed
            .flat_map(|(door, words)| words.iter().map(move |word| (door, word)))
            .find(|(_, word)| line.text.contains(**word))?;
        Some(format!("`{word}` belongs into src/{door}"))
    });
}

#[test]
fn the_rules_are_pure() {
    hold(|line| {
        let word = IMPURE.iter().find(|word| line.text.contains(**word))?;
        line.file
            .starts_with("rules/")
            .then(|| format!("`{word}` in the rules"))
    });
}
