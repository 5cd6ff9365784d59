
# `git latch …`: the same answers as for `git-latch …`.
function __git_latch_below_git
    set -l words (commandline -opc)
    # Git's own options come before its command.
    while set -q words[1]; and test "$words[1]" != latch
        set -e words[1]
    end
    complete -C "git-latch $words[2..] "(commandline -ct)
end
complete -c git -f -n '__fish_git_using_command latch' -a '(__git_latch_below_git)'
