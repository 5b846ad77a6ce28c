
/*
 * The buckets are in the shared zone.  Each worker has its own queues, and
 * polls for the first request of each.
 */


#include "ngx_ivschat_rate.h"
#include "../aws/ngx_ivschat_api.h"
#include "../creds/ngx_ivschat_nginx.h"


#define NGX_IVSCHAT_IDLE   3600000  /* ms until an account may be replaced */


/* The requests of this worker that wait for one account. */

struct ngx_ivschat_line_up_s {
    ngx_queue_t                  queues[2];  /* by ngx_ivschat_turn_e */
    ngx_event_t                  timer;
    ngx_connection_t             dummy;      /* for its debug log */

    ngx_ivschat_account_t       *account;
    ngx_ivschat_rate_conf_t     *rcf;
};


static ngx_int_t ngx_ivschat_rate_lines(ngx_cycle_t *cycle,
    ngx_ivschat_rate_conf_t *rcf);
static void ngx_ivschat_rate_timer(ngx_event_t *ev);
static void ngx_ivschat_rate_serve(ngx_ivschat_line_up_t *line,
    ngx_queue_t *queue, uint64_t *delay);
static void ngx_ivschat_rate_again(ngx_ivschat_line_up_t *line,
    uint64_t delay);
static void ngx_ivschat_rate_dequeue(ngx_ivschat_place_t *place);
static ngx_ivschat_account_t *ngx_ivschat_rate_account(
    ngx_ivschat_rate_conf_t *rcf, u_char *pair, size_t len);
static size_t ngx_ivschat_rate_name(ngx_str_t *arn, u_char *pair);


#define ngx_ivschat_rate_lock(rcf)     ngx_shmtx_lock(&(rcf)->shpool->mutex)
#define ngx_ivschat_rate_unlock(rcf)   ngx_shmtx_unlock(&(rcf)->shpool->mutex)


/* number [burst=n] [wait=time], or off */

char *
ngx_ivschat_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t                 n;
    ngx_str_t                *value, s;
    ngx_uint_t                i;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = (ngx_ivschat_rate_conf_t *) ((char *) conf + cmd->offset);

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
ngx_ivschat_rate_create(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf)
{
    rcf->rate = NGX_CONF_UNSET_UINT;
    rcf->burst = NGX_CONF_UNSET_UINT;
    rcf->wait = NGX_CONF_UNSET_MSEC;

    return ngx_array_init(&rcf->pairs, cf->pool, 4, sizeof(ngx_str_t));
}


