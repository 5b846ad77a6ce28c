
/*
 * Strings with a length, UTF-8, and a writer into a buffer.
 *
 * A function here that tests something returns 1 or 0.
 */


#ifndef _NGX_IVSCHAT_STR_H_INCLUDED_
#define _NGX_IVSCHAT_STR_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


/*
 * Bytes that somebody else owns.  There is no NUL behind them unless a
 * function says so; data of an empty string may be NULL.
 */

typedef struct {
    const char   *data;
    size_t        len;
} ngx_ivschat_str_t;


#define ngx_ivschat_string(literal)   { (literal), sizeof(literal) - 1 }

/* The number that a macro stands for as a text, to make messages of limits. */

#define ngx_ivschat_value_text(n)   #n
#define ngx_ivschat_value(n)        ngx_ivschat_value_text(n)

#define NGX_IVSCHAT_DIGITS    "0123456789"
#define NGX_IVSCHAT_LOWER     "abcdefghijklmnopqrstuvwxyz"
#define NGX_IVSCHAT_LETTERS   NGX_IVSCHAT_LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


/*
 * Writes to a buffer of "size" bytes.  len counts all that was written and
 * also what did not fit: if len is more than size in the end, the buffer is
 * too small and its content is not complete.  { NULL, 0, 0 } only counts.
 */

typedef struct {
    char     *data;
    size_t    size;
    size_t    len;
} ngx_ivschat_out_t;


/* The string that ends with a NUL. */

ngx_ivschat_str_t ngx_ivschat_str(const char *text);

int ngx_ivschat_str_equal(ngx_ivschat_str_t a, ngx_ivschat_str_t b);
int ngx_ivschat_str_is(ngx_ivschat_str_t s, const char *text);

/* If s begins with the prefix, takes it off and returns 1. */

int ngx_ivschat_str_skip(ngx_ivschat_str_t *s, const char *prefix);

/*
 * Takes off s, and returns, what is before the first c; c is dropped.
 * Without a c that is all of s.
 */

ngx_ivschat_str_t ngx_ivschat_str_cut(ngx_ivschat_str_t *s, char c);

/* Without the characters of "blanks" at both ends. */

ngx_ivschat_str_t ngx_ivschat_str_trim(ngx_ivschat_str_t s,
    const char *blanks);

/* Whether all characters are in "set".  An empty string passes. */

int ngx_ivschat_str_only(ngx_ivschat_str_t s, const char *set);

/* Whether all bytes are visible ASCII, "!" to "~".  An empty string passes. */

int ngx_ivschat_str_visible(ngx_ivschat_str_t s);

/* Copies to dst, which has s.len + 1 bytes, and adds a NUL.  Returns s.len. */

size_t ngx_ivschat_str_copy(char *dst, ngx_ivschat_str_t s);

/*
 * Copies as one line for a log to dst, which has "size" bytes, 1 at least, and
 * adds a NUL: a control becomes a space and a byte that is not UTF-8 becomes
 * "?".  What does not fit is cut off between two code points.
 */

void ngx_ivschat_str_printable(char *dst, size_t size, ngx_ivschat_str_t s);

/* The reason of a failure, for "return ngx_ivschat_fail(...)": returns -1. */

int ngx_ivschat_fail(char *reason, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

void ngx_ivschat_out_write(ngx_ivschat_out_t *out, const void *data,
    size_t len);
void ngx_ivschat_out_str(ngx_ivschat_out_t *out, ngx_ivschat_str_t s);
void ngx_ivschat_out_text(ngx_ivschat_out_t *out, const char *text);

/*
 * The number of code points.  -1 if the bytes are not UTF-8 as RFC 3629
 * defines it (no overlong forms, no surrogates, nothing above U+10FFFF), or
 * have U+0000, which cJSON's strings cannot carry.
 */

long ngx_ivschat_utf8_length(ngx_ivschat_str_t s);

/*
 * The length of the code point at p, of which there are len bytes, 1 at least;
 * *cp is the code point.  0 if it is not UTF-8.
 */

size_t ngx_ivschat_utf8_next(const unsigned char *p, size_t len,
    uint32_t *cp);


#endif /* _NGX_IVSCHAT_STR_H_INCLUDED_ */
