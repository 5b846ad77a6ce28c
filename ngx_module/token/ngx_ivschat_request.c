
/*
 * One request: the user, the client's body, the policy, and then attempts,
 * each with a place in the rate, a signed subrequest and a response.  One
 * deadline applies to all attempts.
 */


#include "ngx_ivschat_request.h"
#include "ngx_ivschat_reply.h"
#include "../aws/ngx_ivschat_retry.h"


typedef void (*ngx_ivschat_step_pt)(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);


static ngx_ivschat_result_e ngx_ivschat_evaluate(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static ngx_uint_t ngx_ivschat_body_discarded(ngx_http_request_t *r);
static void ngx_ivschat_body_handler(ngx_http_request_t *r);
static void ngx_ivschat_body_done(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_int_t rc);

static ngx_ivschat_result_e ngx_ivschat_enter(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_next(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_attempt(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_not_granted(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_expire(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_test_client(ngx_http_request_t *r);

static void ngx_ivschat_run(ngx_ivschat_ctx_t *ctx, ngx_ivschat_step_pt step);
static void ngx_ivschat_rate_handler(void *data, ngx_uint_t granted);
static void ngx_ivschat_creds_handler(void *data);
static void ngx_ivschat_pause_handler(ngx_event_t *ev);
static void ngx_ivschat_deadline_handler(ngx_event_t *ev);

static void ngx_ivschat_resume(ngx_http_request_t *r);
static void ngx_ivschat_report(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);
static ngx_uint_t ngx_ivschat_again(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result);
static ngx_uint_t ngx_ivschat_again_now(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static ngx_ivschat_retry_e ngx_ivschat_retry_kind(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result);

static void ngx_ivschat_finish(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);
static ngx_int_t ngx_ivschat_end(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);
static void ngx_ivschat_let_go(ngx_ivschat_ctx_t *ctx);

static ngx_ivschat_ctx_t *ngx_ivschat_create_ctx(ngx_http_request_t *r);
static void ngx_ivschat_ctx_mark(void *data);
static void ngx_ivschat_ctx_cleanup(void *data);


ngx_int_t
ngx_ivschat_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_ivschat_ctx_t       *ctx;
    ngx_ivschat_result_e     result;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_ivschat_get_conf(r);

    if (r != r->main) {

        /* nginx does not run the access phase for subrequests */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "location \"%V\" mints no token for a subrequest",
                      &r->uri);

        return ngx_ivschat_reply(r, NGX_IVSCHAT_ROOM_FORBIDDEN, 0, NULL);
    }

    ctx = ngx_ivschat_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->started = 1;
    ctx->start = ngx_current_msec;

    if (r->method & conf->methods) {
        result = ngx_ivschat_user_evaluate(r, ctx->basic_checked,
                                           &ctx->policy.user);
    } else {
        result = NGX_IVSCHAT_METHOD_NOT_ALLOWED;
    }

    if (result == NGX_IVSCHAT_OK && !conf->client_body) {
        result = ngx_ivschat_evaluate(r, ctx);
    }

    if (result == NGX_IVSCHAT_OK && conf->client_body
        && ngx_ivschat_body_discarded(r))
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the client's body has been discarded before the "
                      "request was redirected to location \"%V\"", &r->uri);

        result = NGX_IVSCHAT_INVALID_REQUEST;
    }

    if (result != NGX_IVSCHAT_OK) {

        if (ngx_http_discard_request_body(r) != NGX_OK) {
            r->keepalive = 0;
        }

        return ngx_ivschat_end(r, ctx, result);
    }

    rc = ngx_ivschat_client_body_start(r, &ctx->client_body,
                                       ngx_ivschat_body_handler);
    if (rc != NGX_AGAIN) {
        ngx_ivschat_body_done(r, ctx, rc);
    }

    return NGX_DONE;
}


/*
 * All but the user, once, since the values may change later: a subrequest
 * runs the server's rewrites again, and has the same variables.
 */

static ngx_ivschat_result_e
ngx_ivschat_evaluate(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_hidden_t  hidden;
    ngx_ivschat_result_e  result;

    result = ngx_ivschat_client_body_parse(r, &ctx->client_body);

    if (result != NGX_IVSCHAT_OK) {
        return result;
    }

    ngx_ivschat_user_hide(r, ctx->basic_checked, &hidden);

    result = ngx_ivschat_policy_evaluate(r, &ctx->client_body.asked,
                                         &ctx->policy);
    (void) ngx_ivschat_user_show(r, &hidden);

    return result;
}


/* An error_page may have led here. */

static ngx_uint_t
ngx_ivschat_body_discarded(ngx_http_request_t *r)
{
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;

#if (NGX_HTTP_V2)
    if (r->stream && r->stream->skip_data) {
        return in->content_length_n > 0 || !r->stream->in_closed;
    }
#endif

    if (r->discard_body) {
        return 1;
    }

    /* nothing is left of it */

    if (in->content_length_n != 0) {
        return 0;
    }

    if (in->chunked) {
        return r->request_body && r->request_body->bufs == NULL;
    }

    return r->request_body == NULL && in->content_length
           && ngx_atoof(in->content_length->value.data,
                        in->content_length->value.len)
              > 0;
}


static void
ngx_ivschat_body_handler(ngx_http_request_t *r)
{
    ngx_int_t           rc;
    ngx_ivschat_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    if (r->reading_body) {
        r->read_event_handler = ngx_ivschat_body_handler;
    }

    rc = ngx_ivschat_client_body_read(r, &ctx->client_body);

    if (rc != NGX_AGAIN) {
        ngx_ivschat_body_done(r, ctx, rc);
    }
}


static void
ngx_ivschat_body_done(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_int_t rc)
{
    ngx_ivschat_result_e  result;

    result = NGX_IVSCHAT_OK;

    if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        result = NGX_IVSCHAT_REQUEST_TOO_LARGE;

    } else if (rc == NGX_HTTP_BAD_REQUEST && !r->connection->error) {
        result = NGX_IVSCHAT_INVALID_REQUEST;

    } else if (rc != NGX_OK) {
        ngx_http_finalize_request(r, rc);
        return;

    } else if (ngx_ivschat_get_conf(r)->client_body) {
        result = ngx_ivschat_evaluate(r, ctx);
    }

    if (rc != NGX_OK) {
        r->keepalive = 0;              /* the rest of the body is not read */
    }

    if (result == NGX_IVSCHAT_OK) {
        result = ngx_ivschat_enter(r, ctx);
    }

    if (result != NGX_IVSCHAT_OK) {
        ngx_ivschat_finish(r, ctx, result);
        return;
    }

    r->read_event_handler = ngx_http_test_reading;
    r->connection->log->action = "requesting a chat token";

    ngx_ivschat_next(r, ctx);
}


/* A user line without variables is the same user for all clients. */

static ngx_ivschat_result_e
ngx_ivschat_enter(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_str_t  *user;

    user = ngx_ivschat_literal(&ngx_ivschat_get_conf(r)->user->value)
           ? NULL : &ctx->policy.user;

    return ngx_ivschat_rate_enter(&ngx_ivschat_get_main_conf(r)->rate,
                                  &ctx->place, &ctx->policy.room.arn, user)
           == NGX_OK ? NGX_IVSCHAT_OK : NGX_IVSCHAT_THROTTLED;
}


/*
 * Every attempt takes a place in the account's rate.  The first one waits for
 * it as ivschat_token_rate says, the others until the deadline.
 */

static void
ngx_ivschat_next(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_msec_t  wait;

    wait = ctx->deadline.timer_set ? NGX_TIMER_INFINITE
                                   : ngx_ivschat_get_main_conf(r)->rate.wait;

    rc = ngx_ivschat_rate_take(&ctx->place, ctx->attempts != 0, wait);

    if (rc == NGX_OK) {
        ngx_ivschat_attempt(r, ctx);

    } else if (rc == NGX_AGAIN) {
        ngx_ivschat_test_client(r);

    } else {
        ngx_ivschat_not_granted(r, ctx);
    }
}


static void
ngx_ivschat_attempt(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_int_t                rc;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_ivschat_get_conf(r);

    if (!ctx->deadline.timer_set) {
        ngx_add_timer(&ctx->deadline, conf->timeout);
    }

    ngx_memzero(&ctx->answer, sizeof(ngx_ivschat_answer_t));

    rc = ngx_ivschat_subrequest_send(r, &ctx->subrequest, &ctx->policy,
                                     ngx_ivschat_resume);
    if (rc == NGX_OK) {
        ctx->attempts++;

        ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                       "ivschat token attempt:%ui uri:\"%V\" host:\"%V\"",
                       ctx->attempts, &conf->uri, &ctx->policy.host);
        return;
    }

    /* no call was made: another request may have the place */

    ngx_ivschat_rate_give_back(&ctx->place);

    if (rc == NGX_AGAIN) {
        ngx_ivschat_creds_wait(conf->credentials, &ctx->waiter);
        ngx_ivschat_test_client(r);
        return;
    }

    ngx_ivschat_finish(r, ctx, rc == NGX_DECLINED ? NGX_IVSCHAT_NO_CREDENTIALS
                                                  : NGX_IVSCHAT_UNKNOWN);
}


static void
ngx_ivschat_not_granted(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_finish(r, ctx, NGX_IVSCHAT_THROTTLED);
}


/* The deadline has passed. */

static void
ngx_ivschat_expire(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_loc_conf_t  *conf;

    ctx->timedout = 1;

    if (ctx->subrequest.active) {
        ngx_ivschat_subrequest_cancel(&ctx->subrequest,
                                      NGX_HTTP_GATEWAY_TIME_OUT);
        return;
    }

    if (!ctx->waiter.waiting) {

        /* the last failure is more specific than the timeout */

        ngx_ivschat_finish(r, ctx,
                           ctx->failure ? ctx->failure : NGX_IVSCHAT_TIMEOUT);
        return;
    }

    conf = ngx_ivschat_get_conf(r);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "no AWS credentials from \"ivschat_token_credentials %V\" "
                  "within the %Mms of \"ivschat_token_timeout\"",
                  ngx_ivschat_creds_name(conf->credentials), conf->timeout);

    ngx_ivschat_finish(r, ctx, NGX_IVSCHAT_TIMEOUT);
}


