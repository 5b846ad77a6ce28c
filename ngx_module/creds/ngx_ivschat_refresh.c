
/*
 * Refreshing credentials ahead of their expiry, in the background: one worker
 * fetches, all use what is there, and only a request that finds nothing waits.
 */


#include "ngx_ivschat_creds.h"
#include "ngx_ivschat_slot.h"


#define NGX_IVSCHAT_LEASE        (NGX_IVSCHAT_FETCH_LIMIT + 5000)
#define NGX_IVSCHAT_LOOK         60000   /* at the latest, ms */
#define NGX_IVSCHAT_LOOK_SOON    500     /* another one fetches */
#define NGX_IVSCHAT_LOOK_NOW     25      /* and somebody waits */


static ngx_uint_t ngx_ivschat_refresh_pending(ngx_ivschat_slot_t *slot);
static void ngx_ivschat_refresh_timer(ngx_event_t *ev);
static void ngx_ivschat_refresh_fetch(ngx_ivschat_slot_t *slot);
static time_t ngx_ivschat_refresh_now(void *data);
static ngx_uint_t ngx_ivschat_refresh_note(void *data, time_t date,
    time_t sent);
static void ngx_ivschat_refresh_done(void *data,
    ngx_ivschat_credentials_t *creds, const char *error);
static time_t ngx_ivschat_refresh_next(ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds);
static void ngx_ivschat_refresh_failed(ngx_ivschat_slot_t *slot,
    const char *error, time_t refresh);
static void ngx_ivschat_refresh_again(ngx_ivschat_slot_t *slot, ngx_msec_t ms);
static ngx_msec_t ngx_ivschat_refresh_ms(time_t refresh);
static void ngx_ivschat_refresh_wake(ngx_ivschat_slot_t *slot);
static ngx_uint_t ngx_ivschat_refresh_sync(ngx_ivschat_slot_t *slot);
static ngx_uint_t ngx_ivschat_refresh_usable(ngx_ivschat_slot_t *slot);
static ngx_uint_t ngx_ivschat_refresh_current(ngx_ivschat_slot_t *slot);


void
ngx_ivschat_creds_start(ngx_cycle_t *cycle, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots, *slot;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        slot = slots[i];

        ngx_ivschat_watch_start(slot, cycle->log);

        if (slot->entry.shared == NULL) {
            continue;
        }

        if (ccf->http == NULL) {
            ccf->http = ngx_ivschat_curl_create(cycle->log);
        }

        if (ccf->http == NULL) {

            /*
             * An error here would leave nginx without workers; so only the
             * locations with these credentials have none.
             */

            return;
        }

        slot->http = ccf->http;
        slot->running = 1;

        ngx_queue_init(&slot->waiters);

        ngx_ivschat_slot_timer(slot, &slot->timer, ngx_ivschat_refresh_timer,
                               cycle->log);
        ngx_add_timer(&slot->timer, 1);
    }
}


void
ngx_ivschat_slot_timer(ngx_ivschat_slot_t *slot, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log)
{
    slot->dummy.fd = (ngx_socket_t) -1;
    slot->dummy.data = slot;

    ev->handler = handler;
    ev->data = &slot->dummy;
    ev->log = log;
    ev->cancelable = 1;
}


void
ngx_ivschat_creds_stop(ngx_ivschat_creds_conf_t *ccf)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots, *slot;

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        slot = slots[i];

        if (slot->watch.timer_set) {
            ngx_del_timer(&slot->watch);
        }

        if (slot->timer.timer_set) {
            ngx_del_timer(&slot->timer);
        }

        if (slot->fetch) {
            ngx_ivschat_fetch_cancel(slot->fetch);
            slot->fetch = NULL;
        }

        slot->running = 0;
    }

    if (ccf->http) {
        ngx_ivschat_curl_destroy(ccf->http);
        ccf->http = NULL;
    }
}


time_t
ngx_ivschat_creds_time(ngx_ivschat_creds_conf_t *ccf)
{
    return ngx_time() + (time_t) ccf->root->skew;
}


ngx_int_t
ngx_ivschat_creds_get(ngx_ivschat_slot_t *slot, ngx_ivschat_creds_t *creds)
{
    (void) ngx_ivschat_refresh_sync(slot);

    if (!ngx_ivschat_refresh_current(slot)
        && ngx_ivschat_refresh_pending(slot))
    {
        return NGX_AGAIN;
    }

    /* what has expired is used until AWS refuses it */

    if (!ngx_ivschat_refresh_usable(slot)) {
        return NGX_DECLINED;
    }

    creds->access_key.data = (u_char *) slot->creds.access_key;
    creds->access_key.len = slot->creds.access_key_len;
    creds->secret_key.data = (u_char *) slot->creds.secret_key;
    creds->secret_key.len = slot->creds.secret_key_len;
    creds->session_token.data = (u_char *) slot->creds.session_token;
    creds->session_token.len = slot->creds.session_token_len;

    creds->generation = slot->generation;
    creds->id = (slot->index << 48) | slot->generation;

    return NGX_OK;
}


