
/*
 * The way of one request: the content handler and the end.  The client's body
 * is read in _client.c, and what follows it is in _attempts.c.
 */


#include "ngx_ivschat_token.h"
#include "../creds/ngx_ivschat_creds.h"
#include "ngx_ivschat_rate.h"


static ngx_int_t ngx_ivschat_refuse_early(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result);
static void ngx_ivschat_end(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);
static ngx_uint_t ngx_ivschat_seconds_to_retry(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result);


ngx_int_t
ngx_ivschat_handler(ngx_http_request_t *r)
{
    ngx_ivschat_ctx_t       *ctx;
    ngx_ivschat_result_e     result;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    if (r != r->main) {

        /* nginx does not run the access phase for subrequests */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "location \"%V\" mints no token for a subrequest",
                      &r->uri);

        return ngx_ivschat_send_error(r, conf, NGX_IVSCHAT_ROOM_FORBIDDEN, 0);
    }

    ctx = ngx_ivschat_create_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->conf = conf;
    ctx->started = 1;
    ctx->start = ngx_current_msec;

    if (!(r->method & conf->methods)) {
        return ngx_ivschat_refuse_early(r, ctx,
                                        NGX_IVSCHAT_METHOD_NOT_ALLOWED);
    }

    result = ngx_ivschat_policy_user(r, ctx);

    if (result == NGX_IVSCHAT_OK && !conf->client_body) {
        result = ngx_ivschat_policy(r, ctx);
    }

    if (result != NGX_IVSCHAT_OK) {
        return ngx_ivschat_refuse_early(r, ctx, result);
    }

    ngx_ivschat_read_body(r, ctx);

    return NGX_DONE;
}


/* Before the body was touched. */

static ngx_int_t
ngx_ivschat_refuse_early(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    ngx_int_t  rc;

    if (result == NGX_IVSCHAT_UNKNOWN) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_ivschat_end(ctx, result);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_ivschat_send_error(r, ctx->conf, result, 0);
}


void
ngx_ivschat_body_done(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_result_e  result;

    if (ctx->conf->client_body) {
        result = ngx_ivschat_policy(r, ctx);

        if (result != NGX_IVSCHAT_OK) {
            ngx_ivschat_finish(r, ctx, result, NULL);
            return;
        }
    }

    ngx_ivschat_start(r, ctx);
}


void
ngx_ivschat_finish(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result, ngx_str_t *json)
{
    ngx_int_t   rc;
    ngx_uint_t  retry_after;

    ngx_ivschat_let_go(ctx);

    if (result == NGX_IVSCHAT_UNKNOWN) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_ivschat_end(ctx, result);

    if (result == NGX_IVSCHAT_OK) {
        rc = ngx_ivschat_send_token(r, json);

    } else {
        retry_after = ngx_ivschat_seconds_to_retry(ctx, result);

        rc = ngx_ivschat_send_error(r, ctx->conf, result, retry_after);
    }

    ngx_http_finalize_request(r, rc);
}


void
ngx_ivschat_let_go(ngx_ivschat_ctx_t *ctx)
{
    if (ctx->deadline.timer_set) {
        ngx_del_timer(&ctx->deadline);
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    ngx_ivschat_rate_leave(ctx);
    ngx_ivschat_creds_leave(&ctx->waiter);
}


static void
ngx_ivschat_end(ngx_ivschat_ctx_t *ctx, ngx_ivschat_result_e result)
{
    ctx->result = result;
    ctx->end = ngx_current_msec;
}


/* In seconds, spread, so that those who wait do not come back together. */

static ngx_uint_t
ngx_ivschat_seconds_to_retry(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_result_e result)
{
    switch (result) {

    case NGX_IVSCHAT_THROTTLED:
        return ngx_ivschat_rate_retry_after(ctx);

    case NGX_IVSCHAT_NO_CREDENTIALS:
        return 5 + ngx_random() % 6;

    default:
        return 0;
    }
}
