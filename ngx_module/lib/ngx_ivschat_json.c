
/*
 * JSON: a strict check before cJSON reads, and a writer of strings.
 */


#include "ngx_ivschat_json.h"

#include <stdio.h>


#define NGX_IVSCHAT_NOT_UTF8   "it is not UTF-8, or has a U+0000"


typedef struct {
    const char   *pos;
    const char   *end;
    unsigned      depth;               /* that is left */
    const char   *reason;
} ngx_ivschat_json_t;


static void ngx_ivschat_json_wipe(cJSON *item);

/* Each reads what its name says, and returns -1 with j->reason on failure. */

static int ngx_ivschat_json_value(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_list(ngx_ivschat_json_t *j, char end);
static int ngx_ivschat_json_name(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_string(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_escape(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_unicode(ngx_ivschat_json_t *j, unsigned *unit);
static int ngx_ivschat_json_number(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_digits(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_word(ngx_ivschat_json_t *j, const char *word);

static void ngx_ivschat_json_blanks(ngx_ivschat_json_t *j);
static int ngx_ivschat_json_next(ngx_ivschat_json_t *j, char c);
static int ngx_ivschat_json_fail(ngx_ivschat_json_t *j, const char *reason);


cJSON *
ngx_ivschat_json_object(ngx_ivschat_str_t s, unsigned depth,
    const char **reason)
{
    cJSON               *tree;
    ngx_ivschat_json_t   j;

    if (s.len == 0) {
        *reason = "it is empty";
        return NULL;
    }

    j.pos = s.data;
    j.end = s.data + s.len;
    j.depth = depth;
    j.reason = "it is not JSON";       /* if no reader knows better */

    if (ngx_ivschat_json_value(&j) != 0) {
        *reason = j.reason;
        return NULL;
    }

    if (j.pos != j.end) {
        *reason = "something follows the JSON";
        return NULL;
    }

    tree = cJSON_ParseWithLength(s.data, s.len);

    if (tree == NULL) {
        *reason = "no memory";         /* since cJSON takes all JSON */
        return NULL;
    }

    if (!cJSON_IsObject(tree)) {
        *reason = "it is not a JSON object";
        ngx_ivschat_json_delete(tree);
        return NULL;
    }

    return tree;
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


/* With the blanks around it. */

static int
ngx_ivschat_json_value(ngx_ivschat_json_t *j)
{
    int  rc;

    ngx_ivschat_json_blanks(j);

    switch (j->pos < j->end ? *j->pos : '\0') {

    case '{':
        rc = ngx_ivschat_json_list(j, '}');
        break;

    case '[':
        rc = ngx_ivschat_json_list(j, ']');
        break;

    case '"':
        rc = ngx_ivschat_json_string(j);
        break;

    case 't':
        rc = ngx_ivschat_json_word(j, "true");
        break;

    case 'f':
        rc = ngx_ivschat_json_word(j, "false");
        break;

    case 'n':
        rc = ngx_ivschat_json_word(j, "null");
        break;

    default:
        rc = ngx_ivschat_json_number(j);
        break;
    }

    ngx_ivschat_json_blanks(j);

    return rc;
}


/* An object or an array, by the bracket that ends it. */

static int
ngx_ivschat_json_list(ngx_ivschat_json_t *j, char end)
{
    if (j->depth == 0) {
        return ngx_ivschat_json_fail(j, "it is nested too deeply");
    }

    j->depth--;
    j->pos++;

    ngx_ivschat_json_blanks(j);

    if (!ngx_ivschat_json_next(j, end)) {

        do {
            if (end == '}' && ngx_ivschat_json_name(j) != 0) {
                return -1;
            }

            if (ngx_ivschat_json_value(j) != 0) {
                return -1;
            }

        } while (ngx_ivschat_json_next(j, ','));

        if (!ngx_ivschat_json_next(j, end)) {
            return -1;
        }
    }

    j->depth++;

    return 0;
}


/* The name of a member, and the colon. */

static int
ngx_ivschat_json_name(ngx_ivschat_json_t *j)
{
    ngx_ivschat_json_blanks(j);

    if (j->pos == j->end || *j->pos != '"') {
        return -1;
    }

    if (ngx_ivschat_json_string(j) != 0) {
        return -1;
    }

    ngx_ivschat_json_blanks(j);

    return ngx_ivschat_json_next(j, ':') ? 0 : -1;
}


/* UTF-8 is checked here: outside of strings all of JSON is ASCII. */

static int
ngx_ivschat_json_string(ngx_ivschat_json_t *j)
{
    size_t                n;
    uint32_t              cp;
    const unsigned char  *p;

    j->pos++;

    while (j->pos < j->end) {
        p = (const unsigned char *) j->pos;
        n = ngx_ivschat_utf8_next(p, (size_t) (j->end - j->pos), &cp);

        if (n == 0 || cp == 0) {
            return ngx_ivschat_json_fail(j, NGX_IVSCHAT_NOT_UTF8);
        }

        j->pos += n;

        if (cp == '"') {
            return 0;
        }

        if (cp < 0x20) {
            return ngx_ivschat_json_fail(j,
                                 "a string has a bare control character");
        }

        if (cp == '\\' && ngx_ivschat_json_escape(j) != 0) {
            return -1;
        }
    }

    return -1;
}


/* What follows a backslash. */

static int
ngx_ivschat_json_escape(ngx_ivschat_json_t *j)
{
    unsigned  unit;

    if (j->pos == j->end) {
        return -1;
    }

    if (*j->pos != 'u') {

        if (memchr("\"\\/bfnrt", *j->pos, 8) == NULL) {
            return -1;
        }

        j->pos++;

        return 0;
    }

    if (ngx_ivschat_json_unicode(j, &unit) != 0) {
        return -1;
    }

    if (unit == 0) {
        return ngx_ivschat_json_fail(j, NGX_IVSCHAT_NOT_UTF8);
    }

    if (unit < 0xd800 || unit > 0xdfff) {
        return 0;
    }

    /* a high surrogate, and a low one behind it */

    if (unit <= 0xdbff && ngx_ivschat_json_next(j, '\\')
        && ngx_ivschat_json_unicode(j, &unit) == 0
        && unit >= 0xdc00 && unit <= 0xdfff)
    {
        return 0;
    }

    return ngx_ivschat_json_fail(j, "a string has a lone surrogate");
}


/* "u" and four hexadecimal digits. */

static int
ngx_ivschat_json_unicode(ngx_ivschat_json_t *j, unsigned *unit)
{
    int          i;
    char         c;
    unsigned     n;
    const char  *p;

    p = j->pos;

    if (j->end - p < 5 || *p != 'u') {
        return -1;
    }

    n = 0;

    for (i = 1; i <= 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            n = n * 16 + (unsigned) (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            n = n * 16 + (unsigned) ((c | 0x20) - 'a') + 10;

        } else {
            return -1;
        }
    }

    j->pos += 5;
    *unit = n;

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

    if (j->pos - start > NGX_IVSCHAT_JSON_NUMBER_MAX) {
        return ngx_ivschat_json_fail(j, "a number is too long");
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


static int
ngx_ivschat_json_word(ngx_ivschat_json_t *j, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (j->end - j->pos) < len || memcmp(j->pos, word, len) != 0) {
        return -1;
    }

    j->pos += len;

    return 0;
}


static void
ngx_ivschat_json_blanks(ngx_ivschat_json_t *j)
{
    while (j->pos < j->end && memchr(" \t\r\n", *j->pos, 4) != NULL) {
        j->pos++;
    }
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


static int
ngx_ivschat_json_fail(ngx_ivschat_json_t *j, const char *reason)
{
    j->reason = reason;

    return -1;
}
