
/*
 * libcurl's multi-socket interface: libcurl selects sockets and a timeout,
 * nginx waits for them and reports the events.
 *
 * libcurl must not be called from its own callbacks, and may leave data in a
 * socket.  So callbacks only set up events and timers, events are
 * level-triggered, and completed transfers are handled after libcurl returns.
 */


#include "ngx_ivschat_curl.h"

#include <ngx_event.h>

#include <curl/curl.h>


/* Keeps the first error, after which nothing is set. */

#define ngx_ivschat_curl_set(rc, call)                                        \
    if (rc == 0) {                                                            \
        rc = call;                                                            \
    }

#define ngx_ivschat_curl_setopt(option, value)                                \
    ngx_ivschat_curl_set(rc, curl_easy_setopt(req->easy, option, value))


struct ngx_ivschat_curl_s {
    CURLM             *multi;
    ngx_log_t         *log;
    ngx_event_t        timer;
    ngx_connection_t   dummy;          /* debug logging needs a fd */
    ngx_queue_t        requests;
    ngx_queue_t        connections;    /* of libcurl's sockets */
};


struct ngx_ivschat_curl_request_s {
    ngx_queue_t                  queue;
    ngx_ivschat_curl_t          *http;
    CURL                        *easy;
    struct curl_slist           *headers;
    ngx_ivschat_curl_done_pt     done;
    void                        *data;
    size_t                       len;        /* of the answer's body */
    char                         error[CURL_ERROR_SIZE];
    u_char                       body[NGX_IVSCHAT_CURL_BODY_MAX + 1];
};


static ngx_int_t ngx_ivschat_curl_setup(ngx_ivschat_curl_request_t *req,
    ngx_ivschat_curl_options_t *options);
static CURLcode ngx_ivschat_curl_set_common(ngx_ivschat_curl_request_t *req);
static ngx_int_t ngx_ivschat_curl_set_headers(ngx_ivschat_curl_request_t *req,
    ngx_ivschat_curl_options_t *options);
static void ngx_ivschat_curl_free(ngx_ivschat_curl_request_t *req);
static void ngx_ivschat_curl_drive(ngx_ivschat_curl_t *http, curl_socket_t fd,
    int action);
static void ngx_ivschat_curl_finished(ngx_ivschat_curl_t *http);
static void ngx_ivschat_curl_finish(ngx_ivschat_curl_request_t *req,
    CURLcode code);
static int ngx_ivschat_curl_socket(CURL *easy, curl_socket_t fd, int what,
    void *data, void *socket);
static ngx_connection_t *ngx_ivschat_curl_add_socket(ngx_ivschat_curl_t *http,
    curl_socket_t fd);
static void ngx_ivschat_curl_remove_socket(ngx_connection_t *c);
static ngx_int_t ngx_ivschat_curl_watch(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t want);
static int ngx_ivschat_curl_close_socket(void *data, curl_socket_t fd);
static int ngx_ivschat_curl_set_timer(CURLM *multi, long ms, void *data);
static void ngx_ivschat_curl_timer_handler(ngx_event_t *ev);
static void ngx_ivschat_curl_event_handler(ngx_event_t *ev);
static void ngx_ivschat_curl_abort(ngx_ivschat_curl_t *http);
static size_t ngx_ivschat_curl_body(char *p, size_t size, size_t n,
    void *data);


