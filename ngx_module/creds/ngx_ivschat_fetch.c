
/*
 * One fetch, step by step: each step sends a request, and what comes back
 * leads to the next one.  A step that fails for a moment is tried again, all
 * within one limit.
 */


#include "ngx_ivschat_fetch.h"

#include <ngx_event.h>

#include "../aws/ngx_ivschat_sigv4.h"
#include "../aws/ngx_ivschat_skew.h"
#include "../aws/ngx_ivschat_sts.h"


#define NGX_IVSCHAT_FETCH_BODY_MAX        32768
#define NGX_IVSCHAT_FETCH_ERROR_LEN       1024
#define NGX_IVSCHAT_FETCH_URL_LEN         2048
#define NGX_IVSCHAT_FETCH_PAUSE           500     /* between attempts, ms */
#define NGX_IVSCHAT_FETCH_FILE_MAX        32768
#define NGX_IVSCHAT_FETCH_IMDS_TOKEN_MAX  256
#define NGX_IVSCHAT_FETCH_IMDS_ROLE_MAX   64

#define NGX_IVSCHAT_FETCH_IMDS_PATH                                           \
    "/latest/meta-data/iam/security-credentials/"


typedef enum {
    NGX_IVSCHAT_STEP_CONTAINER = 0,
    NGX_IVSCHAT_STEP_IMDS_TOKEN,
    NGX_IVSCHAT_STEP_IMDS_ROLE,
    NGX_IVSCHAT_STEP_IMDS_CREDS,
    NGX_IVSCHAT_STEP_WEB_IDENTITY,
    NGX_IVSCHAT_STEP_ROLE,
    NGX_IVSCHAT_STEP_DONE
} ngx_ivschat_step_e;


/* NGX_OK: on its way; NGX_ERROR: f->error says why not. */

typedef ngx_int_t (*ngx_ivschat_step_send_pt)(ngx_ivschat_fetch_t *f);

/*
 * What a whole answer means.  NGX_OK: go to f->step; NGX_AGAIN: f->error says
 * what was wrong, but it may be better in a moment; NGX_ERROR: it will not.
 */

typedef ngx_int_t (*ngx_ivschat_step_got_pt)(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);


typedef struct {
    const char                  *peer;
    ngx_ivschat_step_send_pt     send;
    ngx_ivschat_step_got_pt      got;
} ngx_ivschat_step_t;


struct ngx_ivschat_fetch_s {
    ngx_ivschat_curl_t          *http;
    ngx_ivschat_source_t          *source;
    ngx_log_t                   *log;
    ngx_ivschat_fetch_done_pt    done;
    void                        *data;

    ngx_ivschat_curl_request_t  *request;     /* under way, or NULL */
    ngx_event_t                  timer;       /* else this one */
    ngx_connection_t             dummy;

    ngx_ivschat_clock_t          clock;
    time_t                       sent;        /* by this host's */

    ngx_ivschat_step_e           step;
    ngx_uint_t                   attempt;     /* at this step, from 1 */
    ngx_uint_t                   role;        /* the next to assume */
    ngx_msec_t                   start;

    ngx_ivschat_credentials_t    creds;
    char    imds_token[NGX_IVSCHAT_FETCH_IMDS_TOKEN_MAX + 1];
    char    imds_role[NGX_IVSCHAT_FETCH_IMDS_ROLE_MAX + 1];
    char    error[NGX_IVSCHAT_FETCH_ERROR_LEN];

    unsigned                     imds_again:1;   /* a token was refused */
};


static ngx_ivschat_step_e ngx_ivschat_fetch_first(ngx_ivschat_source_t *source);
static ngx_ivschat_step_e ngx_ivschat_fetch_next_role(ngx_ivschat_fetch_t *f);
static void ngx_ivschat_fetch_timer(ngx_event_t *ev);
static void ngx_ivschat_fetch_step(ngx_ivschat_fetch_t *f);
static void ngx_ivschat_fetch_answer(void *data,
    ngx_ivschat_curl_answer_t *answer);
