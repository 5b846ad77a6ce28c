
/*
 * JSON: the reader accepts what a second one, written from RFC 8259's grammar,
 * accepts, and finds what cJSON alone finds; what is written can be read.
 */


#include "fuzz.h"

#include <iconv.h>
#include <regex.h>


#define DEPTH   16


/* Each returns what follows, or NULL if it is not JSON. */

static const char *
string(const char *p)
{
    unsigned  cp, high;

    high = 0;

    for (p++; *p != '"'; p++) {

        if ((unsigned char) *p < ' ' || (high && strncmp(p, "\\u", 2) != 0)) {
            return NULL;
        }

        if (*p != '\\') {
            continue;
        }

        if (*++p != 'u') {

            if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL) {
                return NULL;
            }

            continue;
        }

        if (strspn(p + 1, "0123456789abcdefABCDEF") < 4) {
            return NULL;
        }

        (void) sscanf(p + 1, "%4x", &cp);
        p += 4;

        if (cp == 0 || high != (cp >= 0xdc00 && cp <= 0xdfff)) {
            return NULL;
        }

        high = cp >= 0xd800 && cp <= 0xdbff;
    }

    return high ? NULL : p + 1;
}


static const char *
scalar(const char *p)
{
    regmatch_t  m;

    static int      compiled;
    static regex_t  re;

    if (!compiled) {
        must(regcomp(&re, "^(true|false|null|-?(0|[1-9][0-9]*)([.][0-9]+)?"
                          "([eE][+-]?[0-9]+)?)", REG_EXTENDED) == 0);
        compiled = 1;
    }

    if (regexec(&re, p, 1, &m, 0) != 0
        || m.rm_eo > NGX_IVSCHAT_JSON_NUMBER_MAX)
    {
        return NULL;
    }

    return p + m.rm_eo;
}


static const char *
blank(const char *p)
{
    return p + strspn(p, " \t\r\n");
}


static const char *
value(const char *p, unsigned depth)
{
    char  end;

    if (*p != '{' && *p != '[') {
        return *p == '"' ? string(p) : scalar(p);
    }

    end = *p == '{' ? '}' : ']';

    if (depth == 0) {
        return NULL;
    }

    p = blank(p + 1);

    if (*p == end) {
        return p + 1;
    }

    for ( /* void */ ; p != NULL; p = blank(p + 1)) {

        if (end == '}') {
            p = *p == '"' ? string(p) : NULL;

            if (p == NULL || *(p = blank(p)) != ':') {
                return NULL;
            }

            p = blank(p + 1);
        }

        p = value(p, depth - 1);

        if (p == NULL || *(p = blank(p)) == end || *p != ',') {
            return p != NULL && *p == end ? p + 1 : NULL;
        }
    }

    return NULL;
}


/* libc knows UTF-8, too. */

static int
utf8(const char *text, size_t len)
{
    char            *in, *out, sink[512];
    size_t           left, room, rc;
    static iconv_t   cd;

    if (cd == NULL) {
        cd = iconv_open("UTF-32LE", "UTF-8");
        must(cd != (iconv_t) -1);
    }

    (void) iconv(cd, NULL, NULL, NULL, NULL);

    in = (char *) text;
    left = len;

    do {
        out = sink;
        room = sizeof(sink);
        rc = iconv(cd, &in, &left, &out, &room);
    } while (rc == (size_t) -1 && room < sizeof(sink));

    return rc != (size_t) -1;
}


static int
valid(const char *text, size_t len)
{
    const char  *p;

    if (strlen(text) != len || !utf8(text, len)) {
        return 0;
    }

    p = blank(text);
    p = *p == '{' ? value(p, DEPTH) : NULL;

    return p != NULL && *blank(p) == '\0';
}


/* Each string is written and read again. */

static void
check_strings(const cJSON *item)
{
    cJSON              *tree;
    char                buf[6 * 8192 + 64];
    const char         *text, *reason;
    const cJSON        *child;
    ngx_ivschat_str_t   s;
    ngx_ivschat_out_t   out = { buf, sizeof(buf), 0 };

    text = cJSON_GetStringValue(item);

    if (text != NULL && strlen(text) <= 8192) {
        ngx_ivschat_out_text(&out, "{\"\":");
        ngx_ivschat_json_write(&out, ngx_ivschat_str(text));
        ngx_ivschat_out_text(&out, "}");
        must(out.len <= out.size);

        s.data = buf;
        s.len = out.len;
        tree = ngx_ivschat_json_object(s, 1, &reason);

        must(tree != NULL && strcmp(fuzz_string(tree, ""), text) == 0);
        ngx_ivschat_json_delete(tree);
    }

    cJSON_ArrayForEach(child, item) {
        check_strings(child);
    }
}


static void
check_members(const cJSON *object)
{
    size_t                      n;
    const char                 *twice;
    const cJSON                *child, *other;
    ngx_ivschat_json_member_t   m;

    cJSON_ArrayForEach(child, object) {
        n = 0;

        cJSON_ArrayForEach(other, object) {
            n += strcmp(child->string, other->string) == 0;
        }

        m.name = child->string;
        twice = ngx_ivschat_json_members(object, &m, 1);

        must(m.item == cJSON_GetObjectItemCaseSensitive(object, m.name));
        must(twice == (n > 1 ? m.name : NULL));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               *text, *one, *two;
    cJSON              *tree, *other;
    const char         *reason;
    ngx_ivschat_str_t   s;

    s = fuzz_copy(data, len);
    text = fuzz_text(s);
    reason = NULL;
    tree = ngx_ivschat_json_object(s, DEPTH, &reason);

    must((tree != NULL) == valid(text, len));

    if (tree == NULL) {
        must(reason != NULL && *reason);

    } else {
        fuzz_accepted++;

        other = fuzz_cjson(s);
        one = cJSON_PrintUnformatted(tree);
        two = cJSON_PrintUnformatted(other);

        must(one != NULL && two != NULL && strcmp(one, two) == 0);

        check_strings(tree);
        check_members(tree);

        free(one);
        free(two);
        cJSON_Delete(other);
        ngx_ivschat_json_delete(tree);
    }

    free(text);
    fuzz_free(s);

    return 0;
}
