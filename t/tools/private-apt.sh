# shellcheck shell=bash
# Sourced.  apt with lists, cache and sources of its own, below one directory,
# so that a package of another suite, or a source package, can be had without
# a change to /etc/apt.  The mirror, its keys and its proxies are the ones of
# this machine: every entry is made out of one that apt uses here already.

# private_apt_init DIR TYPES [SUITE]
#
# TYPES is deb or deb-src.  With SUITE: one entry, the machine's own with its
# suite replaced.  Without: all the entries of the machine's release, updates
# and security included, so that the version is the one that is installed.

private_apt_init() {
    local dir=$1 types=$2 suite=${3:-} files=()

    private_apt_dir=$dir
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/src.d" \
        "$dir/none"
    rm -f "$dir"/src.d/*

    shopt -s nullglob
    files=(/etc/apt/sources.list.d/*.sources)
    if [ ${#files[@]} -gt 0 ]; then
        cat_paragraphs "${files[@]}" \
            | private_apt_deb822 "$types" "$suite" >"$dir/src.d/own.sources"
    fi

    if [ ! -s "$dir/src.d/own.sources" ]; then
        rm -f "$dir/src.d/own.sources"
        files=(/etc/apt/sources.list.d/*.list)
        [ ! -f /etc/apt/sources.list ] \
            || files=(/etc/apt/sources.list "${files[@]}")
        [ ${#files[@]} -eq 0 ] || private_apt_list "$types" "$suite" \
            "${files[@]}" >"$dir/src.d/own.list"
    fi
    shopt -u nullglob

    if [ -z "$(cat "$dir"/src.d/own.* 2>/dev/null)" ]; then
        echo "no apt source of Debian $(own_release) in /etc/apt" >&2
        return 1
    fi

    private_apt apt-get update -qq
}

# private_apt apt-get|apt-cache ARGUMENT...

private_apt() {
    local dir=$private_apt_dir command=$1
    shift

    # _apt, the user that apt fetches as, may not enter our directory.
    "$command" -o Dir::Etc::sourcelist=/dev/null \
        -o Dir::Etc::sourceparts="$dir/src.d" \
        -o Dir::Etc::preferences=/dev/null \
        -o Dir::Etc::preferencesparts="$dir/none" \
        -o Dir::State::lists="$dir/lists" \
        -o Dir::Cache="$dir/cache" \
        -o Acquire::Languages=none \
        -o APT::Sandbox::User="$(id -un)" \
        "$@"
}

# The names under which sources may know this machine's release.

own_release() {
    # shellcheck source=/dev/null
    (. /etc/os-release \
        && echo "(${VERSION_CODENAME:-sid}|(old)?stable|testing|unstable|sid)")
}

# Paragraphs are separated by blank lines; the end of a file is one too.

cat_paragraphs() {
    local file

    for file in "$@"; do
        cat "$file"
        echo
    done
}

# A paragraph is copied as it is, its keys (which may be embedded, over many
# lines) and options included; only the types and the suite change.

private_apt_deb822() {
    awk -v types="$1" -v suite="$2" -v release="$(own_release)" '
        function flush(    i, ours) {
            ours = on && deb && suites ~ ("(^|[ \t])" release \
                                          "(-[a-z]+)?([ \t]|$)")
            if (suite != "" && suites !~ ("(^|[ \t])" release "([ \t]|$)"))
                ours = 0
            if (ours && !(suite != "" && done++)) {
                for (i = 1; i <= n; i++)
                    print line[i]
                print "Types: " types
                print "Suites: " (suite == "" ? suites : suite)
                print ""
            }
            n = 0; suites = ""; deb = 0; on = 1; field = ""
        }
        BEGIN { on = 1 }
        /^[ \t]*$/ { flush(); next }
        /^#/ { next }
        /^[^ \t]/ { field = tolower($0); sub(/:.*/, "", field) }
        field == "types" { if (/(^|[: \t])deb([ \t]|$)/) deb = 1; next }
        field == "suites" {
            sub(/^[^ \t]*:/, ""); suites = suites " " $0; next
        }
        field == "enabled" && tolower($0) ~ /: *(no|false|0|off)/ { on = 0 }
        { line[++n] = $0 }
        END { flush() }'
}

private_apt_list() {
    local types=$1 suite=$2
    shift 2

    awk -v types="$types" -v suite="$suite" \
        -v release="$(own_release)" '
        $1 != "deb" { next }
        {
            # The options may hold blanks: [ arch=amd64 signed-by=... ]
            at = 2
            if ($2 ~ /^\[/)
                while (at < NF && $at !~ /\]$/ || at == 1) at++
            if ($2 ~ /^\[/) at++
            if ($(at + 1) !~ ("^" release "(-[a-z]+)?$")) next
            if (suite != "") {
                if ($(at + 1) !~ ("^" release "$") || done++) next
                $(at + 1) = suite
            }
            $1 = types
            print
        }' "$@"
}