ngx_ivschat_curl_t *
ngx_ivschat_curl_create(ngx_log_t *log)
{
    int                  rc;
    ngx_ivschat_curl_t  *http;

    http = ngx_calloc(sizeof(ngx_ivschat_curl_t), log);
    if (http == NULL) {
        return NULL;
    }

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        ngx_log_error(NGX_LOG_ALERT, log, 0, "curl_global_init() failed");
        ngx_free(http);
        return NULL;
    }

    http->log = log;

    ngx_queue_init(&http->requests);
    ngx_queue_init(&http->connections);

    /* cancelable, since a request that waits has its own timer */

    http->dummy.fd = (ngx_socket_t) -1;
    http->dummy.data = http;
    http->timer.handler = ngx_ivschat_curl_timer_handler;
    http->timer.data = &http->dummy;
    http->timer.log = log;
    http->timer.cancelable = 1;

    http->multi = curl_multi_init();
    rc = (http->multi == NULL);

    ngx_ivschat_curl_set(rc, curl_multi_setopt(http->multi,
                         CURLMOPT_SOCKETFUNCTION, ngx_ivschat_curl_socket));
    ngx_ivschat_curl_set(rc, curl_multi_setopt(http->multi,
                         CURLMOPT_SOCKETDATA, http));
    ngx_ivschat_curl_set(rc, curl_multi_setopt(http->multi,
                         CURLMOPT_TIMERFUNCTION, ngx_ivschat_curl_set_timer));
    ngx_ivschat_curl_set(rc, curl_multi_setopt(http->multi,
                         CURLMOPT_TIMERDATA, http));

    if (rc != 0) {
        ngx_log_error(NGX_LOG_ALERT, log, 0,
                      "could not create a libcurl multi handle");
        ngx_ivschat_curl_destroy(http);
        return NULL;
    }

    return http;
}


void
ngx_ivschat_curl_destroy(ngx_ivschat_curl_t *http)
{
    ngx_queue_t                 *q;
    ngx_ivschat_curl_request_t  *req;

    while (!ngx_queue_empty(&http->requests)) {
        q = ngx_queue_head(&http->requests);
        req = ngx_queue_data(q, ngx_ivschat_curl_request_t, queue);
        ngx_ivschat_curl_cancel(req);
    }

    if (http->multi) {
        (void) curl_multi_cleanup(http->multi);
    }

    /* sockets that libcurl has not removed */

    while (!ngx_queue_empty(&http->connections)) {
        q = ngx_queue_head(&http->connections);
        ngx_ivschat_curl_remove_socket(
                                    ngx_queue_data(q, ngx_connection_t, queue));
    }

    if (http->timer.timer_set) {
        ngx_del_timer(&http->timer);
    }

    curl_global_cleanup();
    ERR_clear_error();

    ngx_free(http);
}


ngx_ivschat_curl_request_t *
ngx_ivschat_curl_send(ngx_ivschat_curl_t *http,
    ngx_ivschat_curl_options_t *options)
{
    CURLMcode                    rc;
    ngx_ivschat_curl_request_t  *req;

    req = ngx_calloc(sizeof(ngx_ivschat_curl_request_t), http->log);
    if (req == NULL) {
        return NULL;
    }

    req->http = http;
    req->done = options->done;
    req->data = options->data;

    ngx_queue_insert_tail(&http->requests, &req->queue);

    if (ngx_ivschat_curl_setup(req, options) != NGX_OK) {
        ngx_ivschat_curl_free(req);
        return NULL;
    }

    /* this only sets a timer, whose handler starts the transfer */

    rc = curl_multi_add_handle(http->multi, req->easy);

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, http->log, 0,
                      "curl_multi_add_handle() failed: %s",
                      curl_multi_strerror(rc));
        ngx_ivschat_curl_free(req);
        return NULL;
    }

    return req;
}


void
ngx_ivschat_curl_cancel(ngx_ivschat_curl_request_t *req)
{
    (void) curl_multi_remove_handle(req->http->multi, req->easy);

    ngx_ivschat_curl_free(req);
}


