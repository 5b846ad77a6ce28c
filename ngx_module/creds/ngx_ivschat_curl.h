
/*
 * libcurl on nginx's event loop: small requests for credentials, outside of
 * clients' requests, without knowledge of AWS and nginx's HTTP.
 *
 * There is one client in each process, created in the worker since libcurl's
 * handles and threads do not survive a fork.  Nothing blocks the worker.
 */


#ifndef _NGX_IVSCHAT_CURL_H_INCLUDED_
#define _NGX_IVSCHAT_CURL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_IVSCHAT_CURL_HEADERS_MAX   8
#define NGX_IVSCHAT_CURL_BODY_MAX      32768   /* a larger answer is an error */


typedef struct ngx_ivschat_curl_s           ngx_ivschat_curl_t;
typedef struct ngx_ivschat_curl_request_s   ngx_ivschat_curl_request_t;


typedef struct {
    const char   *error;               /* NULL, or the reason for the log; the
                                          rest is then not set */
    ngx_uint_t    status;
    u_char       *body;                /* followed by a NUL */
    size_t        len;
    time_t        date;                /* of the Date header; -1: none */
    unsigned      timedout:1;
} ngx_ivschat_curl_answer_t;


/*
 * Called exactly once for each request that was started and not cancelled, from
 * the event loop, never from within ngx_ivschat_curl_send().  The answer is
 * valid until the call returns, and is then wiped.  The handler may start and
 * cancel other requests.
 */

typedef void (*ngx_ivschat_curl_done_pt)(void *data,
    ngx_ivschat_curl_answer_t *answer);


/*
 * Copied by ngx_ivschat_curl_send(), except the body, which must be kept until
 * the request ends.  Strings are NUL-terminated.
 */

typedef struct {
    const char                 *method;
    const char                 *url;        /* http: or https: */
    const char                 *headers[NGX_IVSCHAT_CURL_HEADERS_MAX + 1];
                                            /* "Name: value", NULL at the end */
    const char                 *body;       /* NULL: none */
    size_t                      len;
    const char                 *ca_file;    /* NULL: libcurl's own */
    ngx_msec_t                  connect_timeout;
    ngx_msec_t                  timeout;    /* for all of it */
    ngx_ivschat_curl_done_pt    done;
    void                       *data;
} ngx_ivschat_curl_options_t;


/* Returns NULL on errors, which are logged. */

ngx_ivschat_curl_t *ngx_ivschat_curl_create(ngx_log_t *log);

/* Cancels all requests without calling done(), and frees the client. */

void ngx_ivschat_curl_destroy(ngx_ivschat_curl_t *http);

/* Starts a request.  Returns NULL on errors, which are logged. */

ngx_ivschat_curl_request_t *ngx_ivschat_curl_send(ngx_ivschat_curl_t *http,
    ngx_ivschat_curl_options_t *options);

/* Ends a request without calling its done(). */

void ngx_ivschat_curl_cancel(ngx_ivschat_curl_request_t *request);


#endif /* _NGX_IVSCHAT_CURL_H_INCLUDED_ */