/*
 * No event tells of a client that closed its connection before the request
 * began to wait.
 */

static void
ngx_ivschat_test_client(ngx_http_request_t *r)
{
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
}


/* Continues a request after the event that it has waited for. */

static void
ngx_ivschat_run(ngx_ivschat_ctx_t *ctx, ngx_ivschat_step_pt step)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    step(r, ctx);

    ngx_http_run_posted_requests(c);
}


static void
ngx_ivschat_rate_handler(void *data, ngx_uint_t granted)
{
    ngx_ivschat_run(data, granted ? ngx_ivschat_attempt
                                  : ngx_ivschat_not_granted);
}


/*
 * Credentials have been fetched, or not.  The requests that have waited take
 * places in the rate anew, so that they do not start together.
 */

static void
ngx_ivschat_creds_handler(void *data)
{
    ngx_ivschat_run(data, ngx_ivschat_next);
}


static void
ngx_ivschat_pause_handler(ngx_event_t *ev)
{
    ngx_ivschat_run(ngx_queue_data(ev, ngx_ivschat_ctx_t, pause),
                    ngx_ivschat_next);
}


static void
ngx_ivschat_deadline_handler(ngx_event_t *ev)
{
    ngx_ivschat_run(ngx_queue_data(ev, ngx_ivschat_ctx_t, deadline),
                    ngx_ivschat_expire);
}