static ngx_int_t
ngx_ivschat_curl_setup(ngx_ivschat_curl_request_t *req,
    ngx_ivschat_curl_options_t *options)
{
    CURLcode  rc;

    req->easy = curl_easy_init();

    if (req->easy == NULL
        || ngx_ivschat_curl_set_headers(req, options) != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ALERT, req->http->log, 0,
                      "could not create a libcurl easy handle");
        return NGX_ERROR;
    }

    rc = ngx_ivschat_curl_set_common(req);

    ngx_ivschat_curl_setopt(CURLOPT_URL, options->url);
    ngx_ivschat_curl_setopt(CURLOPT_HTTPHEADER, req->headers);
    ngx_ivschat_curl_setopt(CURLOPT_CONNECTTIMEOUT_MS,
                            (long) options->connect_timeout);
    ngx_ivschat_curl_setopt(CURLOPT_TIMEOUT_MS, (long) options->timeout);

    if (options->ca_file) {
        ngx_ivschat_curl_setopt(CURLOPT_CAINFO, options->ca_file);
    }

    if (options->body) {
        ngx_ivschat_curl_setopt(CURLOPT_POSTFIELDS, options->body);
        ngx_ivschat_curl_setopt(CURLOPT_POSTFIELDSIZE, (long) options->len);
    }

    ngx_ivschat_curl_setopt(CURLOPT_CUSTOMREQUEST, options->method);

    if (rc != CURLE_OK) {
        ngx_log_error(NGX_LOG_ALERT, req->http->log, 0,
                      "curl_easy_setopt() failed: %s", curl_easy_strerror(rc));
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Sets the options that are the same for all requests. */

static CURLcode
ngx_ivschat_curl_set_common(ngx_ivschat_curl_request_t *req)
{
    CURLcode  rc;

    rc = CURLE_OK;

    ngx_ivschat_curl_setopt(CURLOPT_PRIVATE, req);
    ngx_ivschat_curl_setopt(CURLOPT_WRITEFUNCTION, ngx_ivschat_curl_body);
    ngx_ivschat_curl_setopt(CURLOPT_WRITEDATA, req);

    /* has the host, the port or the file of an error */

    ngx_ivschat_curl_setopt(CURLOPT_ERRORBUFFER, req->error);

    /* no proxy from the environment; redirects and .netrc are disabled */

    ngx_ivschat_curl_setopt(CURLOPT_PROXY, "");
    ngx_ivschat_curl_setopt(CURLOPT_PROTOCOLS_STR, "http,https");
    ngx_ivschat_curl_setopt(CURLOPT_HTTP_VERSION,
                            (long) CURL_HTTP_VERSION_1_1);

    /* no SIGALRM; do not wait for a resolver thread at exit */

    ngx_ivschat_curl_setopt(CURLOPT_NOSIGNAL, 1L);
    ngx_ivschat_curl_setopt(CURLOPT_QUICK_EXIT, 1L);

    /* requests are minutes apart, and nothing would watch the connection */

    ngx_ivschat_curl_setopt(CURLOPT_FORBID_REUSE, 1L);

    /* libcurl copies it to the connection, which outlives the request */

    ngx_ivschat_curl_setopt(CURLOPT_CLOSESOCKETFUNCTION,
                            ngx_ivschat_curl_close_socket);
    ngx_ivschat_curl_setopt(CURLOPT_CLOSESOCKETDATA, req->http);

    /* libcurl caches the CA file, unless there is also a directory */

    ngx_ivschat_curl_setopt(CURLOPT_CAPATH, NULL);

    return rc;
}


static ngx_int_t
ngx_ivschat_curl_set_headers(ngx_ivschat_curl_request_t *req,
    ngx_ivschat_curl_options_t *options)
{
    ngx_uint_t          i;
    struct curl_slist  *list;

    /* do not wait for "100 Continue", which few servers send */

    req->headers = curl_slist_append(NULL, "Expect:");
    list = req->headers;

    for (i = 0; list && options->headers[i]; i++) {
        list = curl_slist_append(req->headers, options->headers[i]);
    }

    return list ? NGX_OK : NGX_ERROR;
}


static void
ngx_ivschat_curl_free(ngx_ivschat_curl_request_t *req)
{
    struct curl_slist  *h;

    ngx_queue_remove(&req->queue);

    curl_easy_cleanup(req->easy);

    for (h = req->headers; h; h = h->next) {
        ngx_explicit_memzero(h->data, ngx_strlen(h->data));
    }

    curl_slist_free_all(req->headers);

    ngx_explicit_memzero(req, sizeof(ngx_ivschat_curl_request_t));
    ngx_free(req);
}


/* The only caller of curl_multi_socket_action(). */

static void
ngx_ivschat_curl_drive(ngx_ivschat_curl_t *http, curl_socket_t fd, int action)
{
    int        running;
    sigset_t   all, before;
    CURLMcode  rc;

    /* a resolver thread started here must not run nginx's signal handlers */

    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_BLOCK, &all, &before);

    rc = curl_multi_socket_action(http->multi, fd, action, &running);

    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);

    /* nginx would report errors left in OpenSSL's queue as its own */

    ERR_clear_error();

    if (rc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ERR, http->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(rc));
    }

    ngx_ivschat_curl_finished(http);

    if (rc != CURLM_OK) {

        /* libcurl continues only if all transfers are removed */

        ngx_ivschat_curl_abort(http);
    }
}


