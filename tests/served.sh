# shellcheck shell=sh
# What the tests that look at `git latch serve` from outside stand on: the debug binary, and a directory with a home,
# repositories and users of its own. To be sourced, after `cd` to the directory of the one who does.

latch=${GIT_LATCH:-${CARGO_TARGET_DIR:-../../target}/debug/git-latch}
[ -x "$latch" ] || { echo "$latch is missing: cargo build --locked" >&2; exit 1; }
latch=$(cd "$(dirname "$latch")" && pwd)/$(basename "$latch")
world=$(mktemp -d)

# The suite may run in a hook, or at somebody's who has a configuration.
for name in $(env | sed -n 's/^\(GIT_[A-Z_]*\)=.*/\1/p'); do unset "$name"; done
export HOME="$world" XDG_CONFIG_HOME="$world/.config" GIT_CONFIG_NOSYSTEM=1
git config --global user.name Somebody
git config --global user.email somebody@example.com
git config --global init.defaultBranch main

# repository NAME [PATH…]: a bare repository below the root, with a commit of these files.
repository() {
    repository=$world/root/$1.git
    shift
    git init --quiet --bare "$repository"
    [ $# -gt 0 ] || return 0
    {
        printf 'commit refs/heads/main\ncommitter Somebody <somebody@example.com> 1790000000 +0000\ndata 5\nFiles\n'
        for path in "$@"; do printf 'M 644 inline %s\ndata 5\nfile\n\n' "$path"; done
    } | git --git-dir="$repository" fast-import --quiet
}

# unreadable PATH: a lock in the last repository that is none, as a foreign tool may leave it.
unreadable() {
    blob=$(echo 'this is no lock' | git --git-dir="$repository" hash-object -w --stdin)
    tree=$(printf '100644 blob %s\t%s.lock\n' "$blob" "$1" | git --git-dir="$repository" mktree)
    commit=$(printf 'A foreign change\n\nLatch-Seq: 1\n' | git --git-dir="$repository" commit-tree "$tree")
    git --git-dir="$repository" update-ref refs/latch/locks "$commit"
}

# user NAME ROLE SHOWN: somebody who logs in with the password `secret-NAME`.
user() {
    printf 'secret-%s' "$1" |
        "$latch" user add "$1" --role "$2" --id "$1@example.com" --name "$3" --users "$world/users.toml" >/dev/null
}
