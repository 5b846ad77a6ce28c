
/*
 * libcurl on nginx's event loop: small requests outside of any client's
 * request, for credentials.  It knows nothing of AWS or of HTTP in nginx.
 *
 * One client per process, made in the worker: libcurl's handles and threads
 * do not survive a fork.  Everything here runs in the worker's one thread, and
 * nothing blocks it.
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
    const char   *error;               /* NULL: a whole answer came; else why
                                          not, for the log */
    ngx_uint_t    status;              /* of HTTP; 0 unless an answer came */
    u_char       *body;                /* with a NUL behind it */
    size_t        len;
    time_t        date;                /* of the Date header; -1: none */
    unsigned      timedout:1;
} ngx_ivschat_curl_answer_t;


/*
 * Called exactly once for a request that was started and not cancelled, from
 * the event loop, never from within ngx_ivschat_curl_send().  The answer and
 * its body, which is then wiped, live until it returns.  It may start and
 * cancel other requests.
 */

typedef void (*ngx_ivschat_curl_done_pt)(void *data,
    ngx_ivschat_curl_answer_t *answer);


/*
 * Copied by ngx_ivschat_curl_send(), but for the body, which must stay until
 * the request has ended.  All strings are NUL-terminated.
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


/* Heap; NULL if libcurl refuses, which has been logged. */

ngx_ivschat_curl_t *ngx_ivschat_curl_create(ngx_log_t *log);

/* Cancels what is under way, without calling anyone, and closes all. */

void ngx_ivschat_curl_destroy(ngx_ivschat_curl_t *http);

/*
 * Starts a request.  NULL if it could not be started (logged); done() will
 * not be called then.
 */

ngx_ivschat_curl_request_t *ngx_ivschat_curl_send(ngx_ivschat_curl_t *http,
    ngx_ivschat_curl_options_t *options);

/* Ends a request without calling its done(). */

void ngx_ivschat_curl_cancel(ngx_ivschat_curl_request_t *request);


#endif /* _NGX_IVSCHAT_CURL_H_INCLUDED_ */
