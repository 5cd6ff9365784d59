//! What help and manual pages say besides the options: examples, exit status, defaults, files, environment. One place for
//! both.

use std::fmt::Write as _;

use clap::Command;
use clap::builder::Styles;

/// A title with rows of a term and what it means.
pub(super) type Section = (&'static str, &'static [(&'static str, &'static str)]);

const DONE: (&str, &str) = ("0", "Done");
const USAGE: (&str, &str) = ("2", "Wrong use");
const REMOTE: (&str, &str) = (
    "4",
    "The remote cannot be reached or refuses, or its answer is unknown",
);
const BUSY: (&str, &str) = ("6", "Busy; nothing was changed, try again");

const LOCK: &[Section] = &[
    (
        "Examples",
        &[
            (
                "git latch lock hero.psd -m retopology",
                "Lock one file, and say why",
            ),
            (
                "git latch lock scenes/ --ttl 3d",
                "Lock a directory with everything below it",
            ),
            (
                "git latch lock --wait=30m hero.psd",
                "Wait for the file, half an hour at most",
            ),
            (
                "git latch lock --steal -m 'she is ill' hero.psd",
                "Take over another person's lock",
            ),
        ],
    ),
    (
        "Defaults",
        &[
            ("--ttl", "`[lease] ttl` of the policy, 24 hours unless set"),
            ("--wait", "One hour where no time is given"),
        ],
    ),
    (
        "Exit status",
        &[
            ("0", "All paths are locked, or were yours and are renewed"),
            (
                "1",
                "Somebody else holds a path, or the time to wait is over",
            ),
            USAGE,
            REMOTE,
            BUSY,
        ],
    ),
];

const UNLOCK: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch unlock hero.psd", "Give one lock back"),
            (
                "git latch unlock --all",
                "Give back all of mine in this working tree",
            ),
            (
                "git latch unlock --force hero.psd",
                "Give it back with the work unfinished",
            ),
            (
                "git latch unlock --force -m 'she is ill' hero.psd",
                "Remove another person's lock",
            ),
        ],
    ),
    (
        "Exit status",
        &[
            DONE,
            (
                "1",
                "It is another's, or has changes that are not committed or pushed",
            ),
            USAGE,
            ("3", "Not held, or lost meanwhile"),
            REMOTE,
            BUSY,
        ],
    ),
];

const RENEW: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch renew", "A new heartbeat for all of mine"),
            (
                "git latch renew hero.psd --ttl 3d",
                "Three days from now for one",
            ),
        ],
    ),
    (
        "Exit status",
        &[
            ("0", "Renewed, or nothing is mine"),
            USAGE,
            ("3", "Not held, or lost meanwhile"),
            REMOTE,
            BUSY,
        ],
    ),
];

const STATUS: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch status", "What concerns me here"),
            ("git latch status hero.psd", "Who holds this file"),
            (
                "git latch --json status scenes/",
                "The same for a directory, for programs",
            ),
        ],
    ),
    ("Exit status", &[("0", "Whatever is shown"), USAGE]),
];

const LIST: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch list", "Every live lock"),
            ("git latch list --mine", "Mine in this working tree"),
            (
                "git latch list --under scenes --owner bob@example.com",
                "Bob's, in one directory",
            ),
        ],
    ),
    ("Exit status", &[("0", "Whatever is shown"), USAGE]),
];

const CHECK: &[Section] = &[
    (
        "Examples",
        &[
            (
                "git latch check",
                "Would a commit of what is staged be rejected?",
            ),
            (
                "git latch check --range origin/main..HEAD",
                "Judge commits, in CI",
            ),
        ],
    ),
    (
        "Exit status",
        &[
            ("0", "Nothing would be rejected"),
            ("1", "Something would be"),
            USAGE,
            REMOTE,
        ],
    ),
];

const CHECKOUT: &[Section] = &[
    (
        "Examples",
        &[
            (
                "git latch checkout hero.psd -m retopology",
                "Refuse an old copy, lock, make writable",
            ),
            (
                "git latch checkout --wait hero.psd",
                "Wait for the file, an hour at most",
            ),
        ],
    ),
    (
        "Defaults",
        &[
            ("--ttl", "`[lease] ttl` of the policy, 24 hours unless set"),
            ("--wait", "One hour where no time is given"),
        ],
    ),
    (
        "Exit status",
        &[
            DONE,
            ("1", "Somebody else holds it, or this copy is old"),
            USAGE,
            REMOTE,
            BUSY,
        ],
    ),
];

const CHECKIN: &[Section] = &[
    (
        "Examples",
        &[
            (
                "git latch checkin hero.psd -m 'Hero with a hat'",
                "Commit, push, unlock",
            ),
            (
                "git latch checkin --keep scenes/",
                "All of mine below scenes, and keep the locks",
            ),
        ],
    ),
    (
        "Exit status",
        &[
            DONE,
            ("1", "A path is another's, or a hook rejects"),
            USAGE,
            ("3", "A path is not held, or was lost"),
            (
                "4",
                "The push is refused or the remote away; commit and locks stay",
            ),
            BUSY,
        ],
    ),
];

