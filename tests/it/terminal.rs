//! On a terminal: the pager and the colours that git would use.

use crate::support::{Run, Sandbox, Tree};

/// What a command line shows on a terminal, with these variables.
fn on_a_terminal(tree: &Tree<'_>, line: &str, variables: &[(&str, &str)]) -> String {
    let mut script = tree.command("script");
    script
        .args(["-qec", line, "/dev/null"])
        .env("TERM", "xterm")
        .env_remove("NO_COLOR");
    for (name, value) in variables {
        script.env(name, value);
    }
    Run::of(&mut script).ended(0).stdout
}

fn locked(sandbox: &Sandbox) -> Tree<'_> {
    let ada = sandbox.repo();
    ada.ok(&["lock", "-m", "hat", "hero.psd"]);
    ada
}

const BOLD: &str = "\u{1b}[1m";

#[test]
fn lists_go_through_the_pager_that_git_uses() {
    let sandbox = Sandbox::new();
    let ada = locked(&sandbox);
    ada.git(&["config", "core.pager", "sed s/^/configured:/"]);
    for command in ["list", "log"] {
        let line = format!("git latch {command}");
        assert!(
            on_a_terminal(&ada, &line, &[]).contains("configured:"),
            "{command}"
        );
        let chosen = on_a_terminal(&ada, &line, &[("GIT_PAGER", "sed s/^/chosen:/")]);
        assert!(
            chosen.contains("chosen:") && !chosen.contains("configured:"),
            "{chosen}"
        );
        let plain = on_a_terminal(&ada, &format!("git --no-pager latch {command}"), &[]);
        assert!(
            plain.contains("hero.psd") && !plain.contains("configured:"),
            "{plain}"
        );
    }
    // Into a pipe, and for a program, there is none.
    assert!(!ada.ok(&["list"]).stdout.contains("configured:"));
    assert!(!on_a_terminal(&ada, "git latch --json list", &[]).contains("configured:"));
    // A pager that is not there, or is left early, costs nothing.
    on_a_terminal(&ada, "git latch list", &[("GIT_PAGER", "true")]);
}

#[test]
fn columns_go_by_the_width_of_the_terminal() {
    let sandbox = Sandbox::new();
    let ada = locked(&sandbox);
    let long = "a/path/that/takes/half/of/a/terminal.psd";
    ada.ok(&["lock", "--new", long]);
    let shown = |columns: u32| {
        let line = format!("stty cols {columns}; git latch --color=never list");
        on_a_terminal(&ada, &line, &[("GIT_PAGER", "cat")])
    };
    assert!(shown(60).contains("hero.psd  you"), "{}", shown(60));
    let wide = shown(200);
    let short = format!("{:width$}  you", "hero.psd", width = long.len());
    assert!(wide.contains(&short), "{wide}");
}

#[test]
fn colours_are_those_that_git_would_use() {
    let sandbox = Sandbox::new();
    let ada = locked(&sandbox);
    let quiet = ("GIT_PAGER", "cat");
    let list =
        |line: &str, more: &[(&str, &str)]| on_a_terminal(&ada, line, &[&[quiet], more].concat());
    assert!(list("git latch list", &[]).contains(BOLD));
    assert!(!list("git latch list", &[("NO_COLOR", "1")]).contains(BOLD));
    assert!(!ada.ok(&["list"]).stdout.contains(BOLD));
    ada.git(&["config", "color.ui", "false"]);
    assert!(!list("git latch list", &[]).contains(BOLD));
    assert!(list("git latch list --color=always", &[]).contains(BOLD));
    ada.git(&["config", "color.ui", "always"]);
    assert!(ada.ok(&["list"]).stdout.contains(BOLD));
    assert!(!ada.ok(&["list", "--color=never"]).stdout.contains(BOLD));
}