/* Whether a fetch is under way, or may begin now. */

static ngx_uint_t
ngx_ivschat_refresh_pending(ngx_ivschat_slot_t *slot)
{
    time_t  refresh;

    if (!slot->running) {
        return 0;
    }

    switch (ngx_ivschat_zone_lease(&slot->entry, 0, &refresh)) {

    case NGX_IVSCHAT_LEASE_TAKEN:
        ngx_ivschat_refresh_again(slot, 1);
        return 1;

    case NGX_IVSCHAT_LEASE_HELD:
        ngx_ivschat_refresh_again(slot, NGX_IVSCHAT_LOOK_NOW);
        return 1;

    default:
        return 0;
    }
}


void
ngx_ivschat_creds_wait(ngx_ivschat_slot_t *slot, ngx_ivschat_waiter_t *waiter)
{
    waiter->waiting = 1;

    ngx_queue_insert_tail(&slot->waiters, &waiter->queue);
}


void
ngx_ivschat_creds_leave(ngx_ivschat_waiter_t *waiter)
{
    if (waiter->waiting) {
        waiter->waiting = 0;
        ngx_queue_remove(&waiter->queue);
    }
}


ngx_int_t
ngx_ivschat_creds_refuse(ngx_ivschat_slot_t *slot,
    ngx_atomic_uint_t generation)
{
    if (!slot->running) {
        return NGX_DECLINED;
    }

    ngx_ivschat_zone_refuse(&slot->entry, generation);

    return NGX_OK;
}


static void
ngx_ivschat_refresh_timer(ngx_event_t *ev)
{
    time_t               refresh;
    ngx_connection_t    *dummy;
    ngx_ivschat_slot_t  *slot;

    dummy = ev->data;
    slot = dummy->data;

    if (ngx_ivschat_refresh_sync(slot)) {
        ngx_ivschat_refresh_wake(slot);
    }

    if (slot->fetch || (ngx_exiting && ngx_queue_empty(&slot->waiters))) {
        return;
    }

    switch (ngx_ivschat_zone_lease(&slot->entry, NGX_IVSCHAT_LEASE, &refresh))
    {
    case NGX_IVSCHAT_LEASE_TAKEN:
        ngx_ivschat_refresh_fetch(slot);
        break;

    case NGX_IVSCHAT_LEASE_HELD:
        ngx_ivschat_refresh_again(slot,
                                  ngx_queue_empty(&slot->waiters)
                                  ? NGX_IVSCHAT_LOOK_SOON
                                  : NGX_IVSCHAT_LOOK_NOW);
        break;

    case NGX_IVSCHAT_LEASE_EARLY:

        /* another worker's fetch has failed */

        ngx_ivschat_refresh_wake(slot);
        ngx_ivschat_refresh_again(slot, ngx_ivschat_refresh_ms(refresh));
        break;

    case NGX_IVSCHAT_LEASE_STALE:
        ngx_ivschat_refresh_wake(slot);
    }
}


static void
ngx_ivschat_refresh_fetch(ngx_ivschat_slot_t *slot)
{
    ngx_ivschat_clock_t  clock;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, slot->timer.log, 0,
                   "ivschat token credentials fetch: \"%V\"",
                   &slot->found.name);

    clock.now = ngx_ivschat_refresh_now;
    clock.note = ngx_ivschat_refresh_note;
    clock.data = slot;

    slot->fetch = ngx_ivschat_fetch_start(slot->http, &slot->found.source,
                                          &clock, slot->timer.log,
                                          ngx_ivschat_refresh_done, slot);
    if (slot->fetch == NULL) {
        ngx_ivschat_refresh_done(slot, NULL, "out of memory");
    }
}


/* The time by AWS's clock. */

static time_t
ngx_ivschat_refresh_now(void *data)
{
    ngx_ivschat_slot_t  *slot = data;

    return ngx_time() + (slot->skew ? (time_t) *slot->skew : 0);
}


static ngx_uint_t
ngx_ivschat_refresh_note(void *data, time_t date, time_t sent)
{
    ngx_ivschat_slot_t  *slot = data;

    return ngx_ivschat_zone_skew(slot->skew, date, sent, slot->timer.log);
}


static void
ngx_ivschat_refresh_done(void *data, ngx_ivschat_credentials_t *creds,
    const char *error)
{
    ngx_ivschat_slot_t  *slot = data;

    time_t      refresh;
    ngx_uint_t  same;

    slot->fetch = NULL;

    same = creds && slot->generation
           && ngx_strcmp(slot->creds.access_key, creds->access_key) == 0;

    refresh = ngx_ivschat_refresh_next(slot, creds);

    if (ngx_ivschat_zone_publish(&slot->entry, creds, refresh) == NGX_OK) {

        if (creds == NULL) {
            ngx_ivschat_refresh_failed(slot, error, refresh);

        } else if (!same) {
            ngx_ivschat_creds_notice(slot->timer.log, slot, creds);
        }
    }

    (void) ngx_ivschat_refresh_sync(slot);

    ngx_ivschat_refresh_again(slot, ngx_ivschat_refresh_ms(refresh));
    ngx_ivschat_refresh_wake(slot);
}


