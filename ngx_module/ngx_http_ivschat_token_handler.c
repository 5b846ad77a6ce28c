
/*
 * The way of one request: the content handler, the client's body, the
 * attempt, and the end.
 */


#include "ngx_http_ivschat_token_module.h"
#include "ngx_http_ivschat_token_credentials.h"


static ngx_int_t ngx_http_ivschat_token_refuse(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result);
static void ngx_http_ivschat_token_body_handler(ngx_http_request_t *r);
static void ngx_http_ivschat_token_read_body(ngx_http_request_t *r);
static void ngx_http_ivschat_token_drop_body(ngx_http_request_t *r);
static void ngx_http_ivschat_token_body_error(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_ivschat_token_start(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx);
static void ngx_http_ivschat_token_attempt(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx);
static void ngx_http_ivschat_token_credentials_come(void *data);
static ngx_uint_t ngx_http_ivschat_token_renew(
    ngx_http_ivschat_token_ctx_t *ctx);
static void ngx_http_ivschat_token_deadline(ngx_event_t *ev);
static void ngx_http_ivschat_token_finish(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result,
    ngx_str_t *json);
static void ngx_http_ivschat_token_end(ngx_http_ivschat_token_ctx_t *ctx,
    ngx_ivschat_result_e result);
static ngx_uint_t ngx_http_ivschat_token_retry_after(
    ngx_ivschat_result_e result);


ngx_int_t
ngx_http_ivschat_token_handler(ngx_http_request_t *r)
{
    ngx_int_t                           rc;
    ngx_ivschat_result_e                result;
    ngx_http_ivschat_token_ctx_t       *ctx;
    ngx_http_ivschat_token_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    if (r != r->main) {

        /* nginx does not run the access phase for subrequests */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "location \"%V\" mints no token for a subrequest",
                      &r->uri);

        return ngx_http_ivschat_token_send_error(r, conf,
                                             NGX_IVSCHAT_ROOM_FORBIDDEN, 0);
    }

    ctx = ngx_http_ivschat_token_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->conf = conf;
    ctx->started = 1;
    ctx->start = ngx_current_msec;

    if (!(r->method & conf->methods)) {
        return ngx_http_ivschat_token_refuse(r, ctx,
                                             NGX_IVSCHAT_METHOD_NOT_ALLOWED);
    }

    result = ngx_http_ivschat_token_policy(r, ctx);

    if (result != NGX_IVSCHAT_OK) {
        return ngx_http_ivschat_token_refuse(r, ctx, result);
    }

    /*
     * The client's body is read to its end, and thrown away as it comes,
     * before there is a subrequest: nginx would count the bytes still to be
     * discarded by the subrequest's length, and take the rest of the body for
     * the next request.
     */

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r,
                                         ngx_http_ivschat_token_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        r->main->count++;
        ngx_http_ivschat_token_body_error(r, rc);
    }

    return NGX_DONE;
}


/* Before the body was touched. */

static ngx_int_t
ngx_http_ivschat_token_refuse(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result)
{
    ngx_int_t  rc;

    if (result == NGX_IVSCHAT_UNKNOWN) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_ivschat_token_end(ctx, result);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_ivschat_token_send_error(r, ctx->conf, result, 0);
}


static void
ngx_http_ivschat_token_body_handler(ngx_http_request_t *r)
{
    if (r->reading_body) {
        r->read_event_handler = ngx_http_ivschat_token_read_body;
    }

    ngx_http_ivschat_token_read_body(r);
}


static void
ngx_http_ivschat_token_read_body(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = r->connection;

    if (c->read->timedout) {
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    for ( ;; ) {
        ngx_http_ivschat_token_drop_body(r);

        if (!r->reading_body) {
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_ivschat_token_body_error(r, rc);
            return;
        }

        /*
         * While its buffer is in use nginx reads no further, though there may
         * be more, and no event tells of it: only an empty chain means that
         * an event will come.
         */

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return;
        }
    }

    ngx_http_ivschat_token_start(r,
              ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module));
}


static void
ngx_http_ivschat_token_drop_body(ngx_http_request_t *r)
{
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    while (rb->bufs) {
        cl = rb->bufs;
        rb->bufs = cl->next;

        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;

        ngx_free_chain(r->pool, cl);
    }
}


static void
ngx_http_ivschat_token_body_error(ngx_http_request_t *r, ngx_int_t rc)
{
    ngx_ivschat_result_e           result;
    ngx_http_ivschat_token_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    if (rc == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        result = NGX_IVSCHAT_REQUEST_TOO_LARGE;

    } else if (rc == NGX_HTTP_BAD_REQUEST && !r->connection->error) {
        result = NGX_IVSCHAT_INVALID_REQUEST;

    } else {
        ngx_http_finalize_request(r, rc);
        return;
    }

    /* where the next request would begin is not known */

    r->keepalive = 0;

    ngx_http_ivschat_token_finish(r, ctx, result, NULL);
}


