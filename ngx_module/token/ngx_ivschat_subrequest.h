
/*
 * One attempt: a signed POST to the internal location, and what came back.
 */


#ifndef _NGX_IVSCHAT_SUBREQUEST_H_INCLUDED_
#define _NGX_IVSCHAT_SUBREQUEST_H_INCLUDED_


#include "ngx_ivschat_conf.h"
#include "ngx_ivschat_policy.h"


/* What limit_req and limit_conn say of the main request. */

typedef struct {
    unsigned                     cleared:1;
    unsigned                     req:3;
    unsigned                     conn:2;
} ngx_ivschat_limits_t;


typedef struct {
    ngx_ivschat_limits_t         limits;     /* kept for all attempts */

    ngx_http_request_t          *active;     /* in flight, or NULL */
    ngx_http_event_handler_pt    handler;    /* when it is done */
    ngx_atomic_uint_t            generation; /* of the credentials */
    time_t                       sent;       /* by this host's clock */

    /* what came back, in the pool */

    ngx_int_t                    rc;         /* of the subrequest */
    ngx_uint_t                   status;     /* of the subrequest */
    ngx_uint_t                   aws_status; /* 0: no answer */
    ngx_str_t                    body;
    size_t                       size;       /* that body has room for */
    ngx_str_t                    error_type; /* x-amzn-errortype */
    ngx_str_t                    request_id; /* x-amzn-requestid */
    ngx_str_t                    retry_after;    /* x-amz-retry-after */
    ngx_str_t                    age;        /* an old answer */
    time_t                       date;       /* NGX_ERROR: none */
    ngx_str_t                    sent_path;  /* as nginx has sent them; */
    ngx_str_t                    sent_host;  /* for the log */
    unsigned                     upstream:1; /* a proxying module was asked */
    unsigned                     connected:1;
    unsigned                     no_socket:1;    /* nginx had none to give */
    unsigned                     unresolved:1;   /* no upstream block of the
                                                    name, and no resolver */
    unsigned                     unverified:1;   /* the upstream is used without
                                                verification, too */
    unsigned                     left:1;     /* the client has left */
    unsigned                     tls:1;      /* with a verified certificate */
    unsigned                     whole:1;    /* the body, to its end */
    unsigned                     not_http:1; /* an answer without a status
                                                line */
    unsigned                     big_header:1;
    unsigned                     big_body:1;
} ngx_ivschat_subrequest_t;


/*
 * Signs and sends what the policy grants.  NGX_OK: s->active is set, and
 * handler will be called with the main request when it is done, with s->left
 * if nginx then ends the request, since its client has left; NGX_AGAIN:
 * credentials are being fetched, and the caller may wait for them;
 * NGX_DECLINED: there are no credentials, which is logged; NGX_ERROR: out of
 * memory, or refused by nginx or libcrypto.
 */

ngx_int_t ngx_ivschat_subrequest_send(ngx_http_request_t *r,
    ngx_ivschat_subrequest_t *s, ngx_ivschat_policy_t *policy,
    ngx_http_event_handler_pt handler);

/*
 * Ends the subrequest in flight, with its timers and its connection, as if it
 * had failed with this status.  The caller then calls
 * ngx_http_run_posted_requests(), which calls the handler.
 */

void ngx_ivschat_subrequest_cancel(ngx_ivschat_subrequest_t *s,
    ngx_int_t status);

/* postconfiguration, init module: add the filters that see the answer. */

void ngx_ivschat_subrequest_init(void);
void ngx_ivschat_subrequest_top(void);


#endif /* _NGX_IVSCHAT_SUBREQUEST_H_INCLUDED_ */
