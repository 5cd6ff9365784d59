//! The recipes for editors in real editors, without a screen: who has locked a file is shown, and as it happens.

use std::fs;
use std::path::Path;

use crate::support::stream::Stream;
use crate::support::{Sandbox, Tree, eventually};

/// What a user copies into this editor's configuration.
fn recipe(name: &str) -> String {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recipes");
    fs::read_to_string(directory.join(name)).unwrap()
}

fn is_installed(tree: &Tree<'_>, editor: &str) -> bool {
    let found = tree.command(editor).arg("--version").output();
    if found.is_err() {
        eprintln!("skipped: {editor} is not installed");
    }
    found.is_ok()
}

/// An editor shows in `shown` what its user would see of the lock of `hero.psd`.
fn shows_the_lock(ada: &Tree<'_>, mut editor: Stream) {
    let bob = ada.by("bob");
    let shown = || fs::read_to_string(ada.path.join(".git/shown")).unwrap_or_default();
    eventually("the lock is shown", || {
        shown().contains("locked by bob until 20")
    });
    bob.ok(&["unlock", "hero.psd"]);
    eventually("the lock is gone", || shown().trim() == "free");
    ada.by("carol").ok(&["lock", "hero.psd"]);
    eventually("the next lock is shown", || {
        shown().contains("locked by carol")
    });
    fs::write(ada.path.join(".git/over"), "").unwrap();
    assert_eq!(editor.ended(), 0);
}

#[test]
fn neovim_shows_who_has_locked_a_file() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    if !is_installed(&ada, "nvim") {
        return;
    }
    let show = "local timer = vim.loop.new_timer()\n\
        timer:start(0, 20, vim.schedule_wrap(function()\n\
          vim.fn.writefile({ vim.b.latch or 'free' }, '.git/shown')\n\
          if vim.fn.filereadable('.git/over') == 1 then vim.cmd('qall!') end\n\
        end))\n";
    ada.write(".git/init.lua", &(recipe("neovim.lua") + show));
    ada.by("bob").ok(&["lock", "hero.psd"]);
    let mut command = ada.command("nvim");
    command.args(["--headless", "-n", "-u", ".git/init.lua", "hero.psd"]);
    shows_the_lock(&ada, Stream::start(&mut command));
}

#[test]
fn emacs_shows_who_has_locked_a_file() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    if !is_installed(&ada, "emacs") {
        return;
    }
    let show = "(find-file \"hero.psd\")\n\
        (while (not (file-exists-p \".git/over\"))\n\
          (let ((text (or latch-text \"free\"))) (with-temp-file \".git/shown\" (insert text)))\n\
          (accept-process-output nil 0.02))\n";
    ada.write(".git/init.el", &(recipe("emacs.el") + show));
    ada.by("bob").ok(&["lock", "hero.psd"]);
    let mut command = ada.command("emacs");
    command.args(["-Q", "--batch", "-l", ".git/init.el"]);
    shows_the_lock(&ada, Stream::start(&mut command));
}

#[test]
fn the_pattern_for_vs_code_matches_what_watch_tells() {
    let sandbox = Sandbox::new();
    let ada = sandbox.repo();
    let tasks: serde_json::Value = serde_json::from_str(&recipe("vscode-tasks.json")).unwrap();
    let pattern = tasks["tasks"][0]["problemMatcher"]["pattern"]["regexp"]
        .as_str()
        .unwrap();
    let mut watch = Stream::start(
        ada.command("sh")
            .args(["-c", tasks["tasks"][0]["command"].as_str().unwrap()]),
    );
    watch.says("watching");
    ada.ok(&["lock", "notes.txt"]);
    ada.by("bob").ok(&["lock", "hero.psd"]);
    let (mine, bobs) = (watch.next(), watch.next());
    let script = "const [, pattern, ...lines] = process.argv; const found = lines.map((l) => l.match(new RegExp(pattern))); \
                  console.log(found.map((f) => (f ? f.slice(1, 4).join(' ') : 'none')).join(', '))";
    let Ok(matched) = ada
        .command("node")
        .args(["-e", script, pattern, &mine, &bobs])
        .output()
    else {
        eprintln!("skipped: node is not installed");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&matched.stdout),
        "none, locked hero.psd bob\n"
    );
}