static void
ngx_ivschat_curl_finished(ngx_ivschat_curl_t *http)
{
    int       left;
    void     *req;
    CURLMsg  *msg;
    CURLcode  code;

    while ((msg = curl_multi_info_read(http->multi, &left)) != NULL) {

        /* the message is invalid after the next call */

        code = msg->data.result;

        if (msg->msg == CURLMSG_DONE
            && curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &req)
               == CURLE_OK)
        {
            ngx_ivschat_curl_finish(req, code);
        }
    }
}


static void
ngx_ivschat_curl_finish(ngx_ivschat_curl_request_t *req, CURLcode code)
{
    long                        status;
    struct curl_header         *date;
    ngx_ivschat_curl_answer_t   answer;

    ngx_memzero(&answer, sizeof(ngx_ivschat_curl_answer_t));

    if (code == CURLE_OK) {
        status = 0;
        (void) curl_easy_getinfo(req->easy, CURLINFO_RESPONSE_CODE, &status);

        answer.status = status;
        answer.body = req->body;
        answer.len = req->len;
        answer.date = (time_t) NGX_ERROR;

        if (curl_easy_header(req->easy, "Date", 0, CURLH_HEADER, -1, &date)
            == CURLHE_OK)
        {
            answer.date = ngx_parse_http_time((u_char *) date->value,
                                              ngx_strlen(date->value));
        }

    } else {
        answer.error = code == CURLE_WRITE_ERROR ? "the answer is too large"
                       : code == CURLE_ABORTED_BY_CALLBACK
                         ? "worker_connections are not enough, or the "
                           "worker is exiting"
                         : req->error[0] ? req->error
                           : curl_easy_strerror(code);
        answer.timedout = (code == CURLE_OPERATION_TIMEDOUT);
    }

    (void) curl_multi_remove_handle(req->http->multi, req->easy);

    req->done(req->data, &answer);

    ngx_ivschat_curl_free(req);
}


/* CURLMOPT_SOCKETFUNCTION */

static int
ngx_ivschat_curl_socket(CURL *easy, curl_socket_t fd, int what, void *data,
    void *socket)
{
    ngx_ivschat_curl_t  *http = data;
    ngx_connection_t    *c = socket;

    if (what == CURL_POLL_REMOVE) {
        if (c) {
            ngx_ivschat_curl_remove_socket(c);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_ivschat_curl_add_socket(http, fd);
        if (c == NULL) {
            return -1;
        }
    }

    if (ngx_ivschat_curl_watch(c->read, NGX_READ_EVENT, what & CURL_POLL_IN)
        != NGX_OK
        || ngx_ivschat_curl_watch(c->write, NGX_WRITE_EVENT,
                                  what & CURL_POLL_OUT)
           != NGX_OK)
    {
        ngx_ivschat_curl_remove_socket(c);
        return -1;
    }

    return 0;
}


static ngx_connection_t *
ngx_ivschat_curl_add_socket(ngx_ivschat_curl_t *http, curl_socket_t fd)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(fd, http->log);
    if (c == NULL) {
        return NULL;
    }

    c->data = http;
    c->log = http->log;
    c->read->log = http->log;
    c->write->log = http->log;

    /* both are needed: at a shutdown nginx calls read->handler */

    c->read->handler = ngx_ivschat_curl_event_handler;
    c->write->handler = ngx_ivschat_curl_event_handler;

    /* nginx uses this queue only for its reusable connections */

    ngx_queue_insert_tail(&http->connections, &c->queue);

    (void) curl_multi_assign(http->multi, fd, c);

    return c;
}


