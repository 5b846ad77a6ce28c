
/*
 * The credentials of one slot, in a worker.
 */


#include "ngx_ivschat_slot.h"


/* Milliseconds. */

#define NGX_IVSCHAT_LEASE        (NGX_IVSCHAT_FETCH_LIMIT + 5000)
#define NGX_IVSCHAT_LOOK         60000   /* the machine may sleep */
#define NGX_IVSCHAT_LOOK_SOON    500     /* another worker fetches */
#define NGX_IVSCHAT_LOOK_NOW     25      /* and a request waits for it */
#define NGX_IVSCHAT_SPREAD       200     /* between the workers */
#define NGX_IVSCHAT_WATCH        5000

#define NGX_IVSCHAT_REFRESH_MAX  86400   /* seconds */


static void ngx_ivschat_slot_event(ngx_ivschat_slot_t *slot, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log);
static ngx_uint_t ngx_ivschat_slot_pending(ngx_ivschat_slot_t *slot);
static void ngx_ivschat_slot_timer(ngx_event_t *ev);
static void ngx_ivschat_slot_fetch(ngx_ivschat_slot_t *slot);
static time_t ngx_ivschat_slot_now(void *data);
static ngx_uint_t ngx_ivschat_slot_note(void *data, time_t date, time_t sent);
static void ngx_ivschat_slot_done(void *data, ngx_ivschat_credentials_t *creds,
    const char *error);
static void ngx_ivschat_slot_schedule(ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds, time_t now, ngx_ivschat_next_t *next);
static void ngx_ivschat_slot_failed(ngx_ivschat_slot_t *slot,
    const char *error, ngx_ivschat_next_t *next);
static void ngx_ivschat_slot_again(ngx_ivschat_slot_t *slot, ngx_msec_t ms);
static void ngx_ivschat_slot_wake(ngx_ivschat_slot_t *slot);
static ngx_uint_t ngx_ivschat_slot_sync(ngx_ivschat_slot_t *slot);
static ngx_uint_t ngx_ivschat_slot_usable(ngx_ivschat_slot_t *slot);
static ngx_uint_t ngx_ivschat_slot_current(ngx_ivschat_slot_t *slot);

static void ngx_ivschat_watch_start(ngx_ivschat_slot_t *slot, ngx_log_t *log);
static void ngx_ivschat_watch_timer(ngx_event_t *ev);
static ngx_uint_t ngx_ivschat_watch_changed(ngx_ivschat_slot_t *slot);
static void ngx_ivschat_watch_reread(ngx_ivschat_slot_t *slot);


void
ngx_ivschat_slot_start(ngx_ivschat_slot_t *slot, ngx_ivschat_curl_t *http,
    ngx_log_t *log)
{
    if (slot->found.keys) {
        ngx_ivschat_watch_start(slot, log);
    }

    if (slot->entry.shared == NULL || http == NULL) {
        return;
    }

    slot->http = http;
    slot->running = 1;

    ngx_queue_init(&slot->waiters);

    ngx_ivschat_slot_event(slot, &slot->timer, ngx_ivschat_slot_timer, log);
    ngx_add_timer(&slot->timer, 1);
}