void
ngx_ivschat_rate_defaults(ngx_ivschat_rate_conf_t *rcf)
{
    ngx_conf_init_uint_value(rcf->rate, 200);
    ngx_conf_init_uint_value(rcf->burst, 200);
    ngx_conf_init_msec_value(rcf->wait, 4000);
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


ngx_int_t
ngx_ivschat_rate_commit(ngx_cycle_t *cycle, ngx_ivschat_rate_conf_t *rcf)
{
    ngx_str_t              *pair;
    ngx_uint_t              i;
    ngx_ivschat_account_t  *account;

    if (rcf->accounts == NULL) {
        return NGX_OK;
    }

    ngx_ivschat_rate_lock(rcf);

    for (i = 0; i < NGX_IVSCHAT_ACCOUNTS; i++) {
        account = &rcf->accounts[i];

        account->configured = 0;

        if (account->len && rcf->rate) {
            ngx_ivschat_bucket_configure(&account->rate, rcf->rate, rcf->burst,
                                         ngx_current_msec);
        }
    }

    pair = rcf->pairs.elts;

    for (i = 0; i < rcf->pairs.nelts; i++) {
        account = ngx_ivschat_rate_account(rcf, pair[i].data, pair[i].len);

        if (account) {
            account->configured = 1;
        }
    }

    ngx_ivschat_rate_unlock(rcf);

    return ngx_ivschat_rate_lines(cycle, rcf);
}


/* Each worker has its own copy, since they are made before it forks. */

static ngx_int_t
ngx_ivschat_rate_lines(ngx_cycle_t *cycle, ngx_ivschat_rate_conf_t *rcf)
{
    ngx_uint_t              i;
    ngx_ivschat_line_up_t  *line;

    rcf->lines = ngx_pcalloc(cycle->pool, NGX_IVSCHAT_ACCOUNTS
                                          * sizeof(ngx_ivschat_line_up_t));
    if (rcf->lines == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < NGX_IVSCHAT_ACCOUNTS; i++) {
        line = &rcf->lines[i];

        ngx_queue_init(&line->queues[NGX_IVSCHAT_BUCKET_RETRY]);
        ngx_queue_init(&line->queues[NGX_IVSCHAT_BUCKET_FIRST]);

        line->account = &rcf->accounts[i];
        line->rcf = rcf;

        line->dummy.fd = (ngx_socket_t) -1;
        line->dummy.data = line;

        /* a request that waits has a timer that keeps the worker */

        line->timer.handler = ngx_ivschat_rate_timer;
        line->timer.data = &line->dummy;
        line->timer.log = cycle->log;
        line->timer.cancelable = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_ivschat_rate_find(ngx_ivschat_rate_conf_t *rcf, ngx_ivschat_place_t *place,
    ngx_str_t *arn, ngx_log_t *log)
{
    size_t  len;
    u_char  pair[NGX_IVSCHAT_PAIR_MAX];

    len = ngx_ivschat_rate_name(arn, pair);

    place->rcf = rcf;

    ngx_ivschat_rate_lock(rcf);

    place->account = ngx_ivschat_rate_account(rcf, pair, len);

    ngx_ivschat_rate_unlock(rcf);

    if (place->account == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "no token for room \"%V\": rooms of %d pairs of "
                      "account and region are in use, and no more are "
                      "possible", arn, NGX_IVSCHAT_ACCOUNTS);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* The account of this pair: its own, a free one, or one that is unused. */

static ngx_ivschat_account_t *
ngx_ivschat_rate_account(ngx_ivschat_rate_conf_t *rcf, u_char *pair, size_t len)
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
ngx_ivschat_rate_take(ngx_ivschat_place_t *place, ngx_uint_t retry,
    ngx_msec_t wait)
{
    uint64_t                  delay;
    ngx_ivschat_turn_e        turn;
    ngx_ivschat_bucket_e      rc;
    ngx_ivschat_line_up_t    *line;
    ngx_ivschat_rate_conf_t  *rcf;

    rcf = place->rcf;

    if (rcf->rate == 0) {
        return NGX_OK;
    }

    turn = retry ? NGX_IVSCHAT_BUCKET_RETRY : NGX_IVSCHAT_BUCKET_FIRST;

    ngx_ivschat_rate_lock(rcf);

    rc = ngx_ivschat_bucket_join(&place->account->rate, turn, ngx_current_msec,
                                 wait, &place->ticket, &delay);

    ngx_ivschat_rate_unlock(rcf);

    place->granted = ngx_current_msec;

    if (rc == NGX_IVSCHAT_BUCKET_GRANTED) {
        return NGX_OK;
    }

    if (rc != NGX_IVSCHAT_BUCKET_WAIT) {
        return NGX_BUSY;
    }

    line = &rcf->lines[place->account - rcf->accounts];

    ngx_queue_insert_tail(&line->queues[turn], &place->queue);

    place->queued = 1;

    ngx_ivschat_rate_again(line, delay);

    return NGX_AGAIN;
}


void
ngx_ivschat_rate_leave(ngx_ivschat_place_t *place)
{
    if (!place->queued) {
        return;
    }

    ngx_ivschat_rate_dequeue(place);

    ngx_ivschat_rate_lock(place->rcf);

    ngx_ivschat_bucket_leave(&place->account->rate, place->ticket,
                             ngx_current_msec);

    ngx_ivschat_rate_unlock(place->rcf);
}


static void
ngx_ivschat_rate_dequeue(ngx_ivschat_place_t *place)
{
    ngx_queue_remove(&place->queue);

    place->queued = 0;
    place->waited += ngx_current_msec - place->granted;
}


void
ngx_ivschat_rate_tell(ngx_ivschat_place_t *place, ngx_ivschat_call_e outcome)
{
    if (place->rcf->rate == 0) {
        return;
    }

    ngx_ivschat_rate_lock(place->rcf);

    ngx_ivschat_bucket_feedback(&place->account->rate, ngx_current_msec,
                                place->granted, outcome);

    ngx_ivschat_rate_unlock(place->rcf);
}


void
ngx_ivschat_rate_give_back(ngx_ivschat_place_t *place)
{
    if (place->rcf->rate == 0) {
        return;
    }

    ngx_ivschat_rate_lock(place->rcf);

    ngx_ivschat_bucket_give_back(&place->account->rate, ngx_current_msec);

    ngx_ivschat_rate_unlock(place->rcf);
}


ngx_uint_t
ngx_ivschat_rate_retry_after(ngx_ivschat_place_t *place)
{
    ngx_uint_t  seconds;

    if (place->account == NULL || place->rcf->rate == 0) {
        return 1 + ngx_random() % 3;
    }

    ngx_ivschat_rate_lock(place->rcf);

    /* nginx's random numbers have 31 bits */

    seconds = ngx_ivschat_bucket_retry_after(&place->account->rate,
                                             ngx_current_msec,
                                             (uint32_t) ngx_random() << 1);

    ngx_ivschat_rate_unlock(place->rcf);

    return seconds;
}


ngx_int_t
ngx_ivschat_rate_retry(ngx_ivschat_place_t *place, ngx_ivschat_retry_e cls)
{
    ngx_uint_t  cost;

    ngx_ivschat_rate_lock(place->rcf);

    cost = ngx_ivschat_retry_take(&place->account->quota, cls);

    ngx_ivschat_rate_unlock(place->rcf);

    if (cost == 0) {
        return NGX_DECLINED;
    }

    place->cost = cost;

    return NGX_OK;
}


void
ngx_ivschat_rate_success(ngx_ivschat_place_t *place)
{
    ngx_ivschat_rate_lock(place->rcf);

    ngx_ivschat_retry_success(&place->account->quota, place->cost);

    ngx_ivschat_rate_unlock(place->rcf);
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


/* Grants calls in the order of the queue; *delay: when to poll again. */

static void
ngx_ivschat_rate_serve(ngx_ivschat_line_up_t *line, ngx_queue_t *queue,
    uint64_t *delay)
{
    uint64_t              ms;
    ngx_queue_t          *q;
    ngx_ivschat_place_t  *place;
    ngx_ivschat_bucket_e  rc;

    while (!ngx_queue_empty(queue)) {

        q = ngx_queue_head(queue);
        place = ngx_queue_data(q, ngx_ivschat_place_t, queue);

        ngx_ivschat_rate_lock(line->rcf);

        rc = ngx_ivschat_bucket_poll(&line->account->rate, place->ticket,
                                     ngx_current_msec, &ms);

        ngx_ivschat_rate_unlock(line->rcf);

        if (rc == NGX_IVSCHAT_BUCKET_WAIT) {
            *delay = ngx_min(*delay, ms);
            return;
        }

        ngx_ivschat_rate_dequeue(place);

        place->granted = ngx_current_msec;

        place->handler(place->data, rc == NGX_IVSCHAT_BUCKET_GRANTED);
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
            return;                    /* it fires earlier */
        }

        ngx_del_timer(&line->timer);
    }

    ngx_add_timer(&line->timer, ms);
}
