//! `git latch list`

use crate::support::Sandbox;

fn paths(tree: &crate::support::Tree<'_>, arguments: &[&str]) -> Vec<String> {
    let listed = tree.json(&[&["list"], arguments].concat());
    let locks = listed["locks"].as_array().unwrap();
    locks
        .iter()
        .map(|lock| lock["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn locks_are_listed_by_path_and_filtered() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let bob = ada.by("bob@example.com/agent-1");
    ada.ok(&["lock", "scenes/town.tscn", "hero.psd"]);
    bob.ok(&["lock", "notes.txt"]);
    assert_eq!(
        paths(&ada, &[]),
        ["hero.psd", "notes.txt", "scenes/town.tscn"]
    );
    assert_eq!(paths(&ada, &["--mine"]), ["hero.psd", "scenes/town.tscn"]);
    assert_eq!(paths(&ada, &["--owner", "bob@example.com"]), ["notes.txt"]);
    assert_eq!(paths(&ada, &["--under", "scenes"]), ["scenes/town.tscn"]);
}

#[test]
fn under_includes_what_covers_the_directory() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "."]);
    assert_eq!(paths(&ada, &["--under", "scenes"]), ["."]);
}

#[test]
fn the_table_is_aligned_and_plain_when_nobody_looks() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    ada.ok(&["lock", "hero.psd", "-m", "why not"]);
    ada.ok(&["lock", "scenes"]);
    let text = ada.ok(&["list"]).stdout;
    assert_eq!(
        text,
        "hero.psd  you  just now  ends in 24 h  \"why not\"\n\
         scenes/   you  just now  ends in 24 h\n"
    );
    let coloured = ada.ok(&["list", "--color", "always"]).stdout;
    assert!(coloured.contains("\u{1b}[1mhero.psd"), "{coloured}");
}

#[test]
fn a_view_has_a_number_and_a_moment() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let locked = ada.json(&["lock", "hero.psd"]);
    let listed = ada.json(&["list"]);
    assert_eq!(listed["seq"], locked["locked"][0]["seq"]);
    assert!(listed["as_of"].as_str().unwrap().ends_with('Z'));
}