const RUN: &[Section] = &[
    (
        "Examples",
        &[
            (
                "git latch run town.tscn -- ./bake.sh",
                "Hold the lock while the command runs",
            ),
            (
                "git latch run --wait=10m scenes/ -- make",
                "Wait for it first",
            ),
            (
                "git latch run --on-lost terminate town.tscn -- make",
                "End the command when the lock is lost",
            ),
        ],
    ),
    (
        "Defaults",
        &[
            (
                "--ttl",
                "3 minutes, 30 where locks are shared; renewed meanwhile",
            ),
            ("--wait", "One hour where no time is given"),
        ],
    ),
    (
        "Exit status",
        &[
            ("*", "That of the command, 128 + n where signal n ended it"),
            ("3", "The lease was lost, and the command did not fail"),
            ("124", "The lease was lost, and the command was ended"),
            ("125", "The command was not started; --json says why"),
            ("130", "Interrupted while waiting"),
        ],
    ),
    (
        "Environment",
        &[
            (
                "GIT_LATCH_LEASE",
                "For the command: the id of the first lease",
            ),
            (
                "GIT_LATCH_SEQ",
                "For the command: a number that is larger for every later holder",
            ),
        ],
    ),
];

const WATCH: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch watch", "Tell what happens to locks"),
            (
                "git latch --json watch --all",
                "The same with heartbeats, one object in each line",
            ),
            (
                "git latch watch --exec 'notify-send \"$GIT_LATCH_PATH\"'",
                "Run a command for each event",
            ),
        ],
    ),
    (
        "Exit status",
        &[
            ("0", "Ended by Ctrl-C, SIGTERM, or its reader"),
            USAGE,
            ("5", "Cannot watch"),
        ],
    ),
];

const LOG: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch log", "What happened to all locks"),
            ("git latch log hero.psd", "To one"),
        ],
    ),
    ("Exit status", &[("0", "Whatever is shown"), USAGE]),
];

const SYNC: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch sync", "Fetch the shared locks now"),
            (
                "git latch sync --restore",
                "Put back a lock ref that somebody deleted",
            ),
        ],
    ),
    ("Exit status", &[DONE, USAGE, REMOTE]),
];

const INIT: &[Section] = &[
    (
        "Examples",
        &[
            ("git latch init", "Protect this clone"),
            (
                "git latch init --remote origin",
                "And share locks with every clone",
            ),
            (
                "git latch init --bare",
                "In a bare repository: judge every push",
            ),
        ],
    ),
    (
        "Files",
        &[
            (".latch.toml", "The policy, to be committed"),
            (
                ".git/hooks",
                "The hooks; earlier ones move to .git/hooks.before-git-latch",
            ),
            (".locks", "A link to the lock directory, .git/latch/locks"),
        ],
    ),
    (
        "Exit status",
        &[
            DONE,
            ("1", "A line is to be added to a hook of the team's"),
            USAGE,
            REMOTE,
        ],
    ),
];

const SERVE: &[Section] = &[
    (
        "Examples",
        &[
            (
                "git latch serve --repo game.git",
                "One repository, for this machine only",
            ),
            (
                "git latch serve --root /srv/git --users users.toml --host locks.example.com",
                "For a team",
            ),
        ],
    ),
    (
        "Exit status",
        &[
            ("0", "Ended by SIGTERM or Ctrl-C"),
            USAGE,
            ("5", "The address or a file cannot be used"),
        ],
    ),
];

const ALL: &[Section] = &[
    (
        "Exit status",
        &[
            DONE,
            (
                "1",
                "The answer is no: held by another, rejected, not pushed, an old copy",
            ),
            USAGE,
            ("3", "Lost, or not held"),
            REMOTE,
            ("5", "Input or output failed, or state is corrupt"),
            BUSY,
        ],
    ),
    (
        "Environment",
        &[
            ("GIT_LATCH_OWNER", "Your id, instead of git's user.email"),
            ("GIT_LATCH_AGENT", "Appended to the id, as /name"),
            (
                "GIT_LATCH_WORKSPACE",
                "The workspace, instead of this working tree's own",
            ),
            ("GIT_LATCH_SKIP", "1: the hooks of a clone do nothing"),
            ("GIT_LATCH_PUSHER", "On a server: who pushes"),
            (
                "GIT_LATCH_LOG",
                "What to log on standard error, such as git_latch=debug",
            ),
        ],
    ),
    (
        "Files",
        &[
            (".latch.toml", "The team's policy, committed"),
            (
                ".locks",
                "A link to .git/latch/locks, where a lock is a small file",
            ),
        ],
    ),
];

/// What is said of a command, by its name without `git latch`; nothing where the options say it all.
pub(super) fn of(name: &str) -> &'static [Section] {
    match name {
        "" => ALL,
        "lock" => LOCK,
        "unlock" => UNLOCK,
        "renew" => RENEW,
        "status" => STATUS,
        "list" => LIST,
        "check" => CHECK,
        "checkout" => CHECKOUT,
        "checkin" => CHECKIN,
        "run" => RUN,
        "watch" => WATCH,
        "log" => LOG,
        "sync" => SYNC,
        "init" => INIT,
        "serve" => SERVE,
        _ => &[],
    }
}

/// The command with what is said of it and its subcommands after the help.
pub(super) fn in_help(command: Command) -> Command {
    let sections = text(of(""));
    command
        .after_help(sections)
        .mut_subcommands(|sub| match of(sub.get_name()) {
            [] => sub,
            sections => sub.after_help(text(sections)),
        })
}

fn text(sections: &[Section]) -> String {
    let styles = Styles::styled();
    let style = styles.get_header();
    let mut text = String::new();
    for (title, rows) in sections {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{style}{title}:{style:#}");
        for (term, meaning) in *rows {
            // A code has room beside it; a command or a name has not.
            let _ = match term.len() {
                0..4 => writeln!(text, "  {term:<5}{meaning}"),
                _ => writeln!(text, "  {term}\n          {meaning}"),
            };
        }
    }
    text
}