/* The write event handler of a request whose subrequest is done. */

static void
ngx_ivschat_resume(ngx_http_request_t *r)
{
    ngx_ivschat_ctx_t     *ctx;
    ngx_ivschat_result_e   result;

    r->write_event_handler = ngx_http_request_empty_handler;
    r->connection->log->action = "requesting a chat token";

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    if (ctx->timedout) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no token within the %Mms of \"ivschat_token_timeout\"",
                      ngx_ivschat_get_conf(r)->timeout);

        result = NGX_IVSCHAT_TIMEOUT;

    } else {
        result = ngx_ivschat_answer_check(r, &ctx->subrequest, &ctx->policy,
                                          &ctx->answer);
    }

    ngx_ivschat_report(r, ctx, result);

    if (ctx->subrequest.left) {
        return;
    }

    if (result == NGX_IVSCHAT_OK || ctx->timedout
        || !ngx_ivschat_again(r, ctx, result))
    {
        ngx_ivschat_finish(r, ctx, result);
    }
}


/* Tells the rate, the retry quota and the clock what the answer says. */

static void
ngx_ivschat_report(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ngx_ivschat_subrequest_t  *s;

    s = &ctx->subrequest;

    if (!s->upstream) {

        /* nginx has answered itself, because of limit_req for example */

        ngx_ivschat_rate_give_back(&ctx->place);
        return;
    }

    if (!ngx_ivschat_answer_from_aws(r, s)) {
        ngx_ivschat_rate_tell(&ctx->place, NGX_IVSCHAT_CALL_OTHER, 0);
        return;
    }

    ngx_ivschat_rate_tell(&ctx->place, result == NGX_IVSCHAT_THROTTLED
                                       ? NGX_IVSCHAT_CALL_THROTTLED
                                       : NGX_IVSCHAT_CALL_OK,
                          result == NGX_IVSCHAT_OK);

    if (s->date != NGX_ERROR && s->age.data == NULL) {
        ctx->skewed = ngx_ivschat_zone_skew(
                            &ngx_ivschat_get_main_conf(r)->creds.root->skew,
                            s->date, s->sent, r->connection->log);
    }
}


