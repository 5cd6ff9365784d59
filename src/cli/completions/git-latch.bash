
# `git latch …`: the completion that comes with git calls this, with its own words.
_git_latch() {
    local at line COMP_WORDS COMP_CWORD
    at=${__git_cmd_idx:-}
    if [[ -z $at ]]; then
        # Git before 2.31 does not tell where its command stands.
        for ((at = 1; at < cword; at++)); do
            [[ ${words[at]} == latch ]] && break
        done
    fi
    COMP_WORDS=(git-latch "${words[@]:at+1}")
    COMP_CWORD=$((cword - at))
    ((COMP_CWORD > 1)) && prev=${COMP_WORDS[COMP_CWORD - 1]} || prev=git-latch
    _gitlatch git-latch "$cur" "$prev"
    # Git asks for no blank behind what is completed: whole words get theirs here.
    for at in "${!COMPREPLY[@]}"; do
        line=${COMPREPLY[at]}
        [[ $line == *[=/\ ] ]] || COMPREPLY[at]="$line "
    done
}
