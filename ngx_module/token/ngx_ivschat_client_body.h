
/*
 * The client's body: always read completely before the subrequest starts.
 * With "ivschat_token_client_body on" it is kept, up to its limit, and parsed;
 * otherwise each part is discarded when it arrives.
 *
 * It is read first because nginx would discard as many bytes as the subrequest
 * has, and treat the rest of the body as the next request.
 */


#ifndef _NGX_IVSCHAT_CLIENT_BODY_H_INCLUDED_
#define _NGX_IVSCHAT_CLIENT_BODY_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_body.h"
#include "../aws/ngx_ivschat_result.h"


typedef struct {
    size_t                       size;       /* to keep, at most */
    ngx_chain_t                 *kept;       /* one buffer, or NULL */
    ngx_ivschat_body_t           asked;      /* by it */
} ngx_ivschat_client_body_t;


char *ngx_ivschat_client_attributes(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Starts to read the body.  NGX_OK: it is read; NGX_AGAIN: handler is called
 * when there is more, perhaps before this returns, and calls the function
 * below; else a status to end the request with.  Except for NGX_AGAIN, the
 * caller holds a reference to the request (r->main->count).
 */

ngx_int_t ngx_ivschat_client_body_start(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body, ngx_http_client_body_handler_pt handler);

/* Reads on: NGX_OK, NGX_AGAIN, or a status, as above. */

ngx_int_t ngx_ivschat_client_body_read(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body);

/*
 * What the body asks for, into body->asked; without "ivschat_token_client_body
 * on" that is everything.  A body that is refused is logged.
 */

ngx_ivschat_result_e ngx_ivschat_client_body_parse(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body);


#endif /* _NGX_IVSCHAT_CLIENT_BODY_H_INCLUDED_ */