/* Starts another attempt, or a pause before it; 0 if there is none. */

static ngx_uint_t
ngx_ivschat_again(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    int64_t              hint;
    ngx_msec_t           pause;
    ngx_ivschat_retry_e  kind;

    ctx->failure = result;

    if (ngx_ivschat_again_now(r, ctx)) {
        ngx_ivschat_next(r, ctx);
        return 1;
    }

    kind = ngx_ivschat_retry_kind(r, ctx, result);

    if (kind == NGX_IVSCHAT_RETRY_NEVER
        || ctx->attempts >= ngx_ivschat_get_conf(r)->tries)
    {
        return 0;
    }

    hint = ngx_ivschat_retry_hint(
                               ngx_ivschat_pure(&ctx->subrequest.retry_after));

    /* nginx's random numbers have 31 bits */

    pause = ngx_ivschat_retry_delay(kind, ctx->attempts - 1,
                                    (uint32_t) ngx_random() << 1, hint);

    /* a pause beyond the deadline would only keep the client waiting */

    if ((ngx_msec_int_t) (ctx->deadline.timer.key - ngx_current_msec - pause)
        <= 0)
    {
        return 0;
    }

    if (ngx_ivschat_rate_retry(&ctx->place, kind) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "the request is not retried: the retry quota is "
                      "exhausted");
        return 0;
    }

    ngx_add_timer(&ctx->pause, ngx_max(pause, 1));
    ngx_ivschat_test_client(r);

    return 1;
}


/*
 * Once, expired credentials are fetched again; and once, a request is signed
 * with the time that AWS has.
 */

static ngx_uint_t
ngx_ivschat_again_now(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    const char              *code;
    ngx_ivschat_loc_conf_t  *conf;

    code = ctx->answer.error.code;
    conf = ngx_ivschat_get_conf(r);

    if (!ctx->renewed && ngx_ivschat_expired_credentials(code)) {
        ctx->renewed = 1;

        return ngx_ivschat_creds_refuse(conf->credentials,
                                        ctx->subrequest.generation)
               == NGX_OK;
    }

    if (!ctx->corrected && ctx->skewed && ctx->attempts < conf->tries
        && ngx_ivschat_skew_code(code))
    {
        ctx->corrected = 1;

        return ngx_ivschat_rate_retry(&ctx->place, NGX_IVSCHAT_RETRY_TRANSIENT)
               == NGX_OK;
    }

    return 0;
}


static ngx_ivschat_retry_e
ngx_ivschat_retry_kind(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ngx_uint_t  status;

    status = ctx->subrequest.aws_status;

    if (!ctx->subrequest.upstream
        || (result != NGX_IVSCHAT_UNAVAILABLE
            && result != NGX_IVSCHAT_THROTTLED
            && result != NGX_IVSCHAT_TIMEOUT
            && result != NGX_IVSCHAT_REJECTED))
    {
        return NGX_IVSCHAT_RETRY_NEVER;
    }

    /* an answer that came without TLS, or from somebody else */

    if (status && !ngx_ivschat_answer_from_aws(r, &ctx->subrequest)) {
        return NGX_IVSCHAT_RETRY_NEVER;
    }

    /* a 200 that broke off is not an answer */

    return ngx_ivschat_retry_class(status == NGX_HTTP_OK ? 0 : status,
                                   ctx->answer.error.code);
}


