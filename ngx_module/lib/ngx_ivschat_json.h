
/*
 * Texts of JSON: whether one from a client is JSON, strictly, and cJSON's tree
 * of one.
 *
 * cJSON takes more than JSON: a control character for a blank, "01" and "1."
 * for numbers, bytes that are not UTF-8, names cut at U+0000.  What a stranger
 * sends is checked here first; what passes, cJSON reads as it is meant.
 *
 * The rule: RFC 8259.
 */


#ifndef _NGX_IVSCHAT_JSON_H_INCLUDED_
#define _NGX_IVSCHAT_JSON_H_INCLUDED_


#include <cjson/cJSON.h>

#include "ngx_ivschat_str.h"


#define NGX_IVSCHAT_JSON_NUMBER_MAX   63   /* characters; cJSON reads no more */


/*
 * 0 if the bytes are one JSON text with nothing but blanks around it, in UTF-8
 * and without a byte order mark, with no U+0000 and no lone surrogate (not as
 * \u escapes either), no number of more than NGX_IVSCHAT_JSON_NUMBER_MAX
 * characters, and no object or array more than "depth" deep; else -1, and
 * *reason is a constant text for the log.  Recurses as deep as "depth".
 */

int ngx_ivschat_json_check(ngx_ivschat_str_t s, unsigned depth,
    const char **reason);

/*
 * The tree of a text with nothing but blanks around it, which the caller frees
 * with cJSON_Delete(); the text may hold secrets, of which no copy but those
 * in the tree is left.  NULL if cJSON does not take it, and also if there is
 * no memory: then *reason says so, and is left as it was otherwise.
 */

cJSON *ngx_ivschat_json_tree(ngx_ivschat_str_t s, const char **reason);


#endif /* _NGX_IVSCHAT_JSON_H_INCLUDED_ */
