
/*
 * One fetch.  Each step sends a request, and its answer selects the next step.
 * Steps that fail temporarily are repeated within one time limit.
 */


#include "ngx_ivschat_fetch.h"
#include "ngx_ivschat_url.h"

#include <ngx_event.h>

#include "../aws/ngx_ivschat_errors.h"
#include "../aws/ngx_ivschat_sigv4.h"
#include "../aws/ngx_ivschat_sts.h"


#define NGX_IVSCHAT_FETCH_ERROR_LEN       1024
#define NGX_IVSCHAT_FETCH_ATTEMPTS        3         /* except for IMDS */
#define NGX_IVSCHAT_FETCH_PAUSE           500       /* milliseconds */
#define NGX_IVSCHAT_FETCH_FILE_MAX        32768
#define NGX_IVSCHAT_FETCH_IMDS_TOKEN_MAX  256
#define NGX_IVSCHAT_FETCH_IMDS_ROLE_MAX   64

/* enough for a token file and a header or form with its content */
#define NGX_IVSCHAT_FETCH_TEXTS_LEN       131072

#define NGX_IVSCHAT_FETCH_IMDS_PATH                                           \
    "/latest/meta-data/iam/security-credentials/"


typedef enum {
    NGX_IVSCHAT_STEP_CONTAINER = 0,
    NGX_IVSCHAT_STEP_IMDS_TOKEN,
    NGX_IVSCHAT_STEP_IMDS_ROLE,
    NGX_IVSCHAT_STEP_IMDS_CREDS,
    NGX_IVSCHAT_STEP_WEB_IDENTITY,
    NGX_IVSCHAT_STEP_ROLE,
    NGX_IVSCHAT_STEP_DONE              /* except for roles to assume */
} ngx_ivschat_step_e;


/*
 * make() completes a request with method, URL and timeouts, or returns
 * NGX_ERROR with f->error set.
 *
 * got() is called with an answer of 200 and returns NGX_OK to continue with
 * f->step; NGX_AGAIN or NGX_ERROR, if a retry is useless, with f->error set.
 */

typedef struct {
    ngx_ivschat_credentials_flavour_e   flavour;
    const char                         *peer;
    const char                         *method;

    ngx_int_t     (*make)(ngx_ivschat_fetch_t *f,
                      ngx_ivschat_curl_options_t *o);
    ngx_int_t     (*got)(ngx_ivschat_fetch_t *f,
                      ngx_ivschat_curl_answer_t *answer);

    ngx_uint_t      hinted[2];         /* the statuses with this hint */
    const char     *hint;
} ngx_ivschat_step_t;


struct ngx_ivschat_fetch_s {
    ngx_ivschat_curl_t          *http;
    ngx_ivschat_source_t        *source;
    ngx_log_t                   *log;
    ngx_ivschat_fetch_done_pt    done;
    void                        *data;

    ngx_ivschat_curl_request_t  *request;     /* NULL: the timer is set */
    ngx_event_t                  timer;
    ngx_connection_t             dummy;

    ngx_ivschat_clock_t          clock;
    time_t                       sent;        /* by this host's clock */

    ngx_ivschat_step_e           step;
    ngx_uint_t                   attempt;     /* at this step, from 1 */
    ngx_uint_t                   role;        /* the next to assume */
    const char                  *asked;       /* the ARN sent to STS */
    ngx_msec_t                   start;

    u_char                      *pos;         /* free space of "texts" */

    ngx_ivschat_credentials_t    creds;
    char    imds_token[NGX_IVSCHAT_FETCH_IMDS_TOKEN_MAX + 1];
    char    imds_role[NGX_IVSCHAT_FETCH_IMDS_ROLE_MAX + 1];
    char    error[NGX_IVSCHAT_FETCH_ERROR_LEN];

    u_char  texts[NGX_IVSCHAT_FETCH_TEXTS_LEN];  /* of one request */

    unsigned                     imds_again:1;   /* second session token */
    unsigned                     skewed:1;       /* this host's clock is off */
    unsigned                     local:1;        /* the request stays here */
};


