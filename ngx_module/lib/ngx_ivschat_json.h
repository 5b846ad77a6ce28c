
/*
 * JSON (RFC 8259): the one reader of what clients and services send, and a
 * writer of strings.  Only this header includes cJSON.
 *
 * cJSON takes more than JSON: a control character for a blank, "01" and "1."
 * for numbers, bytes that are not UTF-8, and it cuts names at U+0000, so that
 * two names could be taken for one.  All this is refused before cJSON reads.
 */


#ifndef _NGX_IVSCHAT_JSON_H_INCLUDED_
#define _NGX_IVSCHAT_JSON_H_INCLUDED_


#include <cjson/cJSON.h>

#include "ngx_ivschat_str.h"


#define NGX_IVSCHAT_JSON_NUMBER_MAX   63   /* characters; some versions of
                                              cJSON read no more */


/* A member to look for; item is NULL unless the object has it. */

typedef struct {
    const char    *name;
    const cJSON   *item;
} ngx_ivschat_json_member_t;


/*
 * Reads a text that must be one JSON object with nothing but blanks around it:
 * UTF-8 without a byte order mark, no U+0000 and no lone surrogate (not as
 * \u escapes either), no number of more than NGX_IVSCHAT_JSON_NUMBER_MAX
 * characters, and at most "depth" objects and arrays in each other.
 *
 * Returns the object, which the caller frees with ngx_ivschat_json_delete(),
 * or NULL and *reason, a constant text for the log ("it is not JSON").
 */

cJSON *ngx_ivschat_json_object(ngx_ivschat_str_t s, unsigned depth,
    const char **reason);

/* Wipes all strings of the tree, which may be secrets, and frees it. */

void ngx_ivschat_json_delete(cJSON *tree);

/*
 * Finds the members of these names, in their exact case.  Of two members of
 * one name the first is taken, and the name is returned; else NULL.
 */

const char *ngx_ivschat_json_members(const cJSON *object,
    ngx_ivschat_json_member_t *members, size_t n);

/*
 * The text of a string, with a NUL behind it; it belongs to the item.  data is
 * NULL if item is NULL or not a string.
 */

ngx_ivschat_str_t ngx_ivschat_json_text(const cJSON *item);

/*
 * Writes s as a string of JSON, with the quotes.  Returns -1 if s is not UTF-8
 * or has U+0000; what is written is then of no use.
 */

int ngx_ivschat_json_write(ngx_ivschat_out_t *out, ngx_ivschat_str_t s);


#endif /* _NGX_IVSCHAT_JSON_H_INCLUDED_ */
