
/*
 * The attempts of one request: a place in the rate, a signature, an answer,
 * and perhaps another one after a pause, all of it before one deadline.
 */


#include "ngx_ivschat_token.h"
#include "../creds/ngx_ivschat_creds.h"
#include "ngx_ivschat_rate.h"
#include "../creds/ngx_ivschat_zone.h"
#include "../aws/ngx_ivschat_skew.h"


static void ngx_ivschat_next(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_no_place(ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_attempt(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_creds_come(void *data);
static void ngx_ivschat_timer(ngx_event_t *ev);
static void ngx_ivschat_deadline(ngx_event_t *ev);
static ngx_uint_t ngx_ivschat_from_aws(ngx_ivschat_ctx_t *ctx);
static void ngx_ivschat_report(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);
static void ngx_ivschat_note_skew(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static ngx_uint_t ngx_ivschat_again(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result);
static ngx_uint_t ngx_ivschat_at_once(ngx_ivschat_ctx_t *ctx);
static ngx_ivschat_retry_e ngx_ivschat_class(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);
static void ngx_ivschat_look(ngx_http_request_t *r);


void
ngx_ivschat_start(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    r->read_event_handler = ngx_http_test_reading;
    r->connection->log->action = "requesting a chat token";

    /* the context's cleanup, which is there already, deletes the timers */

    ctx->deadline.handler = ngx_ivschat_deadline;
    ctx->deadline.data = r->connection;
    ctx->deadline.log = r->connection->log;

    ctx->timer.handler = ngx_ivschat_timer;
    ctx->timer.data = r->connection;
    ctx->timer.log = r->connection->log;

    if (ngx_ivschat_rate_find(r, ctx) != NGX_OK) {
        ngx_ivschat_finish(r, ctx, NGX_IVSCHAT_ROOM_NOT_FOUND, NULL);
        return;
    }

    ngx_ivschat_next(r, ctx);
}


/*
 * Every attempt takes a place in the account's rate.  The first one waits for
 * it as ivschat_token_rate says, the others until the deadline.
 */

static void
ngx_ivschat_next(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_msec_t                wait;
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_ivschat_token_module);

    wait = ctx->deadline.timer_set ? ctx->conf->timeout : mcf->rate.wait;

    switch (ngx_ivschat_rate_take(r, ctx, wait)) {

    case NGX_OK:
        ngx_ivschat_attempt(r, ctx);
        return;

    case NGX_AGAIN:
        if (!ctx->deadline.timer_set) {
            ngx_add_timer(&ctx->timer, wait);
        }

        ngx_ivschat_look(r);
        return;

    default:
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "too many requests wait for the rate of "
                      "\"ivschat_token_rate\"");

        ngx_ivschat_finish(r, ctx, NGX_IVSCHAT_THROTTLED, NULL);
    }
}


/* Called out of turn: the events at hand are not of this connection. */

void
ngx_ivschat_granted(ngx_ivschat_ctx_t *ctx, ngx_uint_t granted)
{
    ngx_connection_t  *c;

    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    if (granted) {
        ngx_ivschat_attempt(ctx->request, ctx);

    } else {
        ngx_ivschat_no_place(ctx);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_ivschat_no_place(ngx_ivschat_ctx_t *ctx)
{
    ngx_log_error(NGX_LOG_WARN, ctx->request->connection->log, 0,
                  "no token within the wait of \"ivschat_token_rate\"");

    ngx_ivschat_finish(ctx->request, ctx, NGX_IVSCHAT_THROTTLED, NULL);
}


static void
ngx_ivschat_attempt(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (!ctx->deadline.timer_set) {
        ngx_add_timer(&ctx->deadline, ctx->conf->timeout);
    }

    rc = ngx_ivschat_send(r, ctx);

    if (rc == NGX_OK) {
        return;
    }

    /* nobody was called: the place is the next one's */

    ngx_ivschat_rate_give_back(ctx);

    switch (rc) {

    case NGX_AGAIN:
        ctx->waiter.handler = ngx_ivschat_creds_come;
        ctx->waiter.data = ctx;

        ngx_ivschat_creds_wait(ctx->conf->credentials, &ctx->waiter);
        ngx_ivschat_look(r);
        return;

    case NGX_DECLINED:
        ngx_ivschat_finish(r, ctx, NGX_IVSCHAT_NO_CREDENTIALS, NULL);
        return;

    default:
        ngx_ivschat_finish(r, ctx, NGX_IVSCHAT_UNKNOWN, NULL);
    }
}


/* While a request waits, no event would tell of a client that left before. */

static void
ngx_ivschat_look(ngx_http_request_t *r)
{
    if (r->connection->read->ready) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
}


static void
ngx_ivschat_creds_come(void *data)
{
    ngx_ivschat_ctx_t  *ctx = data;

    ngx_connection_t  *c;

    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    /* all who have waited come at once, and take their places anew */

    ngx_ivschat_next(ctx->request, ctx);

    ngx_http_run_posted_requests(c);
}


/* The pause before an attempt is over, or the wait for the rate. */

static void
ngx_ivschat_timer(ngx_event_t *ev)
{
    ngx_connection_t   *c;
    ngx_ivschat_ctx_t  *ctx;

    c = ev->data;
    ctx = ngx_queue_data(ev, ngx_ivschat_ctx_t, timer);

    ngx_http_set_log_request(c->log, ctx->request);

    if (ctx->queued) {
        ngx_ivschat_no_place(ctx);

    } else {
        ngx_ivschat_next(ctx->request, ctx);
    }

    ngx_http_run_posted_requests(c);
}


static void
ngx_ivschat_deadline(ngx_event_t *ev)
{
    ngx_uint_t          waiting;
    ngx_connection_t   *c;
    ngx_ivschat_ctx_t  *ctx;

    c = ev->data;
    ctx = ngx_queue_data(ev, ngx_ivschat_ctx_t, deadline);

    ngx_http_set_log_request(c->log, ctx->request);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "ivschat token deadline");

    ctx->timedout = 1;

    if (ctx->subrequest) {
        ngx_ivschat_cancel(ctx, NGX_HTTP_GATEWAY_TIME_OUT);

    } else {

        waiting = ctx->waiter.waiting;

        if (waiting) {
            ngx_log_error(NGX_LOG_ERR, c->log, 0,
                          "no AWS credentials from "
                          "\"ivschat_token_credentials %V\" within the %Mms "
                          "of \"ivschat_token_timeout\"",
                          ngx_ivschat_creds_name(
                                                 ctx->conf->credentials),
                          ctx->conf->timeout);
        }

        /* what the last attempt has come to says more than the time */

        ngx_ivschat_finish(ctx->request, ctx,
                           (ctx->failure && !waiting)
                           ? ctx->failure : NGX_IVSCHAT_TIMEOUT,
                           NULL);
    }

    ngx_http_run_posted_requests(c);
}


/* The write event handler of a request whose subrequest is done. */

void
ngx_ivschat_resume(ngx_http_request_t *r)
{
    ngx_str_t             json;
    ngx_ivschat_ctx_t    *ctx;
    ngx_ivschat_result_e  result;

    r->write_event_handler = ngx_http_request_empty_handler;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    ngx_str_null(&json);

    result = ngx_ivschat_check_answer(r, ctx, &json);

    ngx_ivschat_report(ctx, result);
    ngx_ivschat_note_skew(r, ctx);

    if (result != NGX_IVSCHAT_OK && !ctx->timedout
        && ngx_ivschat_again(r, ctx, result))
    {
        return;
    }

    ngx_ivschat_finish(r, ctx, result, &json);
}


/* Not from somebody in between, if the operator wants to know. */

static ngx_uint_t
ngx_ivschat_from_aws(ngx_ivschat_ctx_t *ctx)
{
    return ctx->answer.aws_status != 0
           && (ctx->answer.tls || !ctx->conf->require_tls);
}


/* To the rate, and to the retry quota. */

static void
ngx_ivschat_report(ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result)
{
    ngx_ivschat_call_e  outcome;

    if (!ctx->answer.upstream) {

        /* limit_req in the internal location, say: AWS has not been asked */

        ngx_ivschat_rate_give_back(ctx);
        return;
    }

    if (!ngx_ivschat_from_aws(ctx)) {
        outcome = NGX_IVSCHAT_CALL_OTHER;

    } else if (result == NGX_IVSCHAT_THROTTLED) {
        outcome = NGX_IVSCHAT_CALL_THROTTLED;

    } else {
        outcome = NGX_IVSCHAT_CALL_OK;
    }

    ngx_ivschat_rate_tell(ctx, outcome);

    if (result == NGX_IVSCHAT_OK) {
        ngx_ivschat_rate_success(ctx);
    }
}


/* What the Date of an answer tells of this host's clock. */

static void
ngx_ivschat_note_skew(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_main_conf_t  *mcf;

    if (!ngx_ivschat_from_aws(ctx)
        || ctx->answer.date == NGX_ERROR || ctx->answer.old)
    {
        return;
    }

    mcf = ngx_http_get_module_main_conf(r, ngx_http_ivschat_token_module);

    ctx->skewed = ngx_ivschat_zone_skew(&mcf->creds.root->skew,
                                        ctx->answer.date,
                                        ctx->sent, r->connection->log);
}


/* Whether there will be another attempt. */

static ngx_uint_t
ngx_ivschat_again(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ngx_uint_t           cost;
    ngx_msec_t           pause;
    ngx_ivschat_retry_e  cls;

    ctx->failure = result;

    if (ngx_ivschat_at_once(ctx)) {
        ngx_ivschat_next(r, ctx);
        return 1;
    }

    cls = ngx_ivschat_class(ctx, result);

    if (cls == NGX_IVSCHAT_RETRY_NEVER || ctx->attempts >= ctx->conf->tries) {
        return 0;
    }

    pause = ngx_ivschat_retry_delay(cls, ctx->attempts - 1,
                                    (uint32_t) ngx_random() << 1,
                                    ngx_ivschat_retry_hint(
                        ngx_ivschat_pure(&ctx->answer.retry_after)));

    /* a pause beyond the deadline would only keep the client waiting */

    if ((ngx_msec_int_t) (ctx->deadline.timer.key - ngx_current_msec - pause)
        <= 0)
    {
        return 0;
    }

    cost = ngx_ivschat_rate_retry(ctx, cls);

    if (cost == 0) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "no further attempt, since too many have failed");
        return 0;
    }

    ctx->cost = cost;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ivschat token attempt:%ui failed, pause:%M",
                   ctx->attempts, pause);

    ngx_add_timer(&ctx->timer, ngx_max(pause, 1));
    ngx_ivschat_look(r);

    return 1;
}


