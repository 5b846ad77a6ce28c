
/*
 * A request for a token, from the content handler to its end.
 */


#ifndef _NGX_IVSCHAT_REQUEST_H_INCLUDED_
#define _NGX_IVSCHAT_REQUEST_H_INCLUDED_


#include "ngx_ivschat_answer.h"
#include "ngx_ivschat_client_body.h"
#include "ngx_ivschat_policy.h"
#include "ngx_ivschat_rate.h"
#include "ngx_ivschat_subrequest.h"
#include "ngx_ivschat_user.h"


/* One struct for each concern, written by that concern. */

typedef struct {
    ngx_http_request_t          *request;

    ngx_ivschat_client_body_t    client_body;
    ngx_ivschat_policy_t         policy;
    ngx_ivschat_place_t          place;      /* in the rate */
    ngx_ivschat_waiter_t         waiter;     /* for credentials */
    ngx_ivschat_subrequest_t     subrequest;
    ngx_ivschat_answer_t         answer;

    ngx_event_t                  deadline;
    ngx_event_t                  pause;      /* between attempts */
    ngx_uint_t                   attempts;
    ngx_ivschat_result_e         failure;    /* of the last attempt */
    ngx_ivschat_result_e         result;
    ngx_msec_t                   start;
    ngx_msec_t                   end;

    unsigned                     basic_checked:1;    /* by auth_basic */
    unsigned                     started:1;
    unsigned                     timedout:1;
    unsigned                     skewed:1;   /* this host's clock is off */
    unsigned                     renewed:1;  /* the credentials, once */
    unsigned                     corrected:1;    /* a signature's time, once */
} ngx_ivschat_ctx_t;


ngx_int_t ngx_ivschat_handler(ngx_http_request_t *r);

/* The access handler that notes what auth_basic's says. */

ngx_int_t ngx_ivschat_access_handler(ngx_http_request_t *r);

/*
 * The context of the request or, after an internal redirect or in a
 * subrequest, the newest one of its main request; NULL if none.
 */

ngx_ivschat_ctx_t *ngx_ivschat_get_ctx(ngx_http_request_t *r);


#endif /* _NGX_IVSCHAT_REQUEST_H_INCLUDED_ */