static void
ngx_ivschat_finish(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ngx_http_finalize_request(r, ngx_ivschat_end(r, ctx, result));
}


static ngx_int_t
ngx_ivschat_end(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ngx_uint_t  retry_after;

    retry_after = 0;

    if (result == NGX_IVSCHAT_THROTTLED) {
        retry_after = ngx_ivschat_rate_retry_after(&ctx->place);

    } else if (result == NGX_IVSCHAT_NO_CREDENTIALS) {
        retry_after = 5 + ngx_random() % 6;
    }

    ngx_ivschat_let_go(ctx);

    if (result == NGX_IVSCHAT_UNKNOWN) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->result = result;
    ctx->end = ngx_current_msec;

    return ngx_ivschat_reply(r, result, retry_after, &ctx->answer.json);
}


/* Stops all that the request waits for. */

static void
ngx_ivschat_let_go(ngx_ivschat_ctx_t *ctx)
{
    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    if (ctx->pause.timer_set) {
        ngx_del_timer(&ctx->pause);
    }

    ngx_ivschat_rate_leave(&ctx->place);
    ngx_ivschat_creds_leave(&ctx->waiter);
}


ngx_int_t
ngx_ivschat_access_handler(ngx_http_request_t *r)
{
    ngx_int_t                rc;
    ngx_ivschat_ctx_t       *ctx;
    ngx_ivschat_loc_conf_t  *conf;

    rc = ngx_ivschat_get_main_conf(r)->auth_basic(r);

    conf = ngx_ivschat_get_conf(r);

    if (rc == NGX_OK && conf->uri.len) {

        ctx = ngx_ivschat_create_ctx(r);
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        ctx->basic_checked = 1;
    }

    return rc;
}


static ngx_ivschat_ctx_t *
ngx_ivschat_create_ctx(ngx_http_request_t *r)
{
    ngx_ivschat_ctx_t   *ctx;
    ngx_pool_cleanup_t  *cln;
    ngx_http_cleanup_t  *http_cln;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);
    if (ctx) {
        return ctx;
    }

    /*
     * The first cleanup only marks the context, which nginx forgets at an
     * internal redirect; the second is called before the request is logged.
     */

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_ivschat_ctx_t));
    http_cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL || http_cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_ivschat_ctx_t));

    cln->handler = ngx_ivschat_ctx_mark;
    http_cln->handler = ngx_ivschat_ctx_cleanup;
    http_cln->data = ctx;

    ctx->request = r;

    ctx->deadline.handler = ngx_ivschat_deadline_handler;
    ctx->deadline.data = r->connection;
    ctx->deadline.log = r->connection->log;

    ctx->pause.handler = ngx_ivschat_pause_handler;
    ctx->pause.data = r->connection;
    ctx->pause.log = r->connection->log;

    ctx->place.handler = ngx_ivschat_rate_handler;
    ctx->place.data = ctx;
    ctx->place.timer.data = r->connection;
    ctx->place.timer.log = r->connection->log;

    ctx->waiter.handler = ngx_ivschat_creds_handler;
    ctx->waiter.data = ctx;

    ngx_http_set_ctx(r, ctx, ngx_http_ivschat_token_module);

    return ctx;
}


ngx_ivschat_ctx_t *
ngx_ivschat_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_ivschat_ctx_mark) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_ivschat_ctx_mark(void *data)
{
    /* the pool frees the context */
}


static void
ngx_ivschat_ctx_cleanup(void *data)
{
    ngx_ivschat_ctx_t  *ctx = data;

    ngx_ivschat_let_go(ctx);

    if (ctx->started && ctx->result == NGX_IVSCHAT_UNKNOWN) {
        ctx->result = NGX_IVSCHAT_ABORTED;
        ctx->end = ngx_current_msec;
    }
}
