
/*
 * What the client gets: a token, or an error as problem+json.
 */


#ifndef _NGX_IVSCHAT_REPLY_H_INCLUDED_
#define _NGX_IVSCHAT_REPLY_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_result.h"


/*
 * Sends the token in json if the result is NGX_IVSCHAT_OK, else an error, or
 * the operator's error_page for its status if that may replace ours.
 * retry_after is in seconds, 0: none.  Returns what
 * ngx_http_finalize_request() takes.
 */

ngx_int_t ngx_ivschat_reply(ngx_http_request_t *r, ngx_ivschat_result_e result,
    ngx_uint_t retry_after, ngx_str_t *json);


#endif /* _NGX_IVSCHAT_REPLY_H_INCLUDED_ */