static void
ngx_ivschat_slot_event(ngx_ivschat_slot_t *slot, ngx_event_t *ev,
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
ngx_ivschat_slot_stop(ngx_ivschat_slot_t *slot)
{
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


void
ngx_ivschat_slot_notice(ngx_ivschat_slot_t *slot, ngx_log_t *log,
    ngx_ivschat_credentials_t *creds)
{
    size_t  n;

    n = ngx_min(creds->access_key_len, 4);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "AWS credentials from \"%V\": access key \"…%*s\"",
                  &slot->found.name, n,
                  creds->access_key + creds->access_key_len - n);
}


ngx_int_t
ngx_ivschat_creds_get(ngx_ivschat_slot_t *slot, ngx_ivschat_creds_t *creds)
{
    (void) ngx_ivschat_slot_sync(slot);

    if (!ngx_ivschat_slot_current(slot) && ngx_ivschat_slot_pending(slot)) {
        return NGX_AGAIN;
    }

    /* expired credentials are used until AWS rejects them */

    if (!ngx_ivschat_slot_usable(slot)) {
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


/* Whether a fetch is in progress, or may begin now. */

static ngx_uint_t
ngx_ivschat_slot_pending(ngx_ivschat_slot_t *slot)
{
    ngx_msec_t  wait;

    if (!slot->running) {
        return 0;
    }

    if (!ngx_ivschat_slot_usable(slot)) {
        ngx_ivschat_zone_want(&slot->entry);
    }

    switch (ngx_ivschat_zone_lease(&slot->entry, 0, ngx_ivschat_slot_now(slot),
                                   &wait))
    {
    case NGX_IVSCHAT_LEASE_TAKEN:
        ngx_ivschat_slot_again(slot, 1);
        return 1;

    case NGX_IVSCHAT_LEASE_HELD:
        ngx_ivschat_slot_again(slot, NGX_IVSCHAT_LOOK_NOW);
        return 1;

    case NGX_IVSCHAT_LEASE_EARLY:
        ngx_ivschat_slot_again(slot, wait);
        return 0;

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
ngx_ivschat_slot_timer(ngx_event_t *ev)
{
    ngx_msec_t           wait;
    ngx_connection_t    *dummy;
    ngx_ivschat_slot_t  *slot;

    dummy = ev->data;
    slot = dummy->data;

    if (ngx_ivschat_slot_sync(slot)) {
        ngx_ivschat_slot_wake(slot);
    }

    if (slot->fetch || (ngx_exiting && ngx_queue_empty(&slot->waiters))) {
        return;
    }

    switch (ngx_ivschat_zone_lease(&slot->entry, NGX_IVSCHAT_LEASE,
                                   ngx_ivschat_slot_now(slot), &wait))
    {
    case NGX_IVSCHAT_LEASE_TAKEN:
        ngx_ivschat_slot_fetch(slot);
        break;

    case NGX_IVSCHAT_LEASE_HELD:
        ngx_ivschat_slot_again(slot, ngx_queue_empty(&slot->waiters)
                                     ? NGX_IVSCHAT_LOOK_SOON
                                     : NGX_IVSCHAT_LOOK_NOW);
        break;

    case NGX_IVSCHAT_LEASE_EARLY:

        /* the fetch of another worker may have failed */

        ngx_ivschat_slot_wake(slot);
        ngx_ivschat_slot_again(slot, wait + ngx_random() % NGX_IVSCHAT_SPREAD);
        break;

    case NGX_IVSCHAT_LEASE_STALE:
        ngx_ivschat_slot_wake(slot);
    }
}


static void
ngx_ivschat_slot_fetch(ngx_ivschat_slot_t *slot)
{
    ngx_ivschat_clock_t  clock;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, slot->timer.log, 0,
                   "ivschat token credentials fetch: \"%V\"",
                   &slot->found.name);

    clock.now = ngx_ivschat_slot_now;
    clock.note = ngx_ivschat_slot_note;
    clock.data = slot;

    slot->fetch = ngx_ivschat_fetch_start(slot->http, &slot->found.source,
                                          &clock, slot->timer.log,
                                          ngx_ivschat_slot_done, slot);
    if (slot->fetch == NULL) {
        ngx_ivschat_slot_done(slot, NULL, "out of memory");
    }
}


/* The time by AWS's clock. */

static time_t
ngx_ivschat_slot_now(void *data)
{
    ngx_ivschat_slot_t  *slot = data;

    return ngx_time() + (slot->skew ? (ngx_atomic_int_t) *slot->skew : 0);
}


static ngx_uint_t
ngx_ivschat_slot_note(void *data, time_t date, time_t sent)
{
    ngx_ivschat_slot_t  *slot = data;

    return ngx_ivschat_zone_skew(slot->skew, date, sent, slot->timer.log);
}


/* A metadata service may answer with credentials that have expired. */

static void
ngx_ivschat_slot_done(void *data, ngx_ivschat_credentials_t *creds,
    const char *error)
{
    ngx_ivschat_slot_t  *slot = data;

    time_t              now;
    ngx_uint_t          same, expired;
    ngx_ivschat_next_t  next;

    slot->fetch = NULL;

    now = ngx_ivschat_slot_now(slot);
    expired = creds && creds->expiration && creds->expiration <= now;

    if (expired && ngx_ivschat_slot_current(slot)) {
        creds = NULL;
        error = "the credentials of the answer have expired";
    }

    same = creds && slot->generation
           && ngx_strcmp(slot->creds.access_key, creds->access_key) == 0;

    ngx_ivschat_slot_schedule(slot, creds, now, &next);

    if (ngx_ivschat_zone_publish(&slot->entry, creds, &next) == NGX_OK) {

        if (creds == NULL) {
            ngx_ivschat_slot_failed(slot, error, &next);

        } else if (!same) {
            ngx_ivschat_slot_notice(slot, slot->timer.log, creds);
        }

        if (creds && expired) {
            ngx_log_error(NGX_LOG_WARN, slot->timer.log, 0,
                          "the AWS credentials from \"%V\" expired %T s ago; "
                          "they are used until AWS rejects them, next try in "
                          "%M s; if they have not expired, set the clock of "
                          "this host",
                          &slot->found.name, now - (time_t) creds->expiration,
                          next.ms / 1000);
        }
    }

    (void) ngx_ivschat_slot_sync(slot);

    ngx_ivschat_slot_again(slot, next.ms + ngx_random() % NGX_IVSCHAT_SPREAD);
    ngx_ivschat_slot_wake(slot);
}


/* When to fetch again; creds is NULL after a failure. */

static void
ngx_ivschat_slot_schedule(ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds, time_t now, ngx_ivschat_next_t *next)
{
    ngx_uint_t             wait;
    ngx_ivschat_refresh_t  times;

    if (creds && (creds->expiration == 0 || creds->expiration > now)) {
        ngx_ivschat_refresh_times(now, creds->expiration, &times);

        next->refresh = times.advisory;
        next->ms = (ngx_msec_t) ngx_min(times.advisory - now,
                                        NGX_IVSCHAT_REFRESH_MAX)
                   * 1000;
        next->ms = ngx_max(next->ms, NGX_IVSCHAT_LOOK_SOON);
        next->failures = 0;

        return;
    }

    /* as for credentials with a long life: they need no early refresh */

    wait = creds || ngx_ivschat_slot_current(slot);
    ngx_ivschat_refresh_times(0, creds ? 0 : slot->creds.expiration, &times);

    next->refresh = NGX_IVSCHAT_NEVER;
    next->failures = slot->entry.shared->failures + 1;
    next->ms = ngx_ivschat_refresh_delay(wait ? &times : NULL, now,
                                         next->failures,
                                         (uint32_t) ngx_random());
}


static void
ngx_ivschat_slot_failed(ngx_ivschat_slot_t *slot, const char *error,
    ngx_ivschat_next_t *next)
{
    ngx_uint_t   level;
    const char  *now;

    level = NGX_LOG_ERR;

    if (ngx_ivschat_slot_current(slot)) {
        level = NGX_LOG_WARN;
        now = "the present ones stay in use";

    } else if (ngx_ivschat_slot_usable(slot)) {
        now = "the present ones, which have expired, are used until AWS "
              "rejects them";

    } else {
        now = "no tokens are minted with them";
    }

    ngx_log_error(level, slot->timer.log, 0,
                  "no AWS credentials could be fetched from \"%V\": %s%s%V; "
                  "%s, next try in %M s",
                  &slot->found.name, error, slot->found.tried.len ? "; " : "",
                  &slot->found.tried, now, (next->ms + 999) / 1000);
}


static void
ngx_ivschat_slot_again(ngx_ivschat_slot_t *slot, ngx_msec_t ms)
{
    ms = ngx_min(ms, NGX_IVSCHAT_LOOK);

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


/* The waiting requests ask again, and may then wait again. */

static void
ngx_ivschat_slot_wake(ngx_ivschat_slot_t *slot)
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


/* Copies what another worker has published; 0 if there is nothing new. */

static ngx_uint_t
ngx_ivschat_slot_sync(ngx_ivschat_slot_t *slot)
{
    if (!slot->running || slot->entry.shared->generation == slot->generation) {
        return 0;
    }

    return ngx_ivschat_zone_read(&slot->entry, &slot->creds,
                                 &slot->generation)
           == NGX_OK;
}


/* There are credentials, and AWS has not rejected them. */

static ngx_uint_t
ngx_ivschat_slot_usable(ngx_ivschat_slot_t *slot)
{
    return slot->generation != 0
           && (slot->entry.shared == NULL
               || slot->entry.shared->refused != slot->generation);
}


/* They also have not expired. */

static ngx_uint_t
ngx_ivschat_slot_current(ngx_ivschat_slot_t *slot)
{
    return ngx_ivschat_slot_usable(slot)
           && (slot->creds.expiration == 0
               || slot->creds.expiration
                  > (int64_t) ngx_ivschat_slot_now(slot));
}


/* Watches the shared files that have the keys, if the worker may read them. */

static void
ngx_ivschat_watch_start(ngx_ivschat_slot_t *slot, ngx_log_t *log)
{
    ngx_uint_t  i;
    ngx_str_t  *file;

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        file = &slot->found.files[i];

        if (file->len && access((char *) file->data, R_OK) != 0
            && ngx_errno == NGX_EACCES)
        {
            if (ngx_worker == 0) {
                ngx_log_error(NGX_LOG_NOTICE, log, 0,
                              "worker processes cannot read \"%V\": reload "
                              "nginx when it changes", file);
            }

            return;
        }
    }

    (void) ngx_ivschat_watch_changed(slot);

    ngx_ivschat_slot_event(slot, &slot->watch, ngx_ivschat_watch_timer, log);
    ngx_add_timer(&slot->watch, NGX_IVSCHAT_WATCH);
}


static void
ngx_ivschat_watch_timer(ngx_event_t *ev)
{
    ngx_connection_t    *dummy;
    ngx_ivschat_slot_t  *slot;

    dummy = ev->data;
    slot = dummy->data;

    if (ngx_exiting) {
        return;
    }

    if (ngx_ivschat_watch_changed(slot)) {
        ngx_ivschat_watch_reread(slot);
    }

    ngx_add_timer(ev, NGX_IVSCHAT_WATCH);
}


/* Whether a file has changed since the last call. */

static ngx_uint_t
ngx_ivschat_watch_changed(ngx_ivschat_slot_t *slot)
{
    ngx_uint_t        i, changed;
    ngx_str_t        *file;
    ngx_file_info_t   fi, *seen;

    changed = 0;

    for (i = 0; i < NGX_IVSCHAT_PROFILE_FILES; i++) {
        file = &slot->found.files[i];
        seen = &slot->seen[i];

        if (file->len == 0
            || ngx_file_info(file->data, &fi) == NGX_FILE_ERROR)
        {
            ngx_memzero(&fi, sizeof(ngx_file_info_t));
        }

        changed |= fi.st_ino != seen->st_ino || fi.st_size != seen->st_size
                   || ngx_memcmp(&fi.st_mtim, &seen->st_mtim,
                                 sizeof(struct timespec))
                      != 0;
        *seen = fi;
    }

    return changed;
}


static void
ngx_ivschat_watch_reread(ngx_ivschat_slot_t *slot)
{
    char                       reason[NGX_IVSCHAT_REASON_LEN];
    ngx_log_t                 *log;
    ngx_ivschat_credentials_t  creds;

    log = slot->watch.log;

    if (ngx_ivschat_reread(&slot->found, &creds, reason, sizeof(reason))
        == NGX_OK)
    {
        slot->found.creds = creds;

        if (!slot->fetched) {
            slot->creds = creds;
            slot->generation++;
        }

        if (ngx_worker == 0) {
            ngx_ivschat_slot_notice(slot, log, &creds);
        }

    } else {
        ngx_log_error(NGX_LOG_WARN, log, 0,
                      "the changed profile \"%V\" cannot be used: %s; the "
                      "present keys stay in use",
                      &slot->found.profile, reason);
    }

    ngx_ivschat_credentials_wipe(&creds);
}
