
/*
 * Strings with a length, UTF-8, and a writer into a buffer.
 *
 * Functions that test something return 1 or 0.
 */


#ifndef _NGX_IVSCHAT_STR_H_INCLUDED_
#define _NGX_IVSCHAT_STR_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


/*
 * Bytes owned by someone else, without a terminating NUL unless stated
 * otherwise.  data of an empty string may be NULL.
 */

typedef struct {
    const char   *data;
    size_t        len;
} ngx_ivschat_str_t;


#define ngx_ivschat_string(literal)   { (literal), sizeof(literal) - 1 }

/* The value of a macro as a text, for messages about limits. */

#define ngx_ivschat_value_text(n)   #n
#define ngx_ivschat_value(n)        ngx_ivschat_value_text(n)

#define NGX_IVSCHAT_DIGITS    "0123456789"
#define NGX_IVSCHAT_LOWER     "abcdefghijklmnopqrstuvwxyz"
#define NGX_IVSCHAT_LETTERS   NGX_IVSCHAT_LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define NGX_IVSCHAT_VISIBLE                                                   \
    NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS                                    \
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"            /* ASCII, no space */


/*
 * A writer into a buffer of "size" bytes.  len also counts what did not fit:
 * if it exceeds size, the content is not complete.  { NULL, 0, 0 } only counts.
 */

typedef struct {
    char     *data;
    size_t    size;
    size_t    len;
} ngx_ivschat_out_t;


/* text has a terminating NUL. */

ngx_ivschat_str_t ngx_ivschat_str(const char *text);

int ngx_ivschat_str_equal(ngx_ivschat_str_t a, ngx_ivschat_str_t b);
int ngx_ivschat_str_is(ngx_ivschat_str_t s, const char *text);

/* If s begins with the prefix, removes it and returns 1. */

int ngx_ivschat_str_skip(ngx_ivschat_str_t *s, const char *prefix);

/*
 * Removes from s and returns what precedes the first c, or all of s if it has
 * no c.  c is dropped.
 */

ngx_ivschat_str_t ngx_ivschat_str_cut(ngx_ivschat_str_t *s, char c);

/* s without the characters of "blanks" at both ends. */

ngx_ivschat_str_t ngx_ivschat_str_trim(ngx_ivschat_str_t s,
    const char *blanks);

/* Whether all characters are in "set".  An empty string passes. */

int ngx_ivschat_str_only(ngx_ivschat_str_t s, const char *set);

/* Whether there are no control characters, such as line feeds. */

int ngx_ivschat_str_line(ngx_ivschat_str_t s);

/* Copies s and a NUL to dst, which has s.len + 1 bytes.  Returns s.len. */

size_t ngx_ivschat_str_copy(char *dst, ngx_ivschat_str_t s);

/*
 * Copies s as one line for a log, and a NUL, to dst of "size" bytes, at least
 * 1: control characters become spaces, and invalid UTF-8 becomes "?".  A text
 * that does not fit is cut between two code points.
 */

void ngx_ivschat_str_printable(char *dst, size_t size, ngx_ivschat_str_t s);

/* Writes the reason of a failure; returns -1. */

int ngx_ivschat_fail(char *reason, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void ngx_ivschat_out_write(ngx_ivschat_out_t *out, const void *data,
    size_t len);
void ngx_ivschat_out_str(ngx_ivschat_out_t *out, ngx_ivschat_str_t s);
void ngx_ivschat_out_text(ngx_ivschat_out_t *out, const char *text);

/*
 * The number of code points, or -1 if s is not UTF-8 as in RFC 3629 (no
 * overlong forms, no surrogates, nothing above U+10FFFF) or has U+0000, which
 * cJSON's strings cannot hold.
 */

long ngx_ivschat_utf8_length(ngx_ivschat_str_t s);

/*
 * Reads the code point at p into *cp; there are len bytes, at least 1.
 * Returns its length, or 0 if it is not UTF-8.
 */

size_t ngx_ivschat_utf8_next(const unsigned char *p, size_t len,
    uint32_t *cp);


#endif /* _NGX_IVSCHAT_STR_H_INCLUDED_ */
