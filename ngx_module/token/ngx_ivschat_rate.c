
/*
 * The rate of an account, kept in the shared zone: all workers take their
 * places from it, and each asks for the first of those who wait in it.
 */


#include "ngx_ivschat_rate.h"


#define NGX_IVSCHAT_IDLE   3600000  /* ms until a bucket may go */


/* Those of this worker who wait for one bucket, by ngx_ivschat_turn_e. */

struct ngx_ivschat_line_up_s {
    ngx_queue_t          queues[2];
    ngx_event_t          timer;
    ngx_connection_t     dummy;                /* for its debug log */

    ngx_ivschat_account_t                *bucket;
    ngx_ivschat_rate_conf_t              *rcf;
};


static void ngx_ivschat_rate_timer(ngx_event_t *ev);
static void ngx_ivschat_rate_serve(ngx_ivschat_line_up_t *line,
    ngx_queue_t *queue, uint64_t *delay);
static void ngx_ivschat_rate_again(ngx_ivschat_line_up_t *line,
    uint64_t delay);
static ngx_ivschat_account_t *ngx_ivschat_rate_bucket(
    ngx_ivschat_rate_conf_t *rcf, u_char *pair, size_t len);
static size_t ngx_ivschat_rate_name(ngx_str_t *arn, u_char *pair);


static ngx_inline void
ngx_ivschat_rate_lock(ngx_ivschat_rate_conf_t *rcf)
{
    ngx_shmtx_lock(&rcf->shpool->mutex);
}


static ngx_inline void
ngx_ivschat_rate_unlock(ngx_ivschat_rate_conf_t *rcf)
{
    ngx_shmtx_unlock(&rcf->shpool->mutex);
}


static ngx_inline ngx_ivschat_rate_conf_t *
ngx_ivschat_rate_conf(ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(ctx->request,
                                        ngx_http_ivschat_token_module);
    return &mcf->rate;
}


/* number [burst=n] [wait=time], or off */

char *
ngx_ivschat_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_main_conf_t  *mcf = conf;

    ngx_ivschat_rate_conf_t  *rcf = &mcf->rate;

    ngx_int_t   n;
    ngx_str_t  *value, s;
    ngx_uint_t  i;

    if (rcf->rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {

        if (cf->args->nelts > 2) {
            return ngx_ivschat_invalid(cf, &value[2], "\"off\" stands alone");
        }

        rcf->rate = 0;
        return NGX_CONF_OK;
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n < 1 || n > 100000) {
        return ngx_ivschat_invalid(cf, &value[1],
                     "\"off\", or 1 to 100000 attempts a second, is needed");
    }

    rcf->rate = n;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "burst=", 6) == 0
            && rcf->burst == NGX_CONF_UNSET_UINT)
        {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n != NGX_ERROR && n >= 1 && n <= 100000) {
                rcf->burst = n;
                continue;
            }

            return ngx_ivschat_invalid(cf, &value[i],
                                       "1 to 100000 attempts are possible");
        }

        if (ngx_strncmp(value[i].data, "wait=", 5) == 0
            && rcf->wait == NGX_CONF_UNSET_MSEC)
        {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            n = ngx_parse_time(&s, 0);

            if (n != NGX_ERROR && n <= 60000) {
                rcf->wait = n;
                continue;
            }

            return ngx_ivschat_invalid(cf, &value[i],
                                       "a time up to \"60s\" is needed");
        }

        return ngx_ivschat_invalid(cf, &value[i],
                    "\"burst=number\" and \"wait=time\" may stand here, once");
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_ivschat_rate_pair(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf,
    ngx_str_t *arn)
{
    size_t      len;
    u_char      pair[NGX_IVSCHAT_PAIR_MAX];
    ngx_str_t  *known, *s;
    ngx_uint_t  i;

    len = ngx_ivschat_rate_name(arn, pair);

    if (len == 0) {
        return NGX_OK;                 /* a computed one */
    }

    known = rcf->pairs.elts;

    for (i = 0; i < rcf->pairs.nelts; i++) {
        if (known[i].len == len
            && ngx_memcmp(known[i].data, pair, len) == 0)
        {
            return NGX_OK;
        }
    }

    if (rcf->pairs.nelts == NGX_IVSCHAT_ACCOUNTS) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid value \"%V\" in \"ivschat_token_room\" "
                      "directive: rooms of more than %d pairs of account "
                      "and region are configured",
                      arn, NGX_IVSCHAT_ACCOUNTS);
        return NGX_ERROR;
    }

    s = ngx_array_push(&rcf->pairs);
    if (s == NULL) {
        return NGX_ERROR;
    }

    s->data = ngx_pnalloc(cf->pool, len);
    if (s->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(s->data, pair, len);
    s->len = len;

    return NGX_OK;
}


