//! Completions in the real shells, of `git-latch …` and of `git latch …`.
//!
//! Where a shell is missing its story is skipped, which is said; `.ci/run` installs them.

use std::path::Path;

use crate::support::{Run, Sandbox, Tree};

/// What is typed, what is offered then, and what is not.
const TYPED: [(&str, &[&str], &[&str]); 6] = [
    (
        "git-latch lock --",
        &["--steal", "--ttl", "--wait"],
        &["--force"],
    ),
    (
        "git latch lock --",
        &["--steal", "--ttl", "--wait"],
        &["--force"],
    ),
    ("git-latch unl", &["unlock"], &["watch"]),
    ("git latch unl", &["unlock"], &["watch"]),
    ("git latch unlock --a", &["--all"], &["--id"]),
    (
        "git latch ",
        &["checkin", "status", "watch"],
        &["__exec", "hook "],
    ),
];

/// Runs the story where the shell is there.
fn with_shell(program: &str, needs: &[&str], complete: impl Fn(&Tree<'_>, &str, &str) -> String) {
    let sandbox = Sandbox::new();
    let tree = sandbox.repo();
    let is_there = |path: &&str| Path::new(path).exists();
    if std::process::Command::new(program)
        .arg("--version")
        .output()
        .is_err()
        || !needs.iter().all(is_there)
    {
        eprintln!("skipped: {program} and its completions are not installed");
        return;
    }
    for (typed, offered, not_offered) in TYPED {
        let answer = complete(&tree, typed, offered[offered.len() - 1]);
        for word in offered {
            assert!(answer.contains(word), "{program}: {typed}: {answer}");
        }
        for word in not_offered {
            assert!(
                !answer.contains(word),
                "{program}: {typed}: {word}: {answer}"
            );
        }
    }
}

/// Writes the completions of a shell where it looks for them.
fn installed(tree: &Tree<'_>, shell: &str, file: &str) {
    tree.write(file, &tree.ok(&["completions", shell]).stdout);
}

#[test]
fn bash_completes_both_forms() {
    // What readline does: it calls the function registered for the first word.
    let script = r#"
        source /usr/share/bash-completion/bash_completion
        source /usr/share/bash-completion/completions/git
        source ./git-latch
        COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=($1) COMPREPLY=()
        [[ $1 == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        spec=$(complete -p "${COMP_WORDS[0]}"); function=${spec#*-F }; function=${function%% *}
        "$function" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s \n' "${COMPREPLY[@]}"
    "#;
    let needs = ["/usr/share/bash-completion/completions/git"];
    with_shell("bash", &needs, |tree, typed, _| {
        installed(tree, "bash", "git-latch");
        let mut bash = tree.command("bash");
        Run::of(bash.args(["--norc", "-c", script, "bash", typed]))
            .ended(0)
            .stdout
    });
}

#[test]
fn zsh_completes_both_forms() {
    // An interactive shell on a terminal of its own: what is typed after the completion waits for it.
    let script = r#"
        zmodload zsh/zpty zsh/zselect && zpty z zsh -f -i
        zpty -w z "stty -echo rows 200 cols 200; PS1=; fpath=($PWD/functions \$fpath); autoload -Uz compinit; compinit -u -d $PWD/dump; zle_highlight=(); LISTMAX=10000; echo BE''GIN"
        zpty -r z out '*BEGIN*'
        zpty -w -n z "$1"$'\t'
        # What is typed ahead would keep it from showing a list: looked at until it is there.
        out=
        repeat 600; do
            zpty -r -t z more && out+=$more
            [[ $out == *$2* ]] && break
            zselect -t 5
        done
        print -r -- "$out"
    "#;
    let needs = ["/usr/share/zsh/functions/Completion/Unix/_git"];
    with_shell("zsh", &needs, |tree, typed, wanted| {
        installed(tree, "zsh", "functions/_git-latch");
        let mut zsh = tree.command("zsh");
        Run::of(zsh.args(["-f", "-c", script, "zsh", typed, wanted]))
            .ended(0)
            .stdout
    });
}

#[test]
fn fish_completes_both_forms() {
    with_shell("fish", &[], |tree, typed, _| {
        installed(tree, "fish", ".config/fish/conf.d/git-latch.fish");
        let mut fish = tree.command("fish");
        fish.env("HOME", &tree.path)
            .args(["-c", "complete -C $argv[1]", typed]);
        Run::of(&mut fish).ended(0).stdout
    });
}
