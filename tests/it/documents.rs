//! What the documents promise: a short README, links that lead somewhere, commands and options that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{LATCH, Sandbox, Tree};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The files of a directory, by name.
fn files_in(directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(Path::new(ROOT).join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

/// Every document of the project.
fn documents() -> Vec<PathBuf> {
    [".", "docs"]
        .into_iter()
        .flat_map(files_in)
        .filter(|path| path.extension().is_some_and(|e| e == "md"))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The anchors that hosts make of the headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
            title.chars().filter(kept).collect::<String>()
        })
        .map(|title| title.replace(' ', "-"))
        .collect()
}

/// Where the links and pictures of a document lead, addresses of the network left out.
fn links(text: &str) -> Vec<&str> {
    let written = text.split("](").skip(1).filter_map(|s| s.split(')').next());
    let is_local = |link: &&str| !link.contains("://") && !link.starts_with("mailto:");
    written.filter(is_local).collect()
}

#[test]
fn the_readme_has_at_most_200_lines() {
    let lines = read(&Path::new(ROOT).join("README.md")).lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut followed = 0;
    for document in documents() {
        let text = read(&document);
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            let here = format!("{}: {link}", document.display());
            assert!(target.exists(), "{here}");
            let is_there = anchor.is_empty() || anchors(&read(&target)).contains(anchor);
            assert!(is_there, "{here}: there is no such heading");
            followed += 1;
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}

/// The words after each `git latch` in a text, to the end of the command.
fn calls(text: &str) -> Vec<Vec<String>> {
    let text = text.replace("\\|", " ").replace("\\\n", " ");
    let mut calls = Vec::new();
    for line in text.lines() {
        for start in [
            "git latch ",
            "`git-latch ",
            "bin/git-latch ",
            "$ git-latch ",
        ] {
            for rest in line.split(start).skip(1) {
                let end = ["`", "\"", "#", " | ", "&&", ";", " -- ", ">>", "  "];
                let end = end.iter().filter_map(|e| rest.find(e)).min();
                let words = rest[..end.unwrap_or(rest.len())].split_whitespace();
                calls.push(words.map(bare).collect());
            }
        }
    }
    calls
}

/// A word without the brackets and the value around an option.
fn bare(word: &str) -> String {
    let word = word.trim_matches(|c: char| "[](),.:'…".contains(c));
    match word.split_once(['=', '[']) {
        Some((option, _)) if word.starts_with("--") => option.to_owned(),
        _ => word.to_owned(),
    }
}

/// The command among the words of a call, after what every command understands.
fn command_of(words: &[String]) -> &[String] {
    match words {
        [option, _, rest @ ..] if option == "-C" || option == "--as" => command_of(rest),
        [option, rest @ ..] if option.starts_with('-') => command_of(rest),
        words => words,
    }
}

/// The help of each command, asked for once.
struct Help<'a> {
    tree: &'a Tree<'a>,
    known: BTreeMap<Vec<String>, String>,
}

impl Help<'_> {
    fn of(&mut self, command: &[String], here: &str) -> &str {
        let tree = self.tree;
        let ask = || {
            let mut words = vec!["help"];
            words.extend(command.iter().map(String::as_str));
            let help = tree.latch(&words);
            assert_eq!(help.code, 0, "{here}: {}", help.stderr);
            help.stdout
        };
        self.known.entry(command.to_vec()).or_insert_with(ask)
    }

    /// Fails where a call names a command or an option that does not exist.
    fn checks(&mut self, words: &[String], document: &Path) {
        let here = format!("{}: git latch {}", document.display(), words.join(" "));
        let call = command_of(words);
        let is_name =
            |word: &&String| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
        let Some(name) = call.first().filter(is_name) else {
            return;
        };
        if name == "help" {
            let topic: Vec<_> = call[1..].iter().take_while(is_name).cloned().collect();
            self.of(&topic, &here);
            return;
        }
        let depth = if name == "user" { 2 } else { 1 };
        let command: Vec<_> = call
            .iter()
            .take(depth)
            .take_while(is_name)
            .cloned()
            .collect();
        let help = self.of(&command, &here);
        // An example proves no option.
        let help = help.split("\nExamples:\n").next().unwrap();
        for option in call.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(option.as_str()), "{here}: no {option}");
        }
    }
}

#[test]
fn every_command_and_option_that_is_named_exists() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let known = BTreeMap::new();
    let mut help = Help { tree: &tree, known };
    let mut checked = 0;
    for document in documents().into_iter().chain(files_in("fixtures/recipes")) {
        for words in calls(&read(&document)) {
            help.checks(&words, &document);
            checked += 1;
        }
    }
    assert!(checked > 100, "only {checked} commands were found");
}

/// The names of all commands.
fn commands(tree: &Tree<'_>) -> Vec<String> {
    let help = tree.ok(&["help"]).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let lines = commands.lines().take_while(|line| !line.is_empty());
    // What is indented further goes on from the line above.
    let first_lines = lines.filter(|line| !line.starts_with("   "));
    let names = first_lines.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_help_has_examples_that_exist_and_its_exit_status() {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let known = BTreeMap::new();
    let mut help = Help { tree: &tree, known };
    let names = commands(&tree).into_iter();
    // Nobody calls a hook by hand.
    for name in names.filter(|name| name != "hook") {
        let text = help.of(std::slice::from_ref(&name), &name).to_owned();
        let (_, after) = text.split_once("\nExamples:\n").expect(&name);
        assert!(after.contains("\nExit status:\n"), "{name}: {after}");
        let examples = calls(after);
        assert!(!examples.is_empty(), "{name}: {after}");
        for words in examples {
            help.checks(&words, Path::new(&name));
        }
    }
}

#[test]
fn every_command_is_described() {
    let sandbox = Sandbox::new();
    let described = read(&Path::new(ROOT).join("docs/commands.md"));
    for name in commands(&sandbox.repo()) {
        let row = format!("| `git latch {name}");
        assert!(described.contains(&row), "{name}");
    }
}

#[test]
fn systemd_understands_the_units() {
    let sandbox = Sandbox::new();
    let mut verify = sandbox.command("systemd-analyze");
    verify.env("XDG_RUNTIME_DIR", sandbox.path()).arg("verify");
    for name in ["git-latch.service", "git-latch@.service"] {
        let unit = read(&Path::new(ROOT).join("fixtures/recipes").join(name));
        let (before, program) = unit.split_once("ExecStart=").unwrap();
        let (_, arguments) = program.split_once(' ').unwrap();
        let here = sandbox.path().join(name);
        fs::write(&here, format!("{before}ExecStart={LATCH} {arguments}")).unwrap();
        verify.arg(here);
    }
    let Ok(told) = verify.output() else {
        eprintln!("skipped: systemd-analyze is not installed");
        return;
    };
    let told = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told, "");
}