void
ngx_ivschat_rate_commit(ngx_ivschat_rate_conf_t *rcf)
{
    ngx_str_t              *pair;
    ngx_uint_t              i;
    ngx_ivschat_account_t  *b;

    b = rcf->accounts;

    if (b == NULL) {
        return;
    }

    ngx_ivschat_rate_lock(rcf);

    for (i = 0; i < NGX_IVSCHAT_ACCOUNTS; i++) {

        b[i].configured = 0;

        if (b[i].len && rcf->rate) {
            ngx_ivschat_bucket_configure(&b[i].rate, rcf->rate, rcf->burst,
                                         ngx_current_msec);
        }
    }

    pair = rcf->pairs.elts;

    for (i = 0; i < rcf->pairs.nelts; i++) {
        b = ngx_ivschat_rate_bucket(rcf, pair[i].data, pair[i].len);
        if (b) {
            b->configured = 1;
        }
    }

    ngx_ivschat_rate_unlock(rcf);
}


ngx_int_t
ngx_ivschat_rate_init(ngx_cycle_t *cycle, ngx_ivschat_rate_conf_t *rcf)
{
    ngx_uint_t              i;
    ngx_ivschat_line_up_t  *line;

    if (rcf->accounts == NULL) {
        return NGX_OK;
    }

    rcf->lines = ngx_pcalloc(cycle->pool,
                             NGX_IVSCHAT_ACCOUNTS
                             * sizeof(ngx_ivschat_line_up_t));
    if (rcf->lines == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_IVSCHAT_ACCOUNTS; i++) {
        line = &rcf->lines[i];

        ngx_queue_init(&line->queues[NGX_IVSCHAT_BUCKET_RETRY]);
        ngx_queue_init(&line->queues[NGX_IVSCHAT_BUCKET_FIRST]);

        line->bucket = &rcf->accounts[i];
        line->rcf = rcf;

        line->dummy.fd = (ngx_socket_t) -1;
        line->dummy.data = line;

        /* whoever waits has a timer that keeps the worker */

        line->timer.handler = ngx_ivschat_rate_timer;
        line->timer.data = &line->dummy;
        line->timer.log = cycle->log;
        line->timer.cancelable = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_ivschat_rate_find(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    size_t                    len;
    u_char                    pair[NGX_IVSCHAT_PAIR_MAX];
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = ngx_ivschat_rate_conf(ctx);

    len = ngx_ivschat_rate_name(&ctx->room, pair);

    ngx_ivschat_rate_lock(rcf);

    ctx->bucket = ngx_ivschat_rate_bucket(rcf, pair, len);

    ngx_ivschat_rate_unlock(rcf);

    if (ctx->bucket == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "no token for room \"%V\": rooms of %d pairs of "
                      "account and region are in use, and no more are "
                      "possible", &ctx->room, NGX_IVSCHAT_ACCOUNTS);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The pair's own, a free one, or that of a pair nobody asks for any longer. */

static ngx_ivschat_account_t *
ngx_ivschat_rate_bucket(ngx_ivschat_rate_conf_t *rcf, u_char *pair, size_t len)
{
    ngx_uint_t              i;
    ngx_ivschat_account_t  *b, *free;

    free = NULL;

    for (i = 0; i < NGX_IVSCHAT_ACCOUNTS; i++) {
        b = &rcf->accounts[i];

        if (b->len == len && ngx_memcmp(b->pair, pair, len) == 0) {
            b->used = ngx_current_msec;
            return b;
        }

        if (b->len == 0
            || (!b->configured
                && ngx_current_msec - b->used > NGX_IVSCHAT_IDLE
                && ngx_ivschat_bucket_waiting(&b->rate) == 0))
        {
            free = b;
        }
    }

    if (free) {
        ngx_memcpy(free->pair, pair, len);
        free->len = len;
        free->used = ngx_current_msec;
        free->configured = 0;

        ngx_ivschat_bucket_init(&free->rate, rcf->rate ? rcf->rate : 1,
                                rcf->burst, ngx_current_msec);
        ngx_ivschat_retry_init(&free->quota);
    }

    return free;
}


/* "123456789012/us-west-2"; 0 if it is no room's ARN. */

static size_t
ngx_ivschat_rate_name(ngx_str_t *arn, u_char *pair)
{
    u_char                 *p;
    ngx_ivschat_room_arn_t  parts;

    if (ngx_ivschat_room_arn_parse(ngx_ivschat_pure(arn), &parts) != 0) {
        return 0;
    }

    p = ngx_snprintf(pair, NGX_IVSCHAT_PAIR_MAX, "%*s/%*s",
                     ngx_min(parts.account.len, 32), parts.account.data,
                     parts.region.len, parts.region.data);

    return p - pair;
}


ngx_int_t
ngx_ivschat_rate_take(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_msec_t wait)
{
    uint64_t                   delay;
    ngx_ivschat_bucket_e       rc;
    ngx_ivschat_line_up_t     *line;
    ngx_ivschat_rate_conf_t   *rcf;
    ngx_ivschat_turn_e  turn;

    rcf = ngx_ivschat_rate_conf(ctx);

    if (rcf->rate == 0) {
        return NGX_OK;
    }

    turn = ctx->attempts ? NGX_IVSCHAT_BUCKET_RETRY : NGX_IVSCHAT_BUCKET_FIRST;

    ngx_ivschat_rate_lock(rcf);

    rc = ngx_ivschat_bucket_join(&ctx->bucket->rate, turn, ngx_current_msec,
                                 wait, &ctx->ticket, &delay);

    ngx_ivschat_rate_unlock(rcf);

    ctx->granted = ngx_current_msec;

    if (rc == NGX_IVSCHAT_BUCKET_GRANTED) {
        return NGX_OK;
    }

    if (rc != NGX_IVSCHAT_BUCKET_WAIT) {
        return NGX_BUSY;
    }

    line = &rcf->lines[ctx->bucket - rcf->accounts];

    ngx_queue_insert_tail(&line->queues[turn], &ctx->queue);

    ctx->queued = 1;

    ngx_ivschat_rate_again(line, delay);

    return NGX_AGAIN;
}


void
ngx_ivschat_rate_leave(ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_rate_conf_t  *rcf;

    if (!ctx->queued) {
        return;
    }

    ctx->queued = 0;
    ctx->waited += ngx_current_msec - ctx->granted;

    ngx_queue_remove(&ctx->queue);

    rcf = ngx_ivschat_rate_conf(ctx);

    ngx_ivschat_rate_lock(rcf);

    ngx_ivschat_bucket_leave(&ctx->bucket->rate, ctx->ticket, ngx_current_msec);

    ngx_ivschat_rate_unlock(rcf);
}


void
ngx_ivschat_rate_tell(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_call_e outcome)
{
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = ngx_ivschat_rate_conf(ctx);

    if (rcf->rate == 0) {
        return;
    }

    ngx_ivschat_rate_lock(rcf);

    ngx_ivschat_bucket_feedback(&ctx->bucket->rate, ngx_current_msec,
                                ctx->granted, outcome);

    ngx_ivschat_rate_unlock(rcf);
}


void
ngx_ivschat_rate_give_back(ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = ngx_ivschat_rate_conf(ctx);

    if (rcf->rate == 0) {
        return;
    }

    ngx_ivschat_rate_lock(rcf);

    ngx_ivschat_bucket_give_back(&ctx->bucket->rate, ngx_current_msec);

    ngx_ivschat_rate_unlock(rcf);
}


ngx_uint_t
ngx_ivschat_rate_retry_after(ngx_ivschat_ctx_t *ctx)
{
    ngx_uint_t                seconds;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = ngx_ivschat_rate_conf(ctx);

    if (rcf->rate == 0 || ctx->bucket == NULL) {
        return 1 + ngx_random() % 3;
    }

    ngx_ivschat_rate_lock(rcf);

    /* nginx's random numbers have 31 bits */

    seconds = ngx_ivschat_bucket_retry_after(&ctx->bucket->rate,
                                             ngx_current_msec,
                                             (uint32_t) ngx_random() << 1);

    ngx_ivschat_rate_unlock(rcf);

    return seconds;
}


ngx_uint_t
ngx_ivschat_rate_retry(ngx_ivschat_ctx_t *ctx, ngx_ivschat_retry_e cls)
{
    ngx_uint_t                cost;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = ngx_ivschat_rate_conf(ctx);

    ngx_ivschat_rate_lock(rcf);

    cost = ngx_ivschat_retry_take(&ctx->bucket->quota, cls);

    ngx_ivschat_rate_unlock(rcf);

    return cost;
}


void
ngx_ivschat_rate_success(ngx_ivschat_ctx_t *ctx)
{
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = ngx_ivschat_rate_conf(ctx);

    ngx_ivschat_rate_lock(rcf);

    ngx_ivschat_retry_success(&ctx->bucket->quota, ctx->cost);

    ngx_ivschat_rate_unlock(rcf);
}


static void
ngx_ivschat_rate_timer(ngx_event_t *ev)
{
    uint64_t                delay;
    ngx_connection_t       *dummy;
    ngx_ivschat_line_up_t  *line;

    dummy = ev->data;
    line = dummy->data;
    delay = NGX_IVSCHAT_BUCKET_POLL;

    ngx_ivschat_rate_serve(line, &line->queues[NGX_IVSCHAT_BUCKET_RETRY],
                           &delay);
    ngx_ivschat_rate_serve(line, &line->queues[NGX_IVSCHAT_BUCKET_FIRST],
                           &delay);

    if (!ngx_queue_empty(&line->queues[NGX_IVSCHAT_BUCKET_RETRY])
        || !ngx_queue_empty(&line->queues[NGX_IVSCHAT_BUCKET_FIRST]))
    {
        ngx_ivschat_rate_again(line, delay);
    }
}


/* All whose turn it is, in their order. */

static void
ngx_ivschat_rate_serve(ngx_ivschat_line_up_t *line, ngx_queue_t *queue,
    uint64_t *delay)
{
    uint64_t              ms;
    ngx_queue_t          *q;
    ngx_ivschat_ctx_t    *ctx;
    ngx_ivschat_bucket_e  rc;

    while (!ngx_queue_empty(queue)) {

        q = ngx_queue_head(queue);
        ctx = ngx_queue_data(q, ngx_ivschat_ctx_t, queue);

        ngx_ivschat_rate_lock(line->rcf);

        rc = ngx_ivschat_bucket_poll(&line->bucket->rate, ctx->ticket,
                                     ngx_current_msec, &ms);

        ngx_ivschat_rate_unlock(line->rcf);

        if (rc == NGX_IVSCHAT_BUCKET_WAIT) {
            *delay = ngx_min(*delay, ms);
            return;
        }

        ngx_queue_remove(q);

        ctx->queued = 0;
        ctx->waited += ngx_current_msec - ctx->granted;
        ctx->granted = ngx_current_msec;

        ngx_ivschat_granted(ctx, rc == NGX_IVSCHAT_BUCKET_GRANTED);
    }
}


static void
ngx_ivschat_rate_again(ngx_ivschat_line_up_t *line, uint64_t delay)
{
    ngx_msec_t  ms;

    ms = (ngx_msec_t) ngx_max(delay, 1);

    if (line->timer.timer_set) {

        if ((ngx_msec_int_t) (line->timer.timer.key - ngx_current_msec - ms)
            <= 0)
        {
            return;                    /* it fires before */
        }

        ngx_del_timer(&line->timer);
    }

    ngx_add_timer(&line->timer, ms);
}
