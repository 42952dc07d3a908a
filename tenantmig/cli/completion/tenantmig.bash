# Completion of tenantmig for bash
_tenantmig() {
    local IFS=$'\n' line
    COMPREPLY=()
    while read -r line; do
        [[ -n $line ]] && printf -v "COMPREPLY[${#COMPREPLY[@]}]" %q "$line"
    done < <(
        env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" \
            _TENANTMIG_COMPLETE=complete_bash "$1" 2>/dev/null
    )
}
complete -o default -F _tenantmig tenantmig
