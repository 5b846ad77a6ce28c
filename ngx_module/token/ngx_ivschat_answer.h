
/*
 * What an answer means: a token, or an error for the client and a line in the
 * log that an operator can act on.
 */


#ifndef _NGX_IVSCHAT_ANSWER_H_INCLUDED_
#define _NGX_IVSCHAT_ANSWER_H_INCLUDED_


#include "ngx_ivschat_policy.h"
#include "ngx_ivschat_subrequest.h"


typedef struct {
    ngx_ivschat_error_t          error;      /* AWS's, if any */
    ngx_str_t                    json;       /* the token for the client */
} ngx_ivschat_answer_t;


/*
 * Checks what the subrequest has brought.  With NGX_IVSCHAT_OK, answer->json
 * is set; anything else is logged.
 */

ngx_ivschat_result_e ngx_ivschat_answer_check(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_ivschat_policy_t *policy,
    ngx_ivschat_answer_t *answer);

/*
 * Whether AWS itself has answered, as far as this can be known: over TLS with
 * a verified certificate, unless "ivschat_token_require_tls off".
 */

ngx_uint_t ngx_ivschat_answer_from_aws(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s);


#endif /* _NGX_IVSCHAT_ANSWER_H_INCLUDED_ */