static void ngx_ivschat_fetch_timer(ngx_event_t *ev);
static void ngx_ivschat_fetch_step(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_fetch_send(ngx_ivschat_fetch_t *f);
static void ngx_ivschat_fetch_answer(void *data,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_fetch_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_fetch_refused(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_uint_t ngx_ivschat_fetch_may_retry(ngx_ivschat_fetch_t *f);
static void ngx_ivschat_fetch_finish(ngx_ivschat_fetch_t *f,
    ngx_ivschat_credentials_t *creds);
static void ngx_ivschat_fetch_free(ngx_ivschat_fetch_t *f);
static ngx_int_t ngx_ivschat_fetch_error(ngx_ivschat_fetch_t *f,
    const char *fmt, ...);
static const char *ngx_ivschat_fetch_text(ngx_ivschat_fetch_t *f,
    const char *fmt, ...);
static ngx_int_t ngx_ivschat_fetch_file(ngx_ivschat_fetch_t *f,
    const char *path, ngx_ivschat_str_t *text);

static ngx_int_t ngx_ivschat_container_make(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_options_t *o);
static ngx_int_t ngx_ivschat_imds_make(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_options_t *o);
static ngx_int_t ngx_ivschat_imds_word(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);
static ngx_int_t ngx_ivschat_sts_make(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_options_t *o);
static ngx_int_t ngx_ivschat_sts_sign(ngx_ivschat_fetch_t *f,
    ngx_ivschat_role_t *role, ngx_ivschat_curl_options_t *o);
static ngx_int_t ngx_ivschat_sts_refused(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer);


static const ngx_ivschat_step_t  ngx_ivschat_fetch_steps[] = {

    [NGX_IVSCHAT_STEP_CONTAINER] = {
        NGX_IVSCHAT_CONTAINER, "the container credentials endpoint", "GET",
        ngx_ivschat_container_make, ngx_ivschat_fetch_got,
        { 401, 403 }, ": the authorization token was rejected"
    },
    [NGX_IVSCHAT_STEP_IMDS_TOKEN] = {
        NGX_IVSCHAT_IMDS, "the instance metadata service", "PUT",
        ngx_ivschat_imds_make, ngx_ivschat_imds_word,
        { 403 }, ": IMDS is disabled for this instance"
    },
    [NGX_IVSCHAT_STEP_IMDS_ROLE] = {
        NGX_IVSCHAT_IMDS, "the instance metadata service", "GET",
        ngx_ivschat_imds_make, ngx_ivschat_imds_word,
        { 404 }, ": the instance has no IAM role"
    },
    [NGX_IVSCHAT_STEP_IMDS_CREDS] = {
        NGX_IVSCHAT_IMDS, "the instance metadata service", "GET",
        ngx_ivschat_imds_make, ngx_ivschat_fetch_got, { 0 }, NULL
    },
    [NGX_IVSCHAT_STEP_WEB_IDENTITY] = {
        NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY, "AWS STS", "POST",
        ngx_ivschat_sts_make, ngx_ivschat_fetch_got, { 0 }, NULL
    },
    [NGX_IVSCHAT_STEP_ROLE] = {
        NGX_IVSCHAT_ASSUME_ROLE, "AWS STS", "POST",
        ngx_ivschat_sts_make, ngx_ivschat_fetch_got, { 0 }, NULL
    }
};

_Static_assert(sizeof(ngx_ivschat_fetch_steps)
               == NGX_IVSCHAT_STEP_DONE * sizeof(ngx_ivschat_step_t),
               "a step without its row");


static const ngx_ivschat_step_e  ngx_ivschat_fetch_first[] = {
    [NGX_IVSCHAT_BASE_NONE] = NGX_IVSCHAT_STEP_DONE,
    [NGX_IVSCHAT_BASE_STATIC] = NGX_IVSCHAT_STEP_DONE,
    [NGX_IVSCHAT_BASE_CONTAINER] = NGX_IVSCHAT_STEP_CONTAINER,
    [NGX_IVSCHAT_BASE_WEB_IDENTITY] = NGX_IVSCHAT_STEP_WEB_IDENTITY,
    [NGX_IVSCHAT_BASE_IMDS] = NGX_IVSCHAT_STEP_IMDS_TOKEN
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
    f->step = ngx_ivschat_fetch_first[source->base];

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


static void
ngx_ivschat_fetch_timer(ngx_event_t *ev)
{
    ngx_connection_t  *dummy = ev->data;

    ngx_ivschat_fetch_step(dummy->data);
}


static void
ngx_ivschat_fetch_step(ngx_ivschat_fetch_t *f)
{
    if (f->step == NGX_IVSCHAT_STEP_DONE && f->role < f->source->nroles) {
        f->step = NGX_IVSCHAT_STEP_ROLE;
    }

    if (f->step == NGX_IVSCHAT_STEP_DONE) {
        ngx_ivschat_fetch_finish(f, &f->creds);
        return;
    }

    f->attempt++;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, f->log, 0,
                   "ivschat fetch step:%d attempt:%ui", f->step, f->attempt);

    f->pos = f->texts;

    if (ngx_ivschat_fetch_send(f) != NGX_OK) {
        ngx_ivschat_fetch_finish(f, NULL);
    }
}


static ngx_int_t
ngx_ivschat_fetch_send(ngx_ivschat_fetch_t *f)
{
    ngx_msec_int_t               left;
    const ngx_ivschat_step_t    *step;
    ngx_ivschat_curl_options_t   o;

    step = &ngx_ivschat_fetch_steps[f->step];

    left = (ngx_msec_int_t) (f->start + NGX_IVSCHAT_FETCH_LIMIT
                             - ngx_current_msec);
    if (left <= 0) {
        return ngx_ivschat_fetch_error(f, "the fetch took too long");
    }

    ngx_memzero(&o, sizeof(ngx_ivschat_curl_options_t));

    o.method = step->method;
    o.url = f->source->url;
    o.ca_file = f->source->ca_file;
    o.connect_timeout = 2000;
    o.timeout = 5000;
    o.done = ngx_ivschat_fetch_answer;
    o.data = f;

    if (step->flavour == NGX_IVSCHAT_IMDS) {
        o.connect_timeout = f->source->imds_timeout;
        o.timeout = f->source->imds_timeout;
    }

    o.timeout = ngx_min(o.timeout, (ngx_msec_t) left);
    o.connect_timeout = ngx_min(o.connect_timeout, o.timeout);

    if (step->make(f, &o) != NGX_OK) {
        return NGX_ERROR;
    }

    f->local = (ngx_ivschat_url(o.url) & NGX_IVSCHAT_URL_LOOPBACK) != 0;
    f->sent = ngx_time();
    f->request = ngx_ivschat_curl_send(f->http, &o);

    if (f->request == NULL) {
        return ngx_ivschat_fetch_error(f, "the request could not be started");
    }

    return NGX_OK;
}


static void
ngx_ivschat_fetch_answer(void *data, ngx_ivschat_curl_answer_t *answer)
{
    ngx_ivschat_fetch_t  *f = data;

    ngx_int_t  rc;

    f->request = NULL;
    f->skewed = 0;

    ngx_explicit_memzero(f->texts, sizeof(f->texts));

    /* the clock of this host tells nothing new */

    if (answer->error == NULL && !f->local
        && f->step != NGX_IVSCHAT_STEP_CONTAINER)
    {
        f->skewed = f->clock.note(f->clock.data, answer->date, f->sent);
    }

    if (answer->error) {
        ngx_ivschat_fetch_error(f, "%s%s", answer->error,
                                answer->timedout
                                && f->step == NGX_IVSCHAT_STEP_IMDS_TOKEN
                                ? " (in a container on an instance, "
                                  "HttpPutResponseHopLimit must be 2 or more)"
                                : "");
        rc = NGX_AGAIN;

    } else if (answer->status == 200) {
        rc = ngx_ivschat_fetch_steps[f->step].got(f, answer);

    } else {
        rc = ngx_ivschat_fetch_refused(f, answer);
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


static ngx_int_t
ngx_ivschat_fetch_got(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    int                        rc;
    char                       reason[NGX_IVSCHAT_REASON_LEN];
    const ngx_ivschat_step_t  *step;

    step = &ngx_ivschat_fetch_steps[f->step];

    rc = ngx_ivschat_credentials_parse(step->flavour,
                                       (const char *) answer->body,
                                       answer->len,
                                       f->clock.now(f->clock.data), &f->creds,
                                       reason, sizeof(reason));
    if (rc != 0) {
        ngx_ivschat_fetch_error(f, "%s", reason);

        /* the credentials for a second attempt at a role are wiped */

        return step->make == ngx_ivschat_sts_make ? NGX_ERROR : NGX_AGAIN;
    }

    if (f->step == NGX_IVSCHAT_STEP_ROLE) {
        f->role++;
    }

    f->step = NGX_IVSCHAT_STEP_DONE;

    return NGX_OK;
}


/* Statuses other than 200; some are temporary. */

static ngx_int_t
ngx_ivschat_fetch_refused(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    ngx_uint_t                 status;
    const ngx_ivschat_step_t  *step;

    status = answer->status;
    step = &ngx_ivschat_fetch_steps[f->step];

    if (step->make == ngx_ivschat_sts_make) {
        return ngx_ivschat_sts_refused(f, answer);
    }

    /* the session token of IMDS has expired: get a new one, once */

    if (status == 401 && step->flavour == NGX_IVSCHAT_IMDS
        && f->step != NGX_IVSCHAT_STEP_IMDS_TOKEN && !f->imds_again)
    {
        f->imds_again = 1;
        f->step = NGX_IVSCHAT_STEP_IMDS_TOKEN;
        return NGX_OK;
    }

    ngx_ivschat_fetch_error(f, "it answered %ui%s", status,
                            status == step->hinted[0]
                            || status == step->hinted[1] ? step->hint : "");

    return (status == 429 || status >= 500) ? NGX_AGAIN : NGX_ERROR;
}


static ngx_uint_t
ngx_ivschat_fetch_may_retry(ngx_ivschat_fetch_t *f)
{
    ngx_uint_t  attempts;

    attempts = ngx_ivschat_fetch_steps[f->step].flavour == NGX_IVSCHAT_IMDS
               ? f->source->imds_attempts : NGX_IVSCHAT_FETCH_ATTEMPTS;

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


/* Sets f->error; returns NGX_ERROR. */

static ngx_int_t
ngx_ivschat_fetch_error(ngx_ivschat_fetch_t *f, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) f->error,
                      (u_char *) f->error + sizeof(f->error) - 1, fmt, args);
    va_end(args);

    *p = '\0';

    return NGX_ERROR;
}


/* Writes a text of the request, with a NUL. */

static const char *
ngx_ivschat_fetch_text(ngx_ivschat_fetch_t *f, const char *fmt, ...)
{
    u_char   *text;
    va_list   args;

    text = f->pos;

    va_start(args, fmt);
    f->pos = ngx_vslprintf(text, f->texts + sizeof(f->texts) - 1, fmt,
                           args);
    va_end(args);

    *f->pos++ = '\0';

    return (const char *) text;
}


/* Reads a small file; *text is in the texts of the request. */

static ngx_int_t
ngx_ivschat_fetch_file(ngx_ivschat_fetch_t *f, const char *path,
    ngx_ivschat_str_t *text)
{
    int               err;
    ssize_t           n;
    ngx_fd_t          fd;
    ngx_core_conf_t  *ccf;

    fd = open(path, O_RDONLY|O_NONBLOCK|O_CLOEXEC);
    n = fd == NGX_INVALID_FILE ? -1
                               : read(fd, f->pos, NGX_IVSCHAT_FETCH_FILE_MAX);
    err = ngx_errno;

    if (fd != NGX_INVALID_FILE) {
        (void) close(fd);
    }

    if (n == -1) {
        ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                               ngx_core_module);

        return ngx_ivschat_fetch_error(f, "the token file \"%s\" cannot be "
                                       "read by user %s: (%d: %s)", path,
                                       geteuid() == 0 ? "root"
                                       : ccf->username ? ccf->username
                                                       : "unknown",
                                       err, strerror(err));
    }

    if (n == NGX_IVSCHAT_FETCH_FILE_MAX) {
        return ngx_ivschat_fetch_error(f, "the token file \"%s\" is too "
                                       "large", path);
    }

    text->data = (const char *) f->pos;
    text->len = n;
    f->pos += n;

    /* editors and shells add a line feed */

    *text = ngx_ivschat_str_trim(*text, " \t\r\n");

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_container_make(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_options_t *o)
{
    ngx_ivschat_str_t  token;

    token = ngx_ivschat_str(f->source->token ? f->source->token : "");

    if (f->source->token_file
        && ngx_ivschat_fetch_file(f, f->source->token_file, &token) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a line feed would add headers */

    if (!ngx_ivschat_str_line(token)) {
        return ngx_ivschat_fetch_error(f, "the authorization token has control "
                                       "characters");
    }

    o->headers[0] = "Accept: application/json";

    if (token.len) {
        o->headers[1] = ngx_ivschat_fetch_text(f, "Authorization: %*s",
                                               token.len, token.data);
    }

    return NGX_OK;
}


/* The session token, the list of roles, the credentials of a role. */

static ngx_int_t
ngx_ivschat_imds_make(ngx_ivschat_fetch_t *f, ngx_ivschat_curl_options_t *o)
{
    if (f->step == NGX_IVSCHAT_STEP_IMDS_TOKEN) {
        o->url = ngx_ivschat_fetch_text(f, "%s/latest/api/token", o->url);
        o->headers[0] = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
        o->headers[1] = "Content-Length: 0";

        return NGX_OK;
    }

    o->url = ngx_ivschat_fetch_text(f, "%s" NGX_IVSCHAT_FETCH_IMDS_PATH "%s",
                                    o->url,
                                    f->step == NGX_IVSCHAT_STEP_IMDS_CREDS
                                    ? f->imds_role : "");

    o->headers[0] = ngx_ivschat_fetch_text(f, "X-aws-ec2-metadata-token: %s",
                                           f->imds_token);

    return NGX_OK;
}


/* Reads a session token or a role, for use in a header or a URL. */

static ngx_int_t
ngx_ivschat_imds_word(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    size_t             max;
    ngx_uint_t         token;
    ngx_ivschat_str_t  word, answered;

    answered.data = (const char *) answer->body;
    answered.len = answer->len;

    /* the first of several roles */

    word = ngx_ivschat_str_cut(&answered, '\n');
    word = ngx_ivschat_str_trim(word, "\r");

    token = (f->step == NGX_IVSCHAT_STEP_IMDS_TOKEN);
    max = token ? NGX_IVSCHAT_FETCH_IMDS_TOKEN_MAX
                : NGX_IVSCHAT_FETCH_IMDS_ROLE_MAX;

    if (word.len == 0 || word.len > max
        || !ngx_ivschat_str_only(word, NGX_IVSCHAT_LETTERS NGX_IVSCHAT_DIGITS
                                       "_+=,.@-/"))
    {
        ngx_ivschat_fetch_error(f, "invalid %s in the answer",
                                token ? "session token" : "IAM role name");
        return NGX_AGAIN;
    }

    ngx_ivschat_str_copy(token ? f->imds_token : f->imds_role, word);

    f->step = token ? NGX_IVSCHAT_STEP_IMDS_ROLE : NGX_IVSCHAT_STEP_IMDS_CREDS;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_sts_make(ngx_ivschat_fetch_t *f, ngx_ivschat_curl_options_t *o)
{
    char                                reason[NGX_IVSCHAT_REASON_LEN];
    ngx_ivschat_out_t                   form;
    ngx_ivschat_str_t                   token = { NULL, 0 };
    ngx_ivschat_role_t                 *role;
    ngx_ivschat_credentials_flavour_e   action;

    action = ngx_ivschat_fetch_steps[f->step].flavour;
    role = action == NGX_IVSCHAT_ASSUME_ROLE ? &f->source->roles[f->role]
                                             : &f->source->web_identity;
    f->asked = role->role_arn;

    if (action == NGX_IVSCHAT_ASSUME_ROLE_WITH_WEB_IDENTITY
        && ngx_ivschat_fetch_file(f, f->source->token_file, &token) != NGX_OK)
    {
        return NGX_ERROR;
    }

    form.data = (char *) f->pos;
    form.size = f->texts + sizeof(f->texts) - f->pos;
    form.len = 0;

    if (ngx_ivschat_sts_form(action, role, token, &form, reason,
                             sizeof(reason))
        != 0)
    {
        return ngx_ivschat_fetch_error(f, "%s", reason);
    }

    f->pos += form.len;

    o->url = role->url;
    o->headers[0] = "Content-Type: " NGX_IVSCHAT_STS_CONTENT_TYPE;
    o->headers[1] = "Accept: " NGX_IVSCHAT_STS_ACCEPT;
    o->body = form.data;
    o->len = form.len;

    if (action == NGX_IVSCHAT_ASSUME_ROLE
        && ngx_ivschat_sts_sign(f, role, o) != NGX_OK)
    {
        return ngx_ivschat_fetch_error(f, "the request could not be signed");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_sts_sign(ngx_ivschat_fetch_t *f, ngx_ivschat_role_t *role,
    ngx_ivschat_curl_options_t *o)
{
    int                           rc;
    size_t                        len;
    ngx_ivschat_str_t             secret = { f->creds.secret_key,
                                             f->creds.secret_key_len };
    ngx_ivschat_sigv4_scope_t     scope = {
        { f->creds.access_key, f->creds.access_key_len },
        ngx_ivschat_str(role->region), ngx_ivschat_string("sts"), "", ""
    };
    ngx_ivschat_sigv4_header_t    headers[] = {
        { ngx_ivschat_string("content-type"),
          ngx_ivschat_string(NGX_IVSCHAT_STS_CONTENT_TYPE) },
        { ngx_ivschat_string("host"), ngx_ivschat_str(role->host) },
        { ngx_ivschat_string("x-amz-date"),
          { scope.time, NGX_IVSCHAT_SIGV4_TIME_LEN } },
        { ngx_ivschat_string("x-amz-security-token"),
          { f->creds.session_token, f->creds.session_token_len } }
    };
    ngx_ivschat_sigv4_request_t   req = {
        ngx_ivschat_string("POST"), ngx_ivschat_string("/"), headers,
        f->creds.session_token_len ? 4 : 3, ""
    };

    o->headers[2] = ngx_ivschat_fetch_text(f, "Authorization: ");
    f->pos--;

    rc = ngx_ivschat_sigv4_time(f->clock.now(f->clock.data), scope.time) != 0
         || ngx_ivschat_sigv4_hash(o->body, o->len, req.payload_hash) != 0
         || ngx_ivschat_sigv4_signing_key(&scope, secret) != 0
         || ngx_ivschat_sigv4_authorization(&req, &scope, (char *) f->pos,
                                            f->texts + sizeof(f->texts)
                                            - f->pos, &len)
            != 0;

    ngx_explicit_memzero(scope.key, sizeof(scope.key));

    if (rc) {
        return NGX_ERROR;
    }

    f->pos += len;
    *f->pos++ = '\0';

    o->headers[3] = ngx_ivschat_fetch_text(f, "X-Amz-Date: %s", scope.time);

    if (f->creds.session_token_len) {
        o->headers[4] = ngx_ivschat_fetch_text(f, "X-Amz-Security-Token: %s",
                                               f->creds.session_token);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_sts_refused(ngx_ivschat_fetch_t *f,
    ngx_ivschat_curl_answer_t *answer)
{
    const char           *remedy, *message;
    ngx_ivschat_str_t     none = { NULL, 0 };
    ngx_ivschat_error_t   error;

    ngx_ivschat_error_parse(none, (const char *) answer->body, answer->len,
                            &error);

    remedy = ngx_ivschat_sts_remedy(f->step == NGX_IVSCHAT_STEP_WEB_IDENTITY,
                                    answer->status, error.code);
    message = answer->body[0] == '<' ? NGX_IVSCHAT_XML : error.message;

    ngx_ivschat_fetch_error(f, "it answered %ui%s%s for role \"%s\": "
                            "\"%s\"%s%s", answer->status,
                            *error.code ? " " : "", error.code,
                            f->asked, message,
                            *remedy ? "; " : "", remedy);

    return ngx_ivschat_retry_class(answer->status, error.code)
           != NGX_IVSCHAT_RETRY_NEVER
           || (f->skewed && ngx_ivschat_skew_code(error.code))
           ? NGX_AGAIN : NGX_ERROR;
}