/*
 * Credentials that AWS no longer takes are fetched anew, once; and once a
 * request is signed with the time that AWS has.
 */

static ngx_uint_t
ngx_ivschat_at_once(ngx_ivschat_ctx_t *ctx)
{
    if (!ctx->renewed && ngx_ivschat_expired_credentials(ctx->error.code)) {
        ctx->renewed = 1;

        return ngx_ivschat_creds_refuse(ctx->conf->credentials,
                                        ctx->generation)
               == NGX_OK;
    }

    if (!ctx->corrected && ctx->skewed && ctx->attempts < ctx->conf->tries
        && ngx_ivschat_skew_code(ctx->error.code))
    {
        ctx->corrected = 1;
        ctx->cost = ngx_ivschat_rate_retry(ctx, NGX_IVSCHAT_RETRY_TRANSIENT);
        return ctx->cost != 0;
    }

    return 0;
}


/*
 * What nginx itself answered, or what came from the wrong place, is not AWS's
 * and is never tried again.
 */

static ngx_ivschat_retry_e
ngx_ivschat_class(ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result)
{
    ngx_uint_t  status;

    if (!ctx->answer.upstream) {
        return NGX_IVSCHAT_RETRY_NEVER;
    }

    switch (result) {

    case NGX_IVSCHAT_REJECTED:

        /* RequestTimeout has the status 400 */

        if (!ngx_ivschat_from_aws(ctx)) {
            return NGX_IVSCHAT_RETRY_NEVER;
        }

        /* fall through */

    case NGX_IVSCHAT_UNAVAILABLE:
    case NGX_IVSCHAT_THROTTLED:
    case NGX_IVSCHAT_TIMEOUT:

        /* a 200 that broke off is no answer */

        status = ctx->answer.aws_status;

        return ngx_ivschat_retry_class(status == NGX_HTTP_OK ? 0 : status,
                                       ctx->error.code);

    default:
        return NGX_IVSCHAT_RETRY_NEVER;
    }
}
