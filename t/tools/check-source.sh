#!/bin/bash
#
# Usage: t/tools/check-source.sh
#
# The rules that the sources keep, as far as a script can see them.  Needs
# nothing built and nothing installed but awk and grep.

set -u
shopt -s nullglob

cd "$(dirname "$0")/../.." || exit 1

# Whatever is said, by a check or by a tool that does not work, is a failure.

main() {
    local said

    said=$(checks 2>&1)
    [ -z "$said" ] || { printf '%s\n' "$said" >&2; exit 1; }
    echo "sources: in order"
}

checks() {
    includes
    layout
    functions ngx_module/*.c ngx_module/*/*.c | complain "functions"
    documentation
}

complain() {
    local what=$1 lines

    lines=$(cat)
    [ -z "$lines" ] || printf '%s:\n%s\n' "$what" "$lines"
}

# only_in PATTERN FILE...: the includes of PATTERN that stand elsewhere.

only_in() {
    local pattern=$1 file
    shift

    for file in ngx_module/*.c ngx_module/*/*.[ch]; do
        case " $* " in
            *" ${file##*/} "*) ;;
            *) grep -HnE "^[[:blank:]]*#[[:blank:]]*include +$pattern" \
                "$file" ;;
        esac
    done
}

# lib/ and aws/ are pure: they are linked into the unit tests, which have no
# nginx.  Who may include whom: t/unit/test_layers.py.

includes() {
    local pure=(ngx_module/lib/*.[ch] ngx_module/aws/*.[ch])

    grep -HnE '#[[:blank:]]*include +<(ngx_|curl/)' "${pure[@]}" \
        | complain "nginx or libcurl included in a pure layer"

    only_in '[<"]curl/' ngx_ivschat_curl.c ngx_ivschat_url.c \
        | complain "libcurl belongs into ngx_ivschat_curl.c and _url.c"
    only_in '[<"]cjson/' ngx_ivschat_json.h \
        | complain "cJSON belongs into the pure layers' parsers"
    only_in '[<"]openssl/' ngx_ivschat_sigv4.c \
        | complain "OpenSSL belongs into ngx_ivschat_sigv4.c"
}

layout() {
    local c=(ngx_module/*.c ngx_module/*/*.[ch] t/unit/*.[ch] t/fuzz/*.[ch])
    local other=(config .ci/run t/tools/*.sh t/demo/*.sh
                 ngx_module/ivschat_params)

    [ ${#c[@]} -gt 0 ] || { echo "no sources" | complain "ngx_module"; return; }

    # Files that are not there yet have no faults.
    local present=() file
    for file in "${other[@]}"; do
        [ ! -f "$file" ] || present+=("$file")
    done
    other=("${present[@]}")

    grep -Hn $'\t' "${c[@]}" "${other[@]}" | complain "tab"
    grep -HnE '[[:blank:]]+$' "${c[@]}" "${other[@]}" Makefile \
        | complain "blanks at the end of a line"
    LC_ALL=C awk '
        {
            gsub(/[\200-\277]/, "")        # a character is its first byte
            if (length($0) > 80)
                print FILENAME ":" FNR ": " length($0)
        }' "${c[@]}" | complain "more than 80 columns"
    line_comments "${c[@]}" | complain "a // comment"
}

line_comments() {
    awk '
        FNR == 1 { inside = 0 }
        {
            s = $0
            gsub(/\\./, "", s)
            gsub(/"[^"]*"/, "", s)
            for (;;) {
                if (inside) {
                    if (!(i = index(s, "*/"))) break
                    s = substr(s, i + 2)
                    inside = 0
                }
                i = index(s, "/*")
                j = index(s, "//")
                if (j && (!i || j < i)) {
                    print FILENAME ":" FNR ": " $0
                    break
                }
                if (!i) break
                s = substr(s, i + 2)
                inside = 1
            }
        }' "$@"
}

# nginx's form: the type on a line of its own, then the name in the first
# column, the braces too.

functions() {
    awk '
        FNR == 1 { type = name = ""; start = 0 }
        /^[a-z_0-9]+\(/ && !/;[ \t]*$/ {
            name = $0; sub(/\(.*/, "", name)
            start = FNR; static = (type ~ /static/)
        }
        /^{/ && start && !static \
            && name !~ /^ngx_(http_ivschat_token|ivschat)(_|$)/ \
            && name != "main" {
            print FILENAME ":" start ": " name " is visible to all modules"
        }
        /^}/ && start {
            if (FNR - start >= 100)
                print FILENAME ":" start ": " name " has " FNR - start " lines"
            start = 0
        }
        { type = $0 }' "$@"
}

# Directives are told from variables of the same name by the line after, with
# the contexts.

directives() {
    awk '
        name != "" && /_CONF\||ANYWHERE\|/ { print name }
        { name = "" }
        /ngx_string\("ivschat_token[a-z_]*"\)/ {
            name = $0
            sub(/.*ngx_string\("/, "", name); sub(/".*/, "", name)
        }' ngx_module/*.c ngx_module/*/*.c | sort -u
}

documented() {
    # shellcheck disable=SC2016
    sed -nE 's/^#+ +`?(ivschat_token[a-z_]*)`?[[:blank:]]*$/\1/p' \
        docs/directives.md | sort -u
}

documentation() {
    [ -f docs/directives.md ] || return 0

    comm -23 <(directives) <(documented) \
        | complain "without a section in docs/directives.md"
    comm -13 <(directives) <(documented) \
        | complain "in docs/directives.md, and no directive"
}

main
