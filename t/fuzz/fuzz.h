
/*
 * What the fuzz targets share.  Each target is one function, called with any
 * bytes; it aborts where a promise of the parser does not hold.
 *
 * Inputs are copied to blocks of exactly their length, so that ASan detects a
 * read beyond the end.
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include "lib/ngx_ivschat_json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>


#define size(a)  (sizeof(a) / sizeof((a)[0]))

#define S(literal)   ngx_ivschat_string(literal)


/* Not assert(), which NDEBUG removes. */

#define must(what)                                                            \
    do {                                                                      \
        if (!(what)) {                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);\
            abort();                                                          \
        }                                                                     \
    } while (0)


/* The inputs that the parser accepted; replay.c wants some of both kinds. */

size_t  fuzz_accepted;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);


static inline ngx_ivschat_str_t
fuzz_copy(const void *data, size_t len)
{
    char               *copy;
    ngx_ivschat_str_t   s;

    copy = malloc(len ? len : 1);
    must(copy != NULL);

    if (len) {
        memcpy(copy, data, len);
    }

    s.data = copy;
    s.len = len;

    return s;
}


static inline void
fuzz_free(ngx_ivschat_str_t s)
{
    free((void *) s.data);
}


/* A copy with a NUL, for libc. */

static inline char *
fuzz_text(ngx_ivschat_str_t s)
{
    char  *text;

    text = malloc(s.len + 1);
    must(text != NULL);

    if (s.len) {
        memcpy(text, s.data, s.len);
    }

    text[s.len] = '\0';

    return text;
}


/* Takes off the first line of an input that consists of several values. */

static inline ngx_ivschat_str_t
fuzz_line(ngx_ivschat_str_t *s)
{
    const char         *end;
    ngx_ivschat_str_t   line;

    end = s->len ? memchr(s->data, '\n', s->len) : NULL;

    line.data = s->data;
    line.len = end ? (size_t) (end - s->data) : s->len;

    s->data += line.len + (end != NULL);
    s->len -= line.len + (end != NULL);

    return line;
}


static inline int
fuzz_same(ngx_ivschat_str_t one, ngx_ivschat_str_t two)
{
    return one.len == two.len
           && (one.len == 0 || memcmp(one.data, two.data, one.len) == 0);
}


/* As cJSON alone reads it. */

static inline cJSON *
fuzz_cjson(ngx_ivschat_str_t s)
{
    char   *text;
    cJSON  *tree;

    text = fuzz_text(s);
    tree = cJSON_ParseWithLengthOpts(text, s.len + 1, NULL, 1);
    free(text);

    return tree;
}


static inline const char *
fuzz_string(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object,
                                                                 name));
}


/* Whether all bytes are visible ASCII. */

static inline int
fuzz_visible(const char *text)
{
    while (*text > ' ' && *text <= '~') {
        text++;
    }

    return *text == '\0';
}


#endif /* _FUZZ_H_INCLUDED_ */
