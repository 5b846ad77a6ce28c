
/*
 * Counted strings and UTF-8.
 */


#ifndef _NGX_IVSCHAT_STR_H_INCLUDED_
#define _NGX_IVSCHAT_STR_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


/*
 * Bytes that somebody else owns.  Not NUL-terminated unless a function says
 * so; an empty string may have data == NULL.
 */

typedef struct {
    const char   *data;
    size_t        len;
} ngx_ivschat_str_t;


#define ngx_ivschat_string(literal)   { (literal), sizeof(literal) - 1 }


/*
 * The number of code points, or -1 if the bytes are not UTF-8 as RFC 3629
 * defines it (no overlong forms, no surrogates, nothing above U+10FFFF), or
 * hold U+0000, which cJSON's strings cannot carry.
 */

long ngx_ivschat_utf8_length(ngx_ivschat_str_t s);

/* The length in bytes of the code point at p, 0 if it is not UTF-8. */

size_t ngx_ivschat_utf8_next(const unsigned char *p, size_t len,
    uint32_t *cp);


#endif /* _NGX_IVSCHAT_STR_H_INCLUDED_ */
