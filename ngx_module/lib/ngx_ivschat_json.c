
/*
 * JSON: a strict check before cJSON reads, and a writer of strings.
 */


#include "ngx_ivschat_json.h"

#include <stdio.h>
#include <stdlib.h>


typedef struct {
    const char   *pos;
    const char   *end;
    unsigned      depth;               /* of objects and arrays */
    const char   *reason;              /* of a failure */
} ngx_ivschat_json_t;


/* Each reads what its name says, and returns -1 on failure. */

static int ngx_ivschat_json_scan(ngx_ivschat_json_t *j, unsigned depth);
static int ngx_ivschat_json_string(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_escape(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_number(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_digits(ngx_ivschat_json_t *j);

static int ngx_ivschat_json_next(ngx_ivschat_json_t *j, char c);
static cJSON *ngx_ivschat_json_tree(ngx_ivschat_str_t s);
static void ngx_ivschat_json_wipe(cJSON *item);


cJSON *
ngx_ivschat_json_object(ngx_ivschat_str_t s, unsigned depth,
    const char **reason)
{
    cJSON               *tree;
    ngx_ivschat_json_t   j = { s.data, s.data + s.len, 0, "it is not JSON" };

    if (s.len == 0) {
        *reason = "it is empty";
        return NULL;
    }

    tree = NULL;

    if (ngx_ivschat_json_scan(&j, depth) == 0) {
        tree = ngx_ivschat_json_tree(s);
    }

    if (tree != NULL && !cJSON_IsObject(tree)) {
        j.reason = "it is not a JSON object";
        ngx_ivschat_json_delete(tree);
        tree = NULL;
    }

    *reason = j.reason;

    return tree;
}


/*
 * Refuses what cJSON would take although it is not JSON; of the rest cJSON
 * sees whether it is JSON.
 */

static int
ngx_ivschat_json_scan(ngx_ivschat_json_t *j, unsigned depth)
{
    char  c;

    while (j->pos < j->end) {
        c = *j->pos;

        if (c == '-' || (c >= '0' && c <= '9')) {

            if (ngx_ivschat_json_number(j) != 0) {
                return -1;
            }

            continue;
        }

        j->pos++;

        if (c == '"') {

            if (ngx_ivschat_json_string(j) != 0) {
                return -1;
            }

        } else if (c == '{' || c == '[') {

            if (++j->depth > depth) {
                j->reason = "it is nested too deeply";
                return -1;
            }

        } else if (c == '}' || c == ']') {
            j->depth--;

        } else if (c == '\0' || strchr(" \t\r\n:,truefalsn", c) == NULL) {
            return -1;
        }
    }

    return 0;
}


/* What follows the first quote.  Only here JSON can be more than ASCII. */

static int
ngx_ivschat_json_string(ngx_ivschat_json_t *j)
{
    size_t                n;
    uint32_t              cp;
    const unsigned char  *p;

    while (j->pos < j->end) {
        p = (const unsigned char *) j->pos;
        n = ngx_ivschat_utf8_next(p, (size_t) (j->end - j->pos), &cp);

        if (n == 0 || cp == 0) {
            j->reason = "it is not UTF-8, or has a U+0000";
            return -1;
        }

        j->pos += n;

        if (cp == '"') {
            return 0;
        }

        if (cp < 0x20) {
            j->reason = "a string has a bare control character";
            return -1;
        }

        if (cp == '\\' && ngx_ivschat_json_escape(j) != 0) {
            return -1;
        }
    }

    return -1;
}


/* What follows a backslash: cJSON takes bad hexadecimal digits for U+0000. */

static int
ngx_ivschat_json_escape(ngx_ivschat_json_t *j)
{
    ngx_ivschat_str_t  hex;

    if (!ngx_ivschat_json_next(j, 'u')) {
        j->pos += j->pos < j->end;
        return 0;
    }

    if (j->end - j->pos < 4) {
        return -1;
    }

    hex.data = j->pos;
    hex.len = 4;

    if (!ngx_ivschat_str_only(hex, NGX_IVSCHAT_DIGITS "abcdefABCDEF")) {
        return -1;
    }

    if (memcmp(hex.data, "0000", 4) == 0) {
        j->reason = "it is not UTF-8, or has a U+0000";
        return -1;
    }

    j->pos += 4;

    return 0;
}


/* -? (0 | [1-9][0-9]*) (\. [0-9]+)? ([eE] [+-]? [0-9]+)? */

static int
ngx_ivschat_json_number(ngx_ivschat_json_t *j)
{
    const char  *start;

    start = j->pos;

    (void) ngx_ivschat_json_next(j, '-');

    if (!ngx_ivschat_json_next(j, '0') && ngx_ivschat_json_digits(j) != 0) {
        return -1;
    }

    if (ngx_ivschat_json_next(j, '.') && ngx_ivschat_json_digits(j) != 0) {
        return -1;
    }

    if (ngx_ivschat_json_next(j, 'e') || ngx_ivschat_json_next(j, 'E')) {

        if (!ngx_ivschat_json_next(j, '+')) {
            (void) ngx_ivschat_json_next(j, '-');
        }

        if (ngx_ivschat_json_digits(j) != 0) {
            return -1;
        }
    }

    /* "01" and "1.5.1" are not two numbers */

    if (j->pos < j->end && strchr("+-.0123456789eE", *j->pos) != NULL) {
        return -1;
    }

    if (j->pos - start > NGX_IVSCHAT_JSON_NUMBER_MAX) {
        j->reason = "a number is too long";
        return -1;
    }

    return 0;
}


static int
ngx_ivschat_json_digits(ngx_ivschat_json_t *j)
{
    const char  *start;

    start = j->pos;

    while (j->pos < j->end && *j->pos >= '0' && *j->pos <= '9') {
        j->pos++;
    }

    return j->pos == start ? -1 : 0;
}


/* Whether this is the next character; if so, it is read. */

static int
ngx_ivschat_json_next(ngx_ivschat_json_t *j, char c)
{
    if (j->pos == j->end || *j->pos != c) {
        return 0;
    }

    j->pos++;

    return 1;
}


/*
 * A copy with a NUL behind it, since some versions of cJSON look one byte too
 * far.
 */

static cJSON *
ngx_ivschat_json_tree(ngx_ivschat_str_t s)
{
    char   *copy;
    cJSON  *tree;

    copy = malloc(s.len + 1);
    if (copy == NULL) {
        return NULL;
    }

    ngx_ivschat_str_copy(copy, s);

    tree = cJSON_ParseWithLengthOpts(copy, s.len + 1, NULL, 1);

    explicit_bzero(copy, s.len);
    free(copy);

    return tree;
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


int
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
            return -1;
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

    return 0;
}
