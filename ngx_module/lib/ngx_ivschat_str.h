
/*
 * Counted strings for the files that know nothing of nginx.
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


#endif /* _NGX_IVSCHAT_STR_H_INCLUDED_ */
