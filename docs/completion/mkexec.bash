# SPDX-License-Identifier: LGPL-2.1-or-later
# bash completion for mkexec(8). Needs nothing but bash. tests/unit/docs.sh compares what it offers with the option tables
# in shim/*.c.

_mkexec() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= offer= files= i
    local hop='--cmdline --profile --initrd --esp --map --close --db --dbx --handover --tcti --timeout --memory-limit --trace --json --quiet --verbose --help'

    COMPREPLY=()
    if [ "$COMP_CWORD" -gt 1 ]; then
        verb=${COMP_WORDS[1]}
    fi

    # The value of an option.
    case $prev in
        --initrd | --map | --machine | --base | --pcrs | --db | --dbx | --owner-auth | --ak-auth | --ak | --new-ak | --public | --certificate | --policy | --ca | --reference | --output | -o) [ "$prev/$verb" = --machine/status ] || files=all ;;
        --esp | --directory) files=folders ;;
        --close) offer='none 11' ;;
        --firmware-events) offer='action,separator separator none' ;;
        --handover) offer='auto load file' ;;
        --key-type) offer='rsa ecc' ;;
        --bank) offer='sha1 sha256 sha384 sha512 sm3_256 sha3_256 sha3_384 sha3_512' ;;
        --to) offer='cel-json cel-tlv agile systemd' ;;
        --tcti) offer='device:/dev/tpmrm0 device:/dev/tpm0 swtpm:' ;;
        --cmdline | --profile | --timeout | --memory-limit | --pcr | --boot | --ticket | --wait | --nonce | --jobs) return ;;
    esac

    if [ -z "$files$offer" ]; then
        case $verb in
            '') offer='predict load exec unload status log ticket attest verify --help --version' ;;
            predict) offer="$hop --machine --base --firmware --firmware-events" files=all ;;
            load) offer="$hop --dry-run --accept-log-gaps --ticket --pcr --owner-auth" files=all ;;
            exec) offer='--now --arm --at-shutdown --only-armed --tcti --quiet --verbose --help' ;;
            unload) offer='--tcti --help' ;;
            status) offer='--json --machine --esp --tcti --help' ;;
            verify)
                offer='--nonce --reference --policy --ak --ca --accept-any-ak --json --stream --jobs --help' files=all
                ;;
            ticket)
                offer='--pcr --output --directory --all --left --wait --owner-auth --json --tcti --help'
                [ "$COMP_CWORD" != 2 ] || [[ $cur == -* ]] || offer='put get list drop lock'
                ;;
            attest) offer='--ak --new-ak --key-type --nonce --output --public --bank --certificate --ak-auth --owner-auth --tcti --help' ;;
            log)
                if [ "$COMP_CWORD" = 2 ]; then
                    offer='check convert replay show --help'
                else
                    offer='--json --help' files=all
                    case ${COMP_WORDS[2]} in
                        check) offer="$offer --pcrs --tpm --tcti --verbose" ;;
                        replay) offer="$offer --boot --payload-view" ;;
                        convert) offer='--to --measured-only --output --help' ;;
                        show) offer='--json --yaml --binary --pcr --bank --no-pager --help' ;;
                    esac
                fi
                ;;
        esac
        # Options on request only, so that a bare TAB shows files.
        [ -z "$files" ] || [[ $cur == -* ]] || offer=
        [[ $cur != -* ]] || files=
    fi

    mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$cur")
    case $files in
        all) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$cur") ;;
        folders) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -d -- "$cur") ;;
    esac
    [ -z "$files" ] || compopt -o filenames 2>/dev/null
}

complete -F _mkexec mkexec

# The same words for initrds.
_mkexec_ticket() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} offer=

    COMPREPLY=()
    case $prev in
        --output | -o | --owner-auth) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        --directory) mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
        --tcti) offer='device:/dev/tpmrm0 device:/dev/tpm0' ;;
        --wait) ;;
        *)
            offer='--output --directory --all --left --wait --owner-auth --tcti --help'
            [ "$COMP_CWORD" != 1 ] || offer='--help --version'
            [ "$COMP_CWORD" != 1 ] || [[ $cur == -* ]] || offer='get drop lock'
            ;;
    esac
    [ -z "$offer" ] || mapfile -t COMPREPLY < <(compgen -W "$offer" -- "$cur")
}

complete -F _mkexec_ticket mkexec-ticket