/* When to fetch again, by this host's clock; creds is NULL after a failure. */

static time_t
ngx_ivschat_refresh_next(ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds)
{
    time_t                 now;
    uint32_t               ms;
    ngx_uint_t             current;
    ngx_ivschat_refresh_t  times;

    now = ngx_ivschat_refresh_now(slot);

    if (creds) {
        ngx_ivschat_refresh_times(now, creds->expiration, &times);

        return times.advisory == NGX_IVSCHAT_NEVER
               ? (time_t) times.advisory
               : (time_t) times.advisory - (now - ngx_time());
    }

    current = ngx_ivschat_refresh_current(slot);

    /* as of credentials that live long: which these are, or they end soon */

    ngx_ivschat_refresh_times(0, slot->creds.expiration, &times);

    ms = ngx_ivschat_refresh_delay(current ? &times : NULL, now,
                                   slot->entry.shared->failures + 1,
                                   (uint32_t) ngx_random());

    return ngx_time() + (ms + 999) / 1000;
}


static void
ngx_ivschat_refresh_failed(ngx_ivschat_slot_t *slot, const char *error,
    time_t refresh)
{
    ngx_uint_t   level;
    const char  *now;

    level = NGX_LOG_ERR;

    if (ngx_ivschat_refresh_current(slot)) {
        level = NGX_LOG_WARN;
        now = "those at hand are used on";

    } else if (ngx_ivschat_refresh_usable(slot)) {
        now = "those at hand, which have expired, are used until AWS refuses "
              "them";

    } else {
        now = "no tokens are minted with them";
    }

    ngx_log_error(level, slot->timer.log, 0,
                  "no AWS credentials could be fetched from \"%V\": %s%s%V; "
                  "%s, next try in %T s",
                  &slot->found.name, error, slot->found.tried.len ? "; " : "",
                  &slot->found.tried, now, refresh - ngx_time());
}


static void
ngx_ivschat_refresh_again(ngx_ivschat_slot_t *slot, ngx_msec_t ms)
{
    if (slot->timer.timer_set) {

        if ((ngx_msec_int_t) (slot->timer.timer.key - ngx_current_msec - ms)
            <= 0)
        {
            return;                    /* it fires before */
        }

        ngx_del_timer(&slot->timer);
    }

    ngx_add_timer(&slot->timer, ms);
}


/* Not too long: the clock may be set, and the machine may sleep. */

static ngx_msec_t
ngx_ivschat_refresh_ms(time_t refresh)
{
    time_t  now;

    now = ngx_time();

    if (refresh <= now) {
        return NGX_IVSCHAT_LOOK_SOON;
    }

    if (refresh - now > NGX_IVSCHAT_LOOK / 1000) {
        return NGX_IVSCHAT_LOOK;
    }

    /* spread, so that the workers do not ask for the lease together */

    return (ngx_msec_t) (refresh - now) * 1000 + ngx_random() % 200;
}


/* Those who wait ask again, and may then wait again. */

static void
ngx_ivschat_refresh_wake(ngx_ivschat_slot_t *slot)
{
    ngx_queue_t            waiters, *q;
    ngx_ivschat_waiter_t  *waiter;

    if (ngx_queue_empty(&slot->waiters)) {
        return;
    }

    ngx_queue_init(&waiters);
    ngx_queue_add(&waiters, &slot->waiters);
    ngx_queue_init(&slot->waiters);

    while (!ngx_queue_empty(&waiters)) {
        q = ngx_queue_head(&waiters);
        waiter = ngx_queue_data(q, ngx_ivschat_waiter_t, queue);

        ngx_ivschat_creds_leave(waiter);

        waiter->handler(waiter->data);
    }
}


/* Takes over what another worker has published; whether there was anything. */

static ngx_uint_t
ngx_ivschat_refresh_sync(ngx_ivschat_slot_t *slot)
{
    if (!slot->running || slot->entry.shared->generation == slot->generation) {
        return 0;
    }

    return ngx_ivschat_zone_read(&slot->entry, &slot->creds,
                                 &slot->generation)
           == NGX_OK;
}


/* There are credentials, and AWS has not refused them. */

static ngx_uint_t
ngx_ivschat_refresh_usable(ngx_ivschat_slot_t *slot)
{
    return slot->generation != 0
           && (slot->entry.shared == NULL
               || slot->entry.shared->refused != slot->generation);
}


/* They also have not expired. */

static ngx_uint_t
ngx_ivschat_refresh_current(ngx_ivschat_slot_t *slot)
{
    return ngx_ivschat_refresh_usable(slot)
           && (slot->creds.expiration == 0
               || slot->creds.expiration
                  > (int64_t) ngx_ivschat_refresh_now(slot));
}
