# Completion of tenantmig for fish
function __tenantmig_complete
    set -lx _TENANTMIG_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION get-args
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp | string collect)
    set -l lines (tenantmig 2>/dev/null)
    if test -n "$lines"
        printf '%s\n' $lines
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command tenantmig --no-files --arguments '(__tenantmig_complete)'