static void
ngx_ivschat_curl_remove_socket(ngx_connection_t *c)
{
    ngx_ivschat_curl_t  *http = c->data;

    (void) curl_multi_assign(http->multi, c->fd, NULL);

    if ((ngx_event_flags & NGX_USE_EPOLL_EVENT)
        && fcntl(c->fd, F_GETFD) == -1)
    {
        /*
         * libcurl closes a socket that has not connected without calling
         * CURLOPT_CLOSESOCKETFUNCTION, which also removes it from epoll.
         */

        c->read->active = 0;
        c->write->active = 0;
    }

    (void) ngx_ivschat_curl_watch(c->read, NGX_READ_EVENT, 0);
    (void) ngx_ivschat_curl_watch(c->write, NGX_WRITE_EVENT, 0);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    ngx_queue_remove(&c->queue);
    ngx_free_connection(c);

    /* libcurl closes the socket: nginx must not report it at exit */

    c->fd = (ngx_socket_t) -1;
}


/* Level-triggered with all methods, since libcurl may leave data. */

static ngx_int_t
ngx_ivschat_curl_watch(ngx_event_t *ev, ngx_int_t event, ngx_uint_t want)
{
    if (want && !ev->active) {
        return ngx_add_event(ev, event, NGX_LEVEL_EVENT);
    }

    if (!want && ev->active) {
        return ngx_del_event(ev, event, 0);
    }

    return NGX_OK;
}


/* CURLOPT_CLOSESOCKETFUNCTION; libcurl does not always remove it first. */

static int
ngx_ivschat_curl_close_socket(void *data, curl_socket_t fd)
{
    ngx_ivschat_curl_t  *http = data;

    ngx_queue_t       *q;
    ngx_connection_t  *c;

    for (q = ngx_queue_head(&http->connections);
         q != ngx_queue_sentinel(&http->connections);
         q = ngx_queue_next(q))
    {
        c = ngx_queue_data(q, ngx_connection_t, queue);

        if (c->fd == fd) {
            ngx_ivschat_curl_remove_socket(c);
            break;
        }
    }

    return close(fd);
}


/* CURLMOPT_TIMERFUNCTION */

static int
ngx_ivschat_curl_set_timer(CURLM *multi, long ms, void *data)
{
    ngx_ivschat_curl_t  *http = data;

    /* ngx_add_timer() keeps a timer that is nearly the same */

    if (http->timer.timer_set) {
        ngx_del_timer(&http->timer);
    }

    if (ms >= 0) {
        ngx_add_timer(&http->timer, (ngx_msec_t) ms);
    }

    return 0;
}


static void
ngx_ivschat_curl_timer_handler(ngx_event_t *ev)
{
    ngx_connection_t  *dummy = ev->data;

    ngx_ivschat_curl_drive(dummy->data, CURL_SOCKET_TIMEOUT, 0);
}


static void
ngx_ivschat_curl_event_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c = ev->data;
    ngx_ivschat_curl_t  *http = c->data;

    if (c->close || c->error) {

        /* worker_shutdown_timeout */

        ngx_ivschat_curl_abort(http);
        return;
    }

    ngx_ivschat_curl_drive(http, c->fd,
                           ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


/* Fails all requests, but not those that their handlers start. */

static void
ngx_ivschat_curl_abort(ngx_ivschat_curl_t *http)
{
    ngx_queue_t                  requests, *q;
    ngx_ivschat_curl_request_t  *req;

    if (ngx_queue_empty(&http->requests)) {
        return;
    }

    ngx_queue_init(&requests);
    ngx_queue_add(&requests, &http->requests);
    ngx_queue_init(&http->requests);

    while (!ngx_queue_empty(&requests)) {
        q = ngx_queue_head(&requests);
        req = ngx_queue_data(q, ngx_ivschat_curl_request_t, queue);

        ngx_ivschat_curl_finish(req, CURLE_ABORTED_BY_CALLBACK);
    }
}


/* CURLOPT_WRITEFUNCTION; a short count is CURLE_WRITE_ERROR */

static size_t
ngx_ivschat_curl_body(char *p, size_t size, size_t n, void *data)
{
    ngx_ivschat_curl_request_t  *req = data;

    size *= n;

    if (size > NGX_IVSCHAT_CURL_BODY_MAX - req->len) {
        return 0;
    }

    ngx_memcpy(req->body + req->len, p, size);
    req->len += size;

    return size;
}