static ngx_uint_t ngx_ivschat_fetch_may_retry(ngx_ivschat_fetch_t *f);
static void ngx_ivschat_fetch_finish(ngx_ivschat_fetch_t *f,
    ngx_ivschat_credentials_t *creds);
static void ngx_ivschat_fetch_free(ngx_ivschat_fetch_t *f);
static void ngx_ivschat_fetch_error(ngx_ivschat_fetch_t *f, const char *fmt,
    ...);
static void ngx_ivschat_fetch_init(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_options_t *o, const char *method, const char *url);
static ngx_int_t ngx_ivschat_fetch_send(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_options_t *o);
static ngx_int_t ngx_ivschat_fetch_status(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer, const char *hint);
static ngx_int_t ngx_ivschat_fetch_parse(ngx_ivschat_fetch_t *f,
    ngx_ivschat_credentials_flavour_e flavour,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_fetch_file(ngx_ivschat_fetch_t *f,
    const char *path, char *buf, size_t size, ngx_ivschat_str_t *text);

static ngx_int_t ngx_ivschat_container_send(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_container_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_imds_token_send(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_imds_token_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_imds_role_send(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_imds_role_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_imds_creds_send(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_imds_creds_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_imds_get(ngx_ivschat_fetch_t *f,
    const char *name);
static ngx_int_t ngx_ivschat_imds_status(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer, const char *hint);
static ngx_uint_t ngx_ivschat_imds_copy(char *to, size_t size,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_web_identity_send(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_role_send(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_sts_send(ngx_ivschat_fetch_t *f,
    ngx_ivschat_role_t *role, ngx_ivschat_sts_request_t *req);
static ngx_int_t ngx_ivschat_sts_sign(ngx_ivschat_fetch_t *f,
    ngx_ivschat_role_t *role, ngx_ivschat_curl_options_t *o, char *buf,
    size_t size);
static ngx_int_t ngx_ivschat_sts_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_sts_refused(ngx_ivschat_fetch_t *f,
    ngx_ivschat_sts_action_e action, const char *role,
    ngx_ivschat_curl_answer_t *answer, ngx_uint_t off);


static ngx_ivschat_step_t  ngx_ivschat_fetch_steps[] = {
    { "the container credentials endpoint",
      ngx_ivschat_container_send, ngx_ivschat_container_got },
    { "the instance metadata service",
      ngx_ivschat_imds_token_send, ngx_ivschat_imds_token_got },
    { "the instance metadata service",
      ngx_ivschat_imds_role_send, ngx_ivschat_imds_role_got },
    { "the instance metadata service",
      ngx_ivschat_imds_creds_send, ngx_ivschat_imds_creds_got },
    { "AWS STS",
      ngx_ivschat_web_identity_send, ngx_ivschat_sts_got },
    { "AWS STS",
      ngx_ivschat_role_send, ngx_ivschat_sts_got }
};


ngx_ivschat_fetch_t *
ngx_ivschat_fetch_start(ngx_ivschat_curl_t *http,
    ngx_ivschat_source_t *source, ngx_ivschat_clock_t *clock, ngx_log_t *log,
    ngx_ivschat_fetch_done_pt done, void *data)
{
    ngx_ivschat_fetch_t  *f;

    f = ngx_calloc(sizeof(ngx_ivschat_fetch_t), log);
    if (f == NULL) {
        return NULL;
    }

    f->http = http;
    f->source = source;
    f->clock = *clock;
    f->log = log;
    f->done = done;
    f->data = data;
    f->start = ngx_current_msec;
    f->step = ngx_ivschat_fetch_first(source);

    if (source->base == NGX_IVSCHAT_BASE_STATIC) {
        f->creds = *source->creds;
    }

    f->dummy.fd = (ngx_socket_t) -1;
    f->dummy.data = f;

    f->timer.handler = ngx_ivschat_fetch_timer;
    f->timer.data = &f->dummy;
    f->timer.log = log;
    f->timer.cancelable = 1;

    ngx_add_timer(&f->timer, 1);

    return f;
}


void
ngx_ivschat_fetch_cancel(ngx_ivschat_fetch_t *f)
{
    if (f->request) {
        ngx_ivschat_curl_cancel(f->request);
    }

    ngx_ivschat_fetch_free(f);
}


static ngx_ivschat_step_e
ngx_ivschat_fetch_first(ngx_ivschat_source_t *source)
{
    switch (source->base) {

    case NGX_IVSCHAT_BASE_CONTAINER:
        return NGX_IVSCHAT_STEP_CONTAINER;

    case NGX_IVSCHAT_BASE_IMDS:
        return NGX_IVSCHAT_STEP_IMDS_TOKEN;

    case NGX_IVSCHAT_BASE_WEB_IDENTITY:
        return NGX_IVSCHAT_STEP_WEB_IDENTITY;

    default:
        return source->nroles ? NGX_IVSCHAT_STEP_ROLE : NGX_IVSCHAT_STEP_DONE;
    }
}


static ngx_ivschat_step_e
ngx_ivschat_fetch_next_role(ngx_ivschat_fetch_t *f)
{
    return f->role < f->source->nroles ? NGX_IVSCHAT_STEP_ROLE
                                     : NGX_IVSCHAT_STEP_DONE;
}


static void
ngx_ivschat_fetch_timer(ngx_event_t *ev)
{
    ngx_connection_t  *dummy = ev->data;

    ngx_ivschat_fetch_step(dummy->data);
}


static void
ngx_ivschat_fetch_step(ngx_ivschat_fetch_t *f)
{
    if (f->step == NGX_IVSCHAT_STEP_DONE) {
        ngx_ivschat_fetch_finish(f, &f->creds);
        return;
    }

    f->attempt++;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, f->log, 0,
                   "ivschat fetch step:%d attempt:%ui", f->step, f->attempt);

    if (ngx_ivschat_fetch_steps[f->step].send(f) != NGX_OK) {
        ngx_ivschat_fetch_finish(f, NULL);
    }
}


static void
ngx_ivschat_fetch_answer(void *data, ngx_ivschat_curl_answer_t *answer)
{
    ngx_ivschat_fetch_t  *f = data;

    ngx_int_t           rc;
    ngx_ivschat_step_e  step;

    f->request = NULL;
    step = f->step;

    if (answer->error) {
        ngx_ivschat_fetch_error(f, "%s", answer->error);

        if (answer->timedout && step == NGX_IVSCHAT_STEP_IMDS_TOKEN) {
            ngx_ivschat_fetch_error(f, "%s (in a container on an instance, "
                                    "HttpPutResponseHopLimit must be 2 or "
                                    "more)", answer->error);
        }

        rc = NGX_AGAIN;

    } else {
        rc = ngx_ivschat_fetch_steps[step].got(f, answer);
    }

    if (rc == NGX_OK) {
        f->attempt = 0;
        ngx_ivschat_fetch_step(f);
        return;
    }

    if (rc == NGX_AGAIN && ngx_ivschat_fetch_may_retry(f)) {
        ngx_add_timer(&f->timer, NGX_IVSCHAT_FETCH_PAUSE);
        return;
    }

    ngx_ivschat_fetch_finish(f, NULL);
}


static ngx_uint_t
ngx_ivschat_fetch_may_retry(ngx_ivschat_fetch_t *f)
{
    ngx_uint_t  attempts;

    attempts = 3;

    if (f->step >= NGX_IVSCHAT_STEP_IMDS_TOKEN
        && f->step <= NGX_IVSCHAT_STEP_IMDS_CREDS)
    {
        attempts = f->source->imds_attempts;
    }

    return f->attempt < attempts && !ngx_terminate && !ngx_exiting
           && ngx_current_msec - f->start < NGX_IVSCHAT_FETCH_LIMIT / 2;
}


static void
ngx_ivschat_fetch_finish(ngx_ivschat_fetch_t *f,
    ngx_ivschat_credentials_t *creds)
{
    u_char  text[NGX_IVSCHAT_FETCH_ERROR_LEN];

    text[0] = '\0';

    if (creds == NULL) {
        (void) ngx_snprintf(text, sizeof(text), "%s: %s%Z",
                            ngx_ivschat_fetch_steps[f->step].peer, f->error);
        text[sizeof(text) - 1] = '\0';
    }

    f->done(f->data, creds, (const char *) text);

    ngx_ivschat_fetch_free(f);
}


static void
ngx_ivschat_fetch_free(ngx_ivschat_fetch_t *f)
{
    if (f->timer.timer_set) {
        ngx_del_timer(&f->timer);
    }

    ngx_explicit_memzero(f, sizeof(ngx_ivschat_fetch_t));
    ngx_free(f);
}


static void
ngx_ivschat_fetch_error(ngx_ivschat_fetch_t *f, const char *fmt, ...)
{
    u_char  *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) f->error,
                      (u_char *) f->error + sizeof(f->error) - 1, fmt, args);
    va_end(args);

    *p = '\0';
}


static void
ngx_ivschat_fetch_init(ngx_ivschat_fetch_t *f, ngx_ivschat_curl_options_t *o,
    const char *method, const char *url)
{
    ngx_memzero(o, sizeof(ngx_ivschat_curl_options_t));

    o->method = method;
    o->url = url;
    o->ca_file = f->source->ca_file;
    o->connect_timeout = 2000;
    o->timeout = 5000;
    o->max_body = NGX_IVSCHAT_FETCH_BODY_MAX;
    o->done = ngx_ivschat_fetch_answer;
    o->data = f;
}


static ngx_int_t
ngx_ivschat_fetch_send(ngx_ivschat_fetch_t *f, ngx_ivschat_curl_options_t *o)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (f->start + NGX_IVSCHAT_FETCH_LIMIT
                             - ngx_current_msec);
    if (left <= 0) {
        ngx_ivschat_fetch_error(f, "all of it took too long");
        return NGX_ERROR;
    }

    o->timeout = ngx_min(o->timeout, (ngx_msec_t) left);
    o->connect_timeout = ngx_min(o->connect_timeout, o->timeout);

    f->sent = ngx_time();
    f->request = ngx_ivschat_curl_send(f->http, o);

    if (f->request == NULL) {
        ngx_ivschat_fetch_error(f, "the request could not be started");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Anything but a 200 is an error; some may pass. */

static ngx_int_t
ngx_ivschat_fetch_status(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer, const char *hint)
{
    if (answer->status == 200) {
        return NGX_OK;
    }

    ngx_ivschat_fetch_error(f, "it answered %ui%s", answer->status, hint);

    return (answer->status == 429 || answer->status >= 500) ? NGX_AGAIN
                                                            : NGX_ERROR;
}


static ngx_int_t
ngx_ivschat_fetch_parse(ngx_ivschat_fetch_t *f,
    ngx_ivschat_credentials_flavour_e flavour,
    ngx_ivschat_curl_answer_t *answer)
{
    char  reason[NGX_IVSCHAT_REASON_LEN];

    if (ngx_ivschat_credentials_parse(flavour, (const char *) answer->body,
                                      answer->len,
                                      f->clock.now(f->clock.data), &f->creds,
                                      reason, sizeof(reason))
        != 0)
    {
        ngx_ivschat_fetch_error(f, "%s", reason);
        return NGX_AGAIN;
    }

    f->step = ngx_ivschat_fetch_next_role(f);

    return NGX_OK;
}


/* A small file, at once, as nginx reads its own; the text points into buf. */

static ngx_int_t
ngx_ivschat_fetch_file(ngx_ivschat_fetch_t *f, const char *path, char *buf,
    size_t size, ngx_ivschat_str_t *text)
{
    int               err;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_core_conf_t  *ccf;

    n = -1;
    fd = open(path, O_RDONLY|O_NONBLOCK|O_CLOEXEC);

    if (fd != NGX_INVALID_FILE) {
        n = read(fd, buf, size);
    }

    err = ngx_errno;

    if (fd != NGX_INVALID_FILE) {
        (void) close(fd);
    }

    if (n == -1) {
        ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_core_module);

        ngx_ivschat_fetch_error(f, "the token file \"%s\" cannot be read by "
                                "user %s: (%d: %s)", path,
                                geteuid() == 0 ? "root"
                                : ccf->username ? ccf->username : "unknown",
                                err, strerror(err));
        return NGX_ERROR;
    }

    if ((size_t) n == size) {
        ngx_ivschat_fetch_error(f, "the token file \"%s\" is too large", path);
        return NGX_ERROR;
    }

    /* editors and shells end it with a line feed */

    while (n && (buf[n - 1] == '\n' || buf[n - 1] == '\r'
                 || buf[n - 1] == ' '))
    {
        n--;
    }

    text->data = buf;
    text->len = n;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_container_send(ngx_ivschat_fetch_t *f)
{
    size_t                      i;
    ngx_int_t                   rc;
    u_char                      header[NGX_IVSCHAT_FETCH_FILE_MAX + 32];
    char                        buf[NGX_IVSCHAT_FETCH_FILE_MAX];
    ngx_ivschat_str_t           token;
    ngx_ivschat_curl_options_t  o;

    ngx_ivschat_fetch_init(f, &o, "GET", f->source->url);

    o.headers[0] = "Accept: application/json";
    token.len = 0;

    if (f->source->token_file) {

        if (ngx_ivschat_fetch_file(f, f->source->token_file, buf, sizeof(buf),
                                   &token)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (f->source->token) {
        token.data = f->source->token;
        token.len = ngx_strlen(f->source->token);
    }

    /* a line end would smuggle in headers */

    for (i = 0; i < token.len; i++) {
        if ((u_char) token.data[i] < 0x20 || token.data[i] == 0x7f) {
            ngx_ivschat_fetch_error(f, "its authorization token has control "
                                    "characters");
            return NGX_ERROR;
        }
    }

    if (token.len) {
        (void) ngx_snprintf(header, sizeof(header), "Authorization: %*s%Z",
                            token.len, token.data);
        o.headers[1] = (const char *) header;
    }

    rc = ngx_ivschat_fetch_send(f, &o);

    ngx_explicit_memzero(header, sizeof(header));
    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


static ngx_int_t
ngx_ivschat_container_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    ngx_int_t  rc;

    rc = ngx_ivschat_fetch_status(f, answer,
                                  answer->status == 401
                                  || answer->status == 403
                                  ? ": it does not take the authorization "
                                  "token" : "");

    return (rc == NGX_OK)
           ? ngx_ivschat_fetch_parse(f, NGX_IVSCHAT_CONTAINER, answer) : rc;
}


static ngx_int_t
ngx_ivschat_imds_token_send(ngx_ivschat_fetch_t *f)
{
    u_char                      url[NGX_IVSCHAT_FETCH_URL_LEN];
    ngx_ivschat_curl_options_t  o;

    (void) ngx_snprintf(url, sizeof(url), "%s/latest/api/token%Z",
                        f->source->url);

    ngx_ivschat_fetch_init(f, &o, "PUT", (const char *) url);

    o.headers[0] = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
    o.headers[1] = "Content-Length: 0";
    o.connect_timeout = f->source->imds_timeout;
    o.timeout = f->source->imds_timeout;

    return ngx_ivschat_fetch_send(f, &o);
}


static ngx_int_t
ngx_ivschat_imds_token_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    ngx_int_t  rc;

    rc = ngx_ivschat_fetch_status(f, answer,
                                  answer->status == 403
                                  ? ": it is switched off for this instance"
                                  : "");
    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_ivschat_imds_copy(f->imds_token, sizeof(f->imds_token), answer)) {
        ngx_ivschat_fetch_error(f, "its session token is malformed");
        return NGX_AGAIN;
    }

    f->step = NGX_IVSCHAT_STEP_IMDS_ROLE;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_imds_role_send(ngx_ivschat_fetch_t *f)
{
    return ngx_ivschat_imds_get(f, "");
}


static ngx_int_t
ngx_ivschat_imds_role_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    ngx_int_t  rc;

    rc = ngx_ivschat_imds_status(f, answer,
                                 answer->status == 404
                                 ? ": the instance has no IAM role" : "");
    if (rc != NGX_DONE) {
        return rc;
    }

    if (!ngx_ivschat_imds_copy(f->imds_role, sizeof(f->imds_role), answer)) {
        ngx_ivschat_fetch_error(f, "the name of its IAM role is malformed");
        return NGX_AGAIN;
    }

    f->step = NGX_IVSCHAT_STEP_IMDS_CREDS;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_imds_creds_send(ngx_ivschat_fetch_t *f)
{
    return ngx_ivschat_imds_get(f, f->imds_role);
}


static ngx_int_t
ngx_ivschat_imds_creds_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    ngx_int_t  rc;

    rc = ngx_ivschat_imds_status(f, answer, "");

    return (rc == NGX_DONE)
           ? ngx_ivschat_fetch_parse(f, NGX_IVSCHAT_IMDS, answer) : rc;
}


static ngx_int_t
ngx_ivschat_imds_get(ngx_ivschat_fetch_t *f, const char *name)
{
    ngx_int_t                   rc;
    u_char                      url[NGX_IVSCHAT_FETCH_URL_LEN];
    u_char                      header[NGX_IVSCHAT_FETCH_IMDS_TOKEN_MAX + 64];
    ngx_ivschat_curl_options_t  o;

    (void) ngx_snprintf(url, sizeof(url),
                        "%s" NGX_IVSCHAT_FETCH_IMDS_PATH "%s%Z",
                        f->source->url, name);

    (void) ngx_snprintf(header, sizeof(header),
                        "X-aws-ec2-metadata-token: %s%Z", f->imds_token);

    ngx_ivschat_fetch_init(f, &o, "GET", (const char *) url);

    o.headers[0] = (const char *) header;
    o.connect_timeout = f->source->imds_timeout;
    o.timeout = f->source->imds_timeout;

    rc = ngx_ivschat_fetch_send(f, &o);

    ngx_explicit_memzero(header, sizeof(header));

    return rc;
}


/* NGX_DONE: a 200.  A session token that is refused is asked for once more. */

static ngx_int_t
ngx_ivschat_imds_status(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer, const char *hint)
{
    ngx_int_t  rc;

    if (answer->status == 401 && !f->imds_again) {
        f->imds_again = 1;
        f->step = NGX_IVSCHAT_STEP_IMDS_TOKEN;
        return NGX_OK;
    }

    rc = ngx_ivschat_fetch_status(f, answer, hint);

    return (rc == NGX_OK) ? NGX_DONE : rc;
}


/* A word of the metadata service, which goes into a header or a URL. */

static ngx_uint_t
ngx_ivschat_imds_copy(char *to, size_t size, ngx_ivschat_curl_answer_t *answer)
{
    u_char  c;
    size_t  i;

    for (i = 0; i < answer->len; i++) {
        c = answer->body[i];

        if (c == '\n' || c == '\r') {
            break;                     /* of several roles the first counts */
        }

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
              || (c >= 'a' && c <= 'z') || ngx_strchr("_+=,.@-/", c))
            || i + 1 == size)
        {
            return 0;
        }

        to[i] = c;
    }

    to[i] = '\0';

    return i != 0;
}


static ngx_int_t
ngx_ivschat_web_identity_send(ngx_ivschat_fetch_t *f)
{
    char                       buf[NGX_IVSCHAT_FETCH_FILE_MAX];
    ngx_int_t                  rc;
    ngx_ivschat_sts_request_t  req;

    ngx_memzero(&req, sizeof(ngx_ivschat_sts_request_t));

    req.action = NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY;

    rc = ngx_ivschat_fetch_file(f, f->source->token_file, buf, sizeof(buf),
                                &req.web_token);
    if (rc == NGX_OK) {
        rc = ngx_ivschat_sts_send(f, &f->source->web_identity, &req);
    }

    ngx_explicit_memzero(buf, sizeof(buf));

    return rc;
}


static ngx_int_t
ngx_ivschat_role_send(ngx_ivschat_fetch_t *f)
{
    ngx_ivschat_role_t        *role;
    ngx_ivschat_sts_request_t  req;

    role = &f->source->roles[f->role];

    ngx_memzero(&req, sizeof(ngx_ivschat_sts_request_t));

    req.action = NGX_IVSCHAT_ASSUME_ROLE;

    if (role->external_id) {
        req.external_id.data = role->external_id;
        req.external_id.len = ngx_strlen(role->external_id);
    }

    return ngx_ivschat_sts_send(f, role, &req);
}


static ngx_int_t
ngx_ivschat_sts_send(ngx_ivschat_fetch_t *f, ngx_ivschat_role_t *role,
    ngx_ivschat_sts_request_t *req)
{
    char                       *form, *headers;
    size_t                      size;
    ngx_int_t                   rc;
    char                        reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_curl_options_t  o;

    /* headers: the authorization, and a session token, twice */

    const size_t  headers_size = 3 * NGX_IVSCHAT_SESSION_TOKEN_MAX;

    req->role_arn.data = role->role_arn;
    req->role_arn.len = ngx_strlen(role->role_arn);
    req->session_name.data = role->session_name;
    req->session_name.len = ngx_strlen(role->session_name);
    req->duration = role->duration;

    ngx_ivschat_fetch_init(f, &o, "POST", role->url);

    o.headers[0] = "Content-Type: " NGX_IVSCHAT_STS_CONTENT_TYPE;

    size = ngx_ivschat_sts_form_size(req);

    form = ngx_alloc(size + headers_size, f->log);
    if (form == NULL) {
        ngx_ivschat_fetch_error(f, "out of memory");
        return NGX_ERROR;
    }

    headers = form + size;
    o.body = form;
    rc = NGX_ERROR;

    if (ngx_ivschat_sts_form(req, form, size, &o.len, reason, sizeof(reason))
        != 0)
    {
        ngx_ivschat_fetch_error(f, "%s", reason);

    } else if (req->action == NGX_IVSCHAT_ASSUME_ROLE
               && ngx_ivschat_sts_sign(f, role, &o, headers, headers_size)
               != NGX_OK)
    {
        ngx_ivschat_fetch_error(f, "the request could not be signed");

    } else {
        rc = ngx_ivschat_fetch_send(f, &o);
    }

    ngx_explicit_memzero(form, size + headers_size);
    ngx_free(form);

    return rc;
}


/* Adds the headers of the signature; their text goes to buf. */

static ngx_int_t
ngx_ivschat_sts_sign(ngx_ivschat_fetch_t *f, ngx_ivschat_role_t *role,
    ngx_ivschat_curl_options_t *o, char *buf, size_t size)
{
    int                        rc;
    u_char                    *p, *last;
    size_t                     len;
    ngx_ivschat_str_t          secret;
    ngx_ivschat_sigv4_scope_t  scope;
    ngx_ivschat_sigv4_header_t    headers[4] = {
        { ngx_ivschat_string("content-type"),
          ngx_ivschat_string(NGX_IVSCHAT_STS_CONTENT_TYPE) },
        { ngx_ivschat_string("host"), { role->host, ngx_strlen(role->host) } },
        { ngx_ivschat_string("x-amz-date"),
          { scope.time, NGX_IVSCHAT_SIGV4_TIME_LEN } },
        { ngx_ivschat_string("x-amz-security-token"),
          { f->creds.session_token, f->creds.session_token_len } }
    };
    ngx_ivschat_sigv4_request_t   req = {
        ngx_ivschat_string("POST"), ngx_ivschat_string("/"),
        headers, f->creds.session_token_len ? 4 : 3, ""
    };

    ngx_memzero(&scope, sizeof(ngx_ivschat_sigv4_scope_t));

    scope.access_key.data = f->creds.access_key;
    scope.access_key.len = f->creds.access_key_len;
    scope.region.data = role->region;
    scope.region.len = ngx_strlen(role->region);
    scope.service.data = "sts";
    scope.service.len = 3;

    secret.data = f->creds.secret_key;
    secret.len = f->creds.secret_key_len;

    p = (u_char *) buf;
    last = p + size;

    rc = ngx_ivschat_sigv4_time(f->clock.now(f->clock.data), scope.time) != 0
         || ngx_ivschat_sigv4_hash(o->body, o->len, req.payload_hash) != 0
         || ngx_ivschat_sigv4_signing_key(secret, scope.time, scope.region,
                                          scope.service, scope.key)
            != 0
         || ngx_ivschat_sigv4_buffer_size(&req, &scope)
            > size - (sizeof("Authorization: ") - 1)
         || ngx_ivschat_sigv4_authorization(&req, &scope,
                                  buf + sizeof("Authorization: ") - 1,
                                  size - (sizeof("Authorization: ") - 1),
                                            &len)
            != 0;

    ngx_explicit_memzero(scope.key, sizeof(scope.key));

    if (rc) {
        return NGX_ERROR;
    }

    o->headers[1] = buf;
    p = ngx_cpymem(p, "Authorization: ", sizeof("Authorization: ") - 1) + len;
    *p++ = '\0';

    o->headers[2] = (const char *) p;
    p = ngx_slprintf(p, last, "X-Amz-Date: %s%Z", scope.time);

    if (f->creds.session_token_len) {
        o->headers[3] = (const char *) p;
        p = ngx_slprintf(p, last, "X-Amz-Security-Token: %s%Z",
                         f->creds.session_token);
    }

    return p < last ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_ivschat_sts_got(ngx_ivschat_fetch_t *f, ngx_ivschat_curl_answer_t *answer)
{
    char                      reason[NGX_IVSCHAT_REASON_LEN];
    ngx_uint_t                off;
    const char               *role;
    ngx_ivschat_sts_action_e  action;

    off = f->clock.note(f->clock.data, answer->date, f->sent);

    if (f->step == NGX_IVSCHAT_STEP_ROLE) {
        action = NGX_IVSCHAT_ASSUME_ROLE;
        role = f->source->roles[f->role].role_arn;

    } else {
        action = NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY;
        role = f->source->web_identity.role_arn;
    }

    if (answer->status != 200) {
        return ngx_ivschat_sts_refused(f, action, role, answer, off);
    }

    if (ngx_ivschat_sts_parse(action, (const char *) answer->body, answer->len,
                              f->clock.now(f->clock.data), &f->creds, reason,
                              sizeof(reason))
        != 0)
    {
        ngx_ivschat_fetch_error(f, "%s", reason);

        /* what the role was to be assumed with is gone */

        return NGX_ERROR;
    }

    if (f->step == NGX_IVSCHAT_STEP_ROLE) {
        f->role++;
    }

    f->step = ngx_ivschat_fetch_next_role(f);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_sts_refused(ngx_ivschat_fetch_t *f,
    ngx_ivschat_sts_action_e action, const char *role,
    ngx_ivschat_curl_answer_t *answer, ngx_uint_t off)
{
    const char          *remedy;
    ngx_ivschat_error_t  error;

    ngx_ivschat_sts_error_parse((const char *) answer->body, answer->len,
                                &error);

    remedy = ngx_ivschat_sts_remedy(action, answer->status, error.code);

    ngx_ivschat_fetch_error(f, "it answered %ui%s%s for role \"%s\": "
                            "\"%s\"%s%s", answer->status,
                            *error.code ? " " : "", error.code, role,
                            error.message, *remedy ? "; " : "", remedy);

    return (ngx_ivschat_sts_retryable(answer->status, error.code)
            || (off && ngx_ivschat_skew_code(error.code)))
           ? NGX_AGAIN : NGX_ERROR;
}
