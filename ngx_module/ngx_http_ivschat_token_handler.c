
/*
 * The way of one request: the content handler, the client's body, and the
 * end.  What is between is in _attempts.c.
 */


#include "ngx_http_ivschat_token_module.h"
#include "ngx_http_ivschat_token_credentials.h"
#include "ngx_http_ivschat_token_rate.h"


static ngx_int_t ngx_http_ivschat_token_refuse(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result);
static void ngx_http_ivschat_token_body_handler(ngx_http_request_t *r);
static void ngx_http_ivschat_token_read_body(ngx_http_request_t *r);
static void ngx_http_ivschat_token_drop_body(ngx_http_request_t *r);
static void ngx_http_ivschat_token_body_error(ngx_http_request_t *r,
    ngx_int_t rc);
static void ngx_http_ivschat_token_end(ngx_http_ivschat_token_ctx_t *ctx,
    ngx_ivschat_result_e result);
static ngx_uint_t ngx_http_ivschat_token_retry_after(
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result);


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


void
ngx_http_ivschat_token_finish(ngx_http_request_t *r,
    ngx_http_ivschat_token_ctx_t *ctx, ngx_ivschat_result_e result,
    ngx_str_t *json)
{
    ngx_int_t   rc;
    ngx_uint_t  retry_after;

    ngx_http_ivschat_token_let_go(ctx);

    if (result == NGX_IVSCHAT_UNKNOWN) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_ivschat_token_end(ctx, result);

    if (result == NGX_IVSCHAT_OK) {
        rc = ngx_http_ivschat_token_send_token(r, json);

    } else {
        retry_after = ngx_http_ivschat_token_retry_after(ctx, result);

        rc = ngx_http_ivschat_token_send_error(r, ctx->conf, result,
                                               retry_after);
    }

    ngx_http_finalize_request(r, rc);
}


void
ngx_http_ivschat_token_let_go(ngx_http_ivschat_token_ctx_t *ctx)
{
    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_http_ivschat_token_rate_leave(ctx);
    ngx_http_ivschat_token_credentials_leave(&ctx->waiter);
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
ngx_http_ivschat_token_retry_after(ngx_http_ivschat_token_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    switch (result) {

    case NGX_IVSCHAT_THROTTLED:
        return ngx_http_ivschat_token_rate_retry_after(ctx);

    case NGX_IVSCHAT_NO_CREDENTIALS:
        return 5 + ngx_random() % 6;

    default:
        return 0;
    }
}
