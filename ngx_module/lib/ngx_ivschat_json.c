
/*
 * JSON: a strict check before cJSON reads, and a writer of strings.
 */


#include "ngx_ivschat_json.h"

#include <stdio.h>
#include <stdlib.h>


/* Each moves *pos behind what it reads; -1 and *reason if it is not JSON. */

static int ngx_ivschat_json_scan(const char *pos, const char *end,
    unsigned depth, const char **reason);
static int ngx_ivschat_json_string(const char **pos, const char *end,
    const char **reason);
static int ngx_ivschat_json_number(const char **pos, const char **reason);

static void ngx_ivschat_json_wipe(cJSON *item);


cJSON *
ngx_ivschat_json_object(ngx_ivschat_str_t s, unsigned depth,
    const char **reason)
{
    char   *copy;
    cJSON  *tree;

    if (s.len == 0) {
        *reason = "empty";
        return NULL;
    }

    *reason = "not JSON";

    /* the NUL is for the scan, and for versions of cJSON that read past len */

    copy = malloc(s.len + 1);
    if (copy == NULL) {
        return NULL;
    }

    (void) ngx_ivschat_str_copy(copy, s);

    tree = NULL;

    if (ngx_ivschat_json_scan(copy, copy + s.len, depth, reason) == 0) {
        tree = cJSON_ParseWithLengthOpts(copy, s.len + 1, NULL, 1);
    }

    explicit_bzero(copy, s.len);
    free(copy);

    if (tree != NULL && !cJSON_IsObject(tree)) {
        *reason = "not a JSON object";
        ngx_ivschat_json_delete(tree);
        return NULL;
    }

    return tree;
}


/*
 * Refuses what cJSON accepts although it is not JSON; cJSON refuses the rest.
 * There is a NUL at end.
 */

static int
ngx_ivschat_json_scan(const char *pos, const char *end, unsigned depth,
    const char **reason)
{
    int       rc;
    unsigned  level;

    level = 0;
    rc = 0;

    while (pos < end && rc == 0) {

        if (*pos == '"') {
            rc = ngx_ivschat_json_string(&pos, end, reason);
            continue;
        }

        if (*pos == '-' || (*pos >= '0' && *pos <= '9')) {
            rc = ngx_ivschat_json_number(&pos, reason);
            continue;
        }

        if (*pos == '{' || *pos == '[') {

            if (++level > depth) {
                *reason = "nested too deeply";
                return -1;
            }

        } else if (*pos == '}' || *pos == ']') {
            level--;

        } else if (*pos == '\0' || strchr(" \t\r\n:,truefalsn", *pos) == NULL)
        {
            return -1;
        }

        pos++;
    }

    return rc;
}


/* Only a string can have other bytes than ASCII. */

static int
ngx_ivschat_json_string(const char **pos, const char *end, const char **reason)
{
    size_t       n;
    uint32_t     cp;
    const char  *p;

    for (p = *pos + 1; p < end; p += n) {
        n = ngx_ivschat_utf8_next((const unsigned char *) p,
                                  (size_t) (end - p), &cp);

        if (n != 0 && cp == '\\') {
            n = 2;

            if (p[1] == 'u') {

                /* cJSON reads invalid hexadecimal digits as U+0000 */

                if (strspn(p + 2, NGX_IVSCHAT_DIGITS "abcdefABCDEF") < 4) {
                    return -1;
                }

                cp = strncmp(p + 2, "0000", 4) == 0 ? 0 : cp;
            }
        }

        if (n == 0 || cp == 0) {
            *reason = "not UTF-8, or contains U+0000";
            return -1;
        }

        if (cp < 0x20) {
            *reason = "unescaped control character in a string";
            return -1;
        }

        if (cp == '"') {
            *pos = p + 1;
            return 0;
        }
    }

    return -1;
}


/* -? (0 | [1-9][0-9]*) (\. [0-9]+)? ([eE] [+-]? [0-9]+)? */

static int
ngx_ivschat_json_number(const char **pos, const char **reason)
{
    size_t       n;
    const char  *p;

    p = *pos + (**pos == '-');

    n = *p == '0' ? 1 : strspn(p, NGX_IVSCHAT_DIGITS);
    p += n;

    if (n != 0 && *p == '.') {
        n = strspn(p + 1, NGX_IVSCHAT_DIGITS);
        p += 1 + n;
    }

    if (n != 0 && (*p == 'e' || *p == 'E')) {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        n = strspn(p, NGX_IVSCHAT_DIGITS);
        p += n;
    }

    /* "01" and "1.5.1" are not two numbers */

    if (n == 0 || strspn(p, "+-.eE" NGX_IVSCHAT_DIGITS) != 0) {
        return -1;
    }

    if (p - *pos > NGX_IVSCHAT_JSON_NUMBER_MAX) {
        *reason = "number too long";
        return -1;
    }

    *pos = p;

    return 0;
}


static void
ngx_ivschat_json_wipe(cJSON *item)
{
    cJSON  *child;

    if (cJSON_IsString(item)) {
        explicit_bzero(item->valuestring, strlen(item->valuestring));
    }

    cJSON_ArrayForEach(child, item) {
        ngx_ivschat_json_wipe(child);
    }
}


void
ngx_ivschat_json_delete(cJSON *tree)
{
    ngx_ivschat_json_wipe(tree);
    cJSON_Delete(tree);
}


const char *
ngx_ivschat_json_members(const cJSON *object,
    ngx_ivschat_json_member_t *members, size_t n)
{
    size_t        i;
    const char   *twice;
    const cJSON  *item;

    twice = NULL;

    for (i = 0; i < n; i++) {
        members[i].item = NULL;
    }

    cJSON_ArrayForEach(item, object) {

        for (i = 0; i < n; i++) {

            if (strcmp(item->string, members[i].name) != 0) {
                continue;
            }

            if (members[i].item == NULL) {
                members[i].item = item;

            } else {
                twice = members[i].name;
            }

            break;
        }
    }

    return twice;
}


ngx_ivschat_str_t
ngx_ivschat_json_text(const cJSON *item)
{
    ngx_ivschat_str_t  none = { NULL, 0 };

    return cJSON_IsString(item) ? ngx_ivschat_str(item->valuestring) : none;
}


void
ngx_ivschat_json_write(ngx_ivschat_out_t *out, ngx_ivschat_str_t s)
{
    char         escape[sizeof("\\u001f")];
    size_t       n;
    uint32_t     cp;
    const char  *p;

    static const char  controls[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\";

    ngx_ivschat_out_write(out, "\"", 1);

    for ( /* void */ ; s.len != 0; s.data += n, s.len -= n) {
        n = ngx_ivschat_utf8_next((const unsigned char *) s.data, s.len, &cp);

        if (n == 0 || cp == 0) {
            out->size = 0;
            return;
        }

        p = n == 1 ? strchr(controls, *s.data) : NULL;

        if (p != NULL) {
            escape[0] = '\\';
            escape[1] = letters[p - controls];
            ngx_ivschat_out_write(out, escape, 2);

        } else if (cp < 0x20) {
            (void) snprintf(escape, sizeof(escape), "\\u%04x", (unsigned) cp);
            ngx_ivschat_out_write(out, escape, 6);

        } else {
            ngx_ivschat_out_write(out, s.data, n);
        }
    }

    ngx_ivschat_out_write(out, "\"", 1);
}
