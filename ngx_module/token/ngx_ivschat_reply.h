
/*
 * What the client gets: a token, or an error as problem+json.
 */


#ifndef _NGX_IVSCHAT_REPLY_H_INCLUDED_
#define _NGX_IVSCHAT_REPLY_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_result.h"


/* Both return what ngx_http_finalize_request() takes. */

ngx_int_t ngx_ivschat_reply_token(ngx_http_request_t *r, ngx_str_t *json);

/*
 * Our error, or the operator's error_page for its status, if that may replace
 * ours.  retry_after is in seconds, 0: none.
 */

ngx_int_t ngx_ivschat_reply_error(ngx_http_request_t *r,
    ngx_ivschat_result_e result, ngx_uint_t retry_after);


#endif /* _NGX_IVSCHAT_REPLY_H_INCLUDED_ */