static void
ngx_http_ivschat_token_start(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx)
{
    r->read_event_handler = ngx_http_test_reading;
    r->connection->log->action = "requesting a chat token";

    /* the context's cleanup, which is there already, deletes the timer */

    ctx->deadline.handler = ngx_http_ivschat_token_deadline;
    ctx->deadline.data = r->connection;
    ctx->deadline.log = r->connection->log;

    ngx_add_timer(&ctx->deadline, ctx->conf->timeout);

    ngx_http_ivschat_token_attempt(r, ctx);
}


static void
ngx_http_ivschat_token_attempt(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx)
{
    switch (ngx_http_ivschat_token_send(r, ctx)) {

    case NGX_OK:
        return;

    case NGX_AGAIN:
        ctx->waiter.handler = ngx_http_ivschat_token_credentials_come;
        ctx->waiter.data = ctx;

        ngx_http_ivschat_token_credentials_wait(ctx->conf->credentials,
                                                &ctx->waiter);

        /* no event would tell of a client that has left before */

        if (r->connection->read->ready) {
            ngx_post_event(r->connection->read, &ngx_posted_events);
        }

        return;

    case NGX_DECLINED:
        ngx_http_ivschat_token_finish(r, ctx, NGX_IVSCHAT_NO_CREDENTIALS,
                                      NULL);
        return;

    default:
        ngx_http_ivschat_token_finish(r, ctx, NGX_IVSCHAT_UNKNOWN, NULL);
    }
}


/* Called out of turn: the events at hand are not of this connection. */

static void
ngx_http_ivschat_token_credentials_come(void *data)
{
    ngx_http_ivschat_token_ctx_t *ctx = data;

    ngx_connection_t  *c;

    c = ctx->request->connection;

    ngx_http_set_log_request(c->log, ctx->request);

    ngx_http_ivschat_token_attempt(ctx->request, ctx);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_ivschat_token_deadline(ngx_event_t *ev)
{
    ngx_connection_t              *c;
    ngx_http_ivschat_token_ctx_t  *ctx;

    c = ev->data;
    ctx = ngx_queue_data(ev, ngx_http_ivschat_token_ctx_t, deadline);

    ngx_http_set_log_request(c->log, ctx->request);

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "ivschat token deadline");

    ctx->timedout = 1;

    if (ctx->subrequest) {
        ngx_http_ivschat_token_cancel(ctx, NGX_HTTP_GATEWAY_TIME_OUT);

    } else {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "no AWS credentials from \"ivschat_token_credentials "
                      "%V\" within the %Mms of \"ivschat_token_timeout\"",
                      ngx_http_ivschat_token_credentials_name(
                                                  ctx->conf->credentials),
                      ctx->conf->timeout);

        ngx_http_ivschat_token_finish(ctx->request, ctx, NGX_IVSCHAT_TIMEOUT,
                                      NULL);
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_ivschat_token_resume(ngx_http_request_t *r)
{
    ngx_str_t                      json;
    ngx_ivschat_result_e           result;
    ngx_http_ivschat_token_ctx_t  *ctx;

    r->write_event_handler = ngx_http_request_empty_handler;

    ctx = ngx_http_get_module_ctx(r, ngx_http_ivschat_token_module);

    ngx_str_null(&json);

    result = ngx_http_ivschat_token_check_answer(r, ctx, &json);

    if (result == NGX_IVSCHAT_REJECTED && ngx_http_ivschat_token_renew(ctx)) {
        ngx_http_ivschat_token_attempt(r, ctx);
        return;
    }

    ngx_http_ivschat_token_finish(r, ctx, result, &json);
}


/* Credentials that AWS no longer takes are fetched anew, once. */

static ngx_uint_t
ngx_http_ivschat_token_renew(ngx_http_ivschat_token_ctx_t *ctx)
{
    if (ctx->renewed || !ngx_ivschat_expired_credentials(ctx->error.code)) {
        return 0;
    }

    ctx->renewed = 1;

    return ngx_http_ivschat_token_credentials_refuse(ctx->conf->credentials,
                                                     ctx->generation)
           == NGX_OK;
}


/* json may be NULL if there is no token. */

static void
ngx_http_ivschat_token_finish(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result,
    ngx_str_t *json)
{
    ngx_int_t  rc;

    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    ngx_http_ivschat_token_credentials_leave(&ctx->waiter);

    if (result == NGX_IVSCHAT_UNKNOWN) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_ivschat_token_end(ctx, result);

    if (result == NGX_IVSCHAT_OK) {
        rc = ngx_http_ivschat_token_send_token(r, json);

    } else {
        rc = ngx_http_ivschat_token_send_error(r, ctx->conf, result,
                                  ngx_http_ivschat_token_retry_after(result));
    }

    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_ivschat_token_end(ngx_http_ivschat_token_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ctx->result = result;
    ctx->end = ngx_current_msec;
}


/* In seconds, spread, so that those who wait do not come back together. */

static ngx_uint_t
ngx_http_ivschat_token_retry_after(ngx_ivschat_result_e result)
{
    switch (result) {

    case NGX_IVSCHAT_THROTTLED:
        return 1 + ngx_random() % 3;

    case NGX_IVSCHAT_NO_CREDENTIALS:
        return 5 + ngx_random() % 6;

    default:
        return 0;
    }
}
