#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What users read agrees with the code: every verb, and every option of the tables in shim/*.c, has a row in the
# man page and is offered by the completion, and nothing else is. Prints TAP. Each comparison has a twin: a copy with
# one row less, or one more, must be refused.
cd "$(dirname "$0")/../.." || exit 2
. tests/unit/tap.sh

export LC_ALL=C
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
man=docs/man/mkexec.8
completion=docs/completion/mkexec.bash

# ---- the three sources, each as lines "VERB" or "VERB --option"; VERB "-" is mkexec without a verb ----

verbs_of_code() { # main.c
    awk '/struct verb verbs\[\]/ { inside = 1; next } inside && /^};/ { exit }
         inside && match($0, /\{"[a-z]+"/) { print substr($0, RSTART + 2, RLENGTH - 3) }' "$1"
}

words_of_log() {
    grep -oE '\{"[a-z]+", log_' shim/verb-log.c | cut -d'"' -f2
}

# A table belongs to the verb that its file is named for: verb-NAME.c, NAME-verb.c, log-WORD-verb.c. Each has --help.
options_of_code() { # *.c
    local file
    for file in "$@"; do
        awk -v verb="$(basename "$file" .c)" '
            BEGIN { sub(/^verb-/, "", verb); sub(/-verb$/, "", verb); sub(/^log-.*/, "log", verb) }
            /struct option_row [a-z_]+\[\] = \{/ { inside = 1; print verb, "--help"; next }
            /struct hop_option \{/ { both = 1; print "load --help"; print "predict --help" }
            /struct ticket_option \{/ { ticket = 1; print "ticket --help" }
            /^};/ { inside = both = ticket = 0 }
            ticket && match($0, /\{"[a-z-]+", ("[A-Z]+"|NULL),/) {
                split(substr($0, RSTART + 2), part, "\"")
                print "ticket --" part[1]
            }
            both && match($0, /\{(BOTH|LOAD|PREDICT),/) { verbs = substr($0, RSTART + 1, RLENGTH - 2) }
            both && match($0, /\{"[a-z-]+",/) {
                name = substr($0, RSTART + 2, RLENGTH - 4)
                if (verbs != "PREDICT") print "load --" name
                if (verbs != "LOAD") print "predict --" name
            }
            inside && match($0, /^ +\{"[a-z-]+"/) {
                sub(/^ +\{"/, ""); sub(/".*/, "")
                print verb, "--" $0
            }' "$file"
    done
    # What main() itself takes.
    grep -ho 'strcmp(argv\[1\], "--[a-z-]*"' "${@: -1}" | sed 's/.*"\(--[a-z-]*\)"/- \1/'
}

code() { # folder with main.c last
    local files=()
    mapfile -t files < <(find "$1" -maxdepth 1 -name '*.c' ! -name main.c | sort)
    files+=("$1/main.c")
    { verbs_of_code "$1/main.c"; options_of_code "${files[@]}"; } | sort -u
}

manual() { # file
    awk '/^\.Sh / { verbs = $2 == "VERBS"; n = 0 }
         verbs && /^\.Ss [a-z]+$/ { print $2 }
         /^\.\\" options of: / { n = split($0, names, " ") }
         /^\.El/ { n = 0 }
         n && /^\.It Fl -/ { option = $3; for (i = 4; i <= n; i++) print names[i], "-" option }' "$1" | sort
}

# Asks the completion itself, as bash does.
completed() { # file, words of the command line ...; the last is to be completed
    bash --norc -c 'source "$1" || exit 1; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _mkexec mkexec "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

completion_of() { # file
    local verb verbs
    verbs=$(completed "$1" mkexec '' | grep -v '^-')
    printf '%s\n' "$verbs"
    completed "$1" mkexec -- | sed 's/^/- /'
    for verb in $verbs; do
        # An option that only one of the words behind "log" has counts for "log".
        if [ "$verb" = log ]; then
            for word in $(words_of_log); do completed "$1" mkexec log "$word" --; done | sort -u
        else
            completed "$1" mkexec "$verb" --
        fi | sed "s/^/$verb /"
    done
}

# ---- names of the specification map: services and protocol functions, TPM commands ----

specified_by_code() { # folder of the firmware, submit.c
    grep -rhoE '\{"[A-Za-z0-9.]+", +"[a-zA-Z.]*",( +[a-z]|$)' --include='*.c' "$1" | sed 's/{"\([^"]*\)".*/\1/'
    grep -o '{TPM2_CC_[A-Za-z0-9_]*' "$2" | sed 's/{TPM2_CC_//'
}

specified_by_map() { # file; the words in backticks of first columns that begin with one
    awk -F'|' '/^\| `/ { n = split($2, words, "`"); for (i = 2; i <= n; i += 2) print words[i] }' "$1"
}

# ---- mkexec-ticket: what it prints, its man page, its completion ----

# The options of the words that the program has, and those of all words.
ticket_help() { # ticket-verb.c, mkexec-ticket.c
    local words
    words=$(grep -oE '\{"[a-z]+", \.' "$2" | cut -d'"' -f2 | paste -sd'|')
    grep -oE '\{(NULL|"[a-z]+"), \{"[a-z-]+"' "$1" | grep -E "^\\{(NULL|\"($words)\")," | sed 's/.*{"\(.*\)"/--\1/'
    printf '%s\n' --help --version
}
ticket_manual() { sed -n 's/^\.It Fl -\([a-z-]*\).*/--\1/p' "$1"; } # file
ticket_completion() { # file
    bash --norc -c 'source "$1"; for words in "mkexec-ticket --" "mkexec-ticket get --"; do
        COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _mkexec_ticket; printf "%s\n" "${COMPREPLY[@]}"; done' bash "$1"
}

only_in_first() { comm -23 "$1" "$2"; }
differences() { comm -3 "$1" "$2"; }

# ---- limits of the threat model: "CONSTANT NUMBER" ----

limits_of_page() { # file
    awk -F'|' '/^### Limits/ { inside = 1 } /^## / { inside = 0 }
         inside && $4 ~ /`[A-Z_]+`/ { gsub(/[ `]/, "", $4); gsub(/ /, "", $3); print $4, $3 }' "$1"
}

limits_of_code() { # folders ...
    local name value number='^[0-9][0-9 *<]*$'
    grep -rhE '^#define +[A-Z_]+ +[(0-9]' --include='*.c' --include='*.h' "$@" |
        sed -E 's,/\*.*,,; s/([0-9])[uUlL]+/\1/g; s/\(size_t\)|[()]//g; s/ +$//' | while read -r _ name value; do
        [[ $value =~ $number ]] && echo "$name $((value))"
    done | sort -u
}

machines_of_code() { # test_machines.py
    sed -n 's/^    Machine("\([a-z0-9-]*\)".*/machines-\1/p' "$1"
}

machines_of_page() { # file; the tests that its tables name
    grep '^|' "$1" | grep -oE '\bmachines-[a-z0-9-]+'
}

echo "1..23"
code shim >"$work/code"
manual $man >"$work/man"
completion_of $completion | sort >"$work/completion"

# Enough that an extraction which finds nothing can't pass for agreement.
few=$(awk 'NF == 1 { verbs++ } NF == 2 { options++ } END { if (verbs < 6 || options < 40) print verbs, options }' "$work/code")
ok "the code has verbs and options" "$few"
ok "every verb and option has a row in the man page" "$(only_in_first "$work/code" "$work/man")"
ok "the man page has no other rows" "$(only_in_first "$work/man" "$work/code")"
ok "every verb and option is offered by the completion" "$(only_in_first "$work/code" "$work/completion")"
ok "the completion offers nothing else" "$(only_in_first "$work/completion" "$work/code")"
ok "log has the words that the code takes" "$(comm -3 <(completed $completion mkexec log '' | sort) \
    <({ echo --help; words_of_log; } | sort -u))"
ok "the value of --esp is a folder, that of --map a file" "$(cd "$work" && mkdir esp.d && : >esp.map &&
    comm -3 <(completed "$OLDPWD/$completion" mkexec load --esp esp; completed "$OLDPWD/$completion" mkexec load --map esp | sort) \
        <(printf '%s\n' esp.d esp.d esp.map))"

specified_by_code shim/firmware tcg2/submit.c | sort -u >"$work/specified"
specified_by_map docs/spec-map.md | sort -u >"$work/map"
ok "every service, function and TPM command has a row in the specification map" \
    "$([ "$(wc -l <"$work/specified")" -ge 100 ] || echo "only $(wc -l <"$work/specified") were found")$(only_in_first "$work/specified" "$work/map")"
ok "the specification map has no other rows" "$(only_in_first "$work/map" "$work/specified")"

machines_of_code tests/system/test_machines.py | sort -u >"$work/machines"
machines_of_page docs/machines.md | sort -u >"$work/page"
ok "docs/machines.md names every machine that is tested, and no other" \
    "$([ "$(wc -l <"$work/machines")" -ge 9 ] || echo "only $(wc -l <"$work/machines") were found")$(differences "$work/machines" "$work/page")"

limits_of_page docs/threat-model.md | sort -u >"$work/limits"
limits_of_code shim tcg2 base eventlog >"$work/code-limits"
ok "the limits that the threat model names are the code's" \
    "$([ "$(wc -l <"$work/limits")" -ge 20 ] || echo "only $(wc -l <"$work/limits") were found")$(only_in_first "$work/limits" "$work/code-limits")"

ticket_help shim/ticket-verb.c shim/mkexec-ticket.c | sort -u >"$work/ticket-help"
ticket_manual docs/man/mkexec-ticket.8 | sort -u >"$work/ticket-man"
ok "mkexec-ticket's man page has the options that it says it has" \
    "$([ "$(wc -l <"$work/ticket-help")" -ge 9 ] || echo "only $(wc -l <"$work/ticket-help") were found")$(differences "$work/ticket-help" "$work/ticket-man")"
ok "and so has its completion" "$(comm -3 "$work/ticket-help" <(ticket_completion $completion | sort -u))"

# ---- twins ----

sed '/^\.It Fl -wait/d' docs/man/mkexec-ticket.8 >"$work/twin.8"
refused "a man page of mkexec-ticket without --wait" \
    "$(differences "$work/ticket-help" <(ticket_manual "$work/twin.8" | sort -u) | grep -x -- --wait)"

sed 's/| 4096 | `MAX_HANDLES`/| 8192 | `MAX_HANDLES`/' docs/threat-model.md >"$work/twin.md"
limits_of_page "$work/twin.md" | sort -u >"$work/twin"
refused "a threat model that promises other limits" "$(only_in_first "$work/twin" "$work/code-limits" | grep -x 'MAX_HANDLES 8192')"

mkdir "$work/shim"
cp shim/*.c "$work/shim"
sed -i 's/^\( *\){"now", .*/\1{"later", NULL, "not now", OPTION_FLAG(struct exec_options, later)},\n&/' "$work/shim/verb-exec.c"
code "$work/shim" >"$work/twin"
refused "an option that nobody documented" "$(only_in_first "$work/twin" "$work/man")"

sed -i 's/^\( *\){"unload", .*/&\n\1{"pretend", "", "", verb_unload},/' "$work/shim/main.c"
code "$work/shim" >"$work/twin"
refused "a verb that the completion doesn't know" "$(only_in_first "$work/twin" "$work/completion" | grep -x pretend)"

sed '/^\.It Fl -memory-limit/d' $man >"$work/twin.8"
manual "$work/twin.8" >"$work/twin"
refused "a man page without --memory-limit, of two verbs" \
    "$(differences "$work/code" "$work/twin" | grep -c memory-limit | grep -x 2)"

sed 's/^\.It Fl -dry-run/&\n.It Fl -wet-run/' $man >"$work/twin.8"
manual "$work/twin.8" >"$work/twin"
refused "a man page that promises --wet-run" "$(only_in_first "$work/twin" "$work/code")"

sed 's/ --accept-log-gaps//' $completion >"$work/twin.bash"
completion_of "$work/twin.bash" | sort >"$work/twin"
refused "a completion without --accept-log-gaps" "$(only_in_first "$work/code" "$work/twin")"

sed '/^| `Stall`/d; s/`Unseal`, //' docs/spec-map.md >"$work/twin.md"
specified_by_map "$work/twin.md" | sort -u >"$work/twin"
refused "a specification map without Stall and Unseal" \
    "$(only_in_first "$work/specified" "$work/twin" | tr '\n' ' ' | grep -x 'Stall Unseal ')"

sed 's/machines-vga/machines-vesa/' docs/machines.md >"$work/twin.md"
machines_of_page "$work/twin.md" | sort -u >"$work/twin"
refused "a page of machines with vesa for vga" \
    "$(differences "$work/machines" "$work/twin" | tr -d '\t' | tr '\n' ' ' | grep -x 'machines-vesa machines-vga ')"

# ---- lint ----

if command -v mandoc >/dev/null; then
    ok "mandoc has nothing to say about the man page" \
        "$(mandoc -Tlint -W warning $man docs/man/mkexec-ticket.8 2>&1 | grep -v 'mandoc.db\|referenced manual not found')"
elif command -v groff >/dev/null; then
    ok "groff has nothing to say about the man page" "$(groff -ww -z -mandoc -Tutf8 $man docs/man/mkexec-ticket.8 2>&1)"
else
    skip "lint of the man page" "neither mandoc nor groff is here"
fi
exit $failed
