
/*
 * JSON (RFC 8259): the only reader of what clients and services send, and a
 * writer of strings.  Only this header includes cJSON.
 *
 * cJSON accepts more than JSON: control characters as blanks, "01" and "1."
 * as numbers, invalid UTF-8, and it cuts names at U+0000, so that two names
 * become one.  All this is refused before cJSON reads.
 */


#ifndef _NGX_IVSCHAT_JSON_H_INCLUDED_
#define _NGX_IVSCHAT_JSON_H_INCLUDED_


#include <cjson/cJSON.h>

#include "ngx_ivschat_str.h"


#define NGX_IVSCHAT_JSON_NUMBER_MAX   63   /* characters; some versions of
                                              cJSON read no more */


/* A member to find; item is NULL if the object does not have it. */

typedef struct {
    const char    *name;
    const cJSON   *item;
} ngx_ivschat_json_member_t;


/*
 * Reads a text that must be one JSON object, in UTF-8 without a byte order
 * mark, U+0000 and lone surrogates (also as \u escapes), with numbers of at
 * most NGX_IVSCHAT_JSON_NUMBER_MAX characters and at most "depth" nested
 * objects and arrays.
 *
 * Returns the object, to be freed with ngx_ivschat_json_delete(), or NULL and
 * *reason, a constant text for the log ("not JSON").
 */

cJSON *ngx_ivschat_json_object(ngx_ivschat_str_t s, unsigned depth,
    const char **reason);

/* Wipes all strings of the tree, which may be secrets, and frees it. */

void ngx_ivschat_json_delete(cJSON *tree);

/*
 * Finds members by their names, which are case-sensitive.  Returns the name of
 * a duplicate member, whose first value is used, or NULL.
 */

const char *ngx_ivschat_json_members(const cJSON *object,
    ngx_ivschat_json_member_t *members, size_t n);

/* The text of a string, followed by a NUL; data is NULL for any other item. */

ngx_ivschat_str_t ngx_ivschat_json_text(const cJSON *item);

/*
 * Writes s as a JSON string with its quotes.  If s is not UTF-8 or has U+0000,
 * out->size becomes 0, as if the buffer were too small.
 */

void ngx_ivschat_json_write(ngx_ivschat_out_t *out, ngx_ivschat_str_t s);


#endif /* _NGX_IVSCHAT_JSON_H_INCLUDED_ */
