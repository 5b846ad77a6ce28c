# shellcheck shell=bash
# Sourced.  What building the module inside nginx's build system needs, be
# that Debian's nginx-dev, a release tarball or a git tree.

# nginx_tree SOURCE DIR
#
# Makes DIR a stand-in for the tree SOURCE, out of links.  Configuring writes
# a Makefile beside the sources it is run in; this way the sources stay as
# they are, and may belong to somebody else.

nginx_tree() {
    local name

    if [ ! -f "$1/src/core/nginx.h" ] || [ ! -f "$1/auto/options" ]; then
        echo "no nginx source tree in $1" >&2
        return 1
    fi

    mkdir -p "$2"
    for name in auto conf configure contrib docs man misc src; do
        [ ! -e "$1/$name" ] || ln -sfn "$(readlink -f "$1/$name")" "$2/$name"
    done
}

# nginx_configure TREE BUILD ARGUMENT...
#
# The generated headers keep their times if they say the same as before: on
# them depends each of nginx's own objects.  A new source file of ours then
# costs its own compilation, not nginx's.

nginx_configure() {
    local tree=$1 build=$2 name
    shift 2

    mkdir -p "$build"
    for name in ngx_auto_config.h ngx_auto_headers.h; do
        [ ! -f "$build/$name" ] || mv "$build/$name" "$build/$name.old"
    done

    # A git tree has auto/configure, a tarball the same as ./configure.
    if ! (cd "$tree" && sh "$(nginx_configure_name)" \
        --builddir="$build" "$@") >"$build/configure.log" 2>&1 </dev/null
    then
        tail -n 20 "$build/configure.log" >&2
        rm -f "$build/Makefile"
        return 1
    fi

    for name in ngx_auto_config.h ngx_auto_headers.h; do
        if [ -f "$build/$name.old" ] && cmp -s \
            <(grep -v NGX_CONFIGURE "$build/$name.old") \
            <(grep -v NGX_CONFIGURE "$build/$name")
        then
            # what "nginx -V" says is in one object alone
            cmp -s "$build/$name.old" "$build/$name" \
                || rm -f "$build/src/core/nginx.o"
            touch -r "$build/$name.old" "$build/$name"
        fi
        rm -f "$build/$name.old"
    done
}

nginx_configure_name() {
    if [ -f auto/configure ]; then
        echo auto/configure
    else
        echo ./configure
    fi
}

# nginx_stamp FILE TEXT COMMAND...
#
# Runs COMMAND unless it succeeded before with the same TEXT.

nginx_stamp() {
    local file=$1 text=$2
    shift 2

    [ "$(cat "$file" 2>/dev/null)" != "$text" ] || return 0
    rm -f "$file"
    "$@"
    printf '%s\n' "$text" >"$file"
}

# nginx_make TREE BUILD TARGET
#
# The output only matters when something fails or is said by the compiler.

nginx_make() {
    (cd "$1" && exec env -u MAKEFLAGS -u MAKELEVEL make -s \
        -j"$(nproc)" -f "$2/Makefile" "$3") </dev/null
}
