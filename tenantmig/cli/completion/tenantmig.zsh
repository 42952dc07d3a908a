#compdef tenantmig
# Completion of tenantmig for zsh
_tenantmig() {
    local -a lines values shown
    local line
    lines=("${(@f)$(env _TENANTMIG_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="${words[1,CURRENT]}" tenantmig 2>/dev/null)}")
    for line in "${lines[@]}"; do
        [[ -n $line ]] || continue
        values+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  }")
    done
    if (( $#values )); then
        compadd -l -d shown -a values
    else
        _files
    fi
}
if [[ $funcstack[1] == _tenantmig ]]; then
    _tenantmig "$@"
else
    compdef _tenantmig tenantmig
fi
