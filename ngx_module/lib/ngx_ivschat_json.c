
/*
 * Texts of JSON.
 */


#include "ngx_ivschat_json.h"

#include <stdlib.h>



typedef struct {
    const char   *pos;
    const char   *end;
    unsigned      depth;               /* that is left */
    const char   *reason;
} ngx_ivschat_json_t;


/* Each reads what it is named after, and returns -1 with j->reason set. */

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


int
ngx_ivschat_json_check(ngx_ivschat_str_t s, unsigned depth,
    const char **reason)
{
    ngx_ivschat_json_t  j;

    if (ngx_ivschat_utf8_length(s) < 0) {
        *reason = "it is not UTF-8, or has a U+0000";
        return -1;
    }

    j.pos = s.data;
    j.end = s.data + s.len;
    j.depth = depth;
    j.reason = NULL;

    if (ngx_ivschat_json_value(&j) != 0) {
        *reason = j.reason;
        return -1;
    }

    if (j.pos != j.end) {
        *reason = "something follows the JSON";
        return -1;
    }

    return 0;
}


cJSON *
ngx_ivschat_json_tree(ngx_ivschat_str_t s, const char **reason)
{
    char   *copy;
    cJSON  *tree;

    /* a NUL behind the text, since cJSON may look one byte too far */

    copy = malloc(s.len + 1);
    if (copy == NULL) {
        *reason = "no memory";
        return NULL;
    }

    memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';

    tree = cJSON_ParseWithLengthOpts(copy, s.len + 1, NULL, 1);

    explicit_bzero(copy, s.len);
    free(copy);

    return tree;
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
            return ngx_ivschat_json_fail(j, "it is not JSON");
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
        return ngx_ivschat_json_fail(j, "it is not JSON");
    }

    if (ngx_ivschat_json_string(j) != 0) {
        return -1;
    }

    ngx_ivschat_json_blanks(j);

    if (!ngx_ivschat_json_next(j, ':')) {
        return ngx_ivschat_json_fail(j, "it is not JSON");
    }

    return 0;
}


static int
ngx_ivschat_json_string(ngx_ivschat_json_t *j)
{
    char  c;

    j->pos++;

    while (j->pos < j->end) {
        c = *j->pos++;

        if (c == '"') {
            return 0;
        }

        if ((unsigned char) c < 0x20) {
            return ngx_ivschat_json_fail(j,
                                 "a string has a bare control character");
        }

        if (c == '\\' && ngx_ivschat_json_escape(j) != 0) {
            return -1;
        }
    }

    return ngx_ivschat_json_fail(j, "it is not JSON");
}


/* What follows a backslash. */

static int
ngx_ivschat_json_escape(ngx_ivschat_json_t *j)
{
    unsigned  unit;

    if (j->pos == j->end) {
        return ngx_ivschat_json_fail(j, "it is not JSON");
    }

    if (*j->pos != 'u') {

        if (memchr("\"\\/bfnrt", *j->pos, 8) == NULL) {
            return ngx_ivschat_json_fail(j, "it is not JSON");
        }

        j->pos++;

        return 0;
    }

    if (ngx_ivschat_json_unicode(j, &unit) != 0) {
        return -1;
    }

    if (unit == 0) {
        return ngx_ivschat_json_fail(j, "it is not UTF-8, or has a U+0000");
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
        return ngx_ivschat_json_fail(j, "it is not JSON");
    }

    n = 0;

    for (i = 1; i <= 4; i++) {
        c = p[i];

        if (c >= '0' && c <= '9') {
            n = n * 16 + (unsigned) (c - '0');

        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            n = n * 16 + (unsigned) ((c | 0x20) - 'a') + 10;

        } else {
            return ngx_ivschat_json_fail(j, "it is not JSON");
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

    if (j->pos == start) {
        return ngx_ivschat_json_fail(j, "it is not JSON");
    }

    return 0;
}


static int
ngx_ivschat_json_word(ngx_ivschat_json_t *j, const char *word)
{
    size_t  len;

    len = strlen(word);

    if ((size_t) (j->end - j->pos) < len || memcmp(j->pos, word, len) != 0) {
        return ngx_ivschat_json_fail(j, "it is not JSON");
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
