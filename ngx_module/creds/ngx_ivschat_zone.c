
/*
 * Fetched credentials in shared memory.
 */


#include "ngx_ivschat_zone.h"
#include "../aws/ngx_ivschat_retry.h"


#define NGX_IVSCHAT_SKEW_STEP   10      /* seconds not worth a line */
#define NGX_IVSCHAT_WANT        5000    /* ms of a pause, if requests wait */

/* one less than 0 */

#define NGX_IVSCHAT_AGE_NEW     ((ngx_uint_t) -1)

/*
 * Workers of the last configuration may still be shutting down; those of the
 * one before find another fingerprint.
 */

#define NGX_IVSCHAT_AGE_FREE    2


static void ngx_ivschat_zone_free(ngx_slab_pool_t *shpool,
    ngx_ivschat_creds_root_t *root, ngx_uint_t age);
static ngx_uint_t ngx_ivschat_zone_same(ngx_ivschat_shared_t *sh,
    ngx_ivschat_entry_t *entry);
static ngx_uint_t ngx_ivschat_zone_leased(ngx_ivschat_shared_t *sh);


ngx_uint_t
ngx_ivschat_zone_skew(ngx_atomic_t *skew, time_t date, time_t sent,
    ngx_log_t *log)
{
    int64_t  was, is;

    was = (int64_t) (ngx_atomic_int_t) *skew;
    is = ngx_ivschat_skew(was, date, sent, ngx_time());

    /* Date has whole seconds, and latency varies */

    if (is - was > NGX_IVSCHAT_SKEW_STEP
        || was - is > NGX_IVSCHAT_SKEW_STEP
        || (is == 0 && was != 0))
    {
        *skew = (ngx_atomic_uint_t) is;

        if (is) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "the clock of this host is %L seconds %s AWS's, "
                          "requests are signed with AWS's time: set the "
                          "clock, with NTP for example",
                          is < 0 ? -is : is, is < 0 ? "ahead of" : "behind");

        } else {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "the clock of this host is right again");
        }
    }

    return is != 0 || was != 0;
}


ngx_uint_t
ngx_ivschat_zone_pages(ngx_uint_t n)
{
    ngx_uint_t  pages;

    pages = (sizeof(ngx_ivschat_shared_t) + ngx_pagesize - 1) / ngx_pagesize;

    /* two reloads with other lines need as many each */

    return 3 * n * (pages + 1);
}


void
ngx_ivschat_zone_sweep(ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root)
{
    ngx_shmtx_lock(&shpool->mutex);

    ngx_ivschat_zone_free(shpool, root, NGX_IVSCHAT_AGE_NEW);

    ngx_shmtx_unlock(&shpool->mutex);
}


ngx_int_t
ngx_ivschat_zone_enter(ngx_ivschat_entry_t *entry, ngx_slab_pool_t *shpool,
    ngx_ivschat_creds_root_t *root)
{
    ngx_ivschat_shared_t  *sh;

    ngx_shmtx_lock(&shpool->mutex);

    for (sh = root->first; sh; sh = sh->next) {
        if (ngx_ivschat_zone_same(sh, entry)) {
            break;
        }
    }

    if (sh == NULL) {
        sh = ngx_slab_calloc_locked(shpool, sizeof(ngx_ivschat_shared_t));

        if (sh) {
            ngx_memcpy(sh->fingerprint, entry->fingerprint,
                       NGX_IVSCHAT_FINGERPRINT_LEN);
            sh->age = NGX_IVSCHAT_AGE_NEW;
            sh->next = root->first;
            root->first = sh;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    entry->shpool = shpool;
    entry->shared = sh;

    return sh ? NGX_OK : NGX_ERROR;
}


void
ngx_ivschat_zone_use(ngx_ivschat_entry_t *entry)
{
    ngx_shmtx_lock(&entry->shpool->mutex);

    entry->shared->age = NGX_IVSCHAT_AGE_NEW;

    ngx_shmtx_unlock(&entry->shpool->mutex);
}


void
ngx_ivschat_zone_age(ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root)
{
    ngx_ivschat_shared_t  *sh;

    ngx_shmtx_lock(&shpool->mutex);

    for (sh = root->first; sh; sh = sh->next) {
        sh->age++;
    }

    ngx_ivschat_zone_free(shpool, root, NGX_IVSCHAT_AGE_FREE);

    ngx_shmtx_unlock(&shpool->mutex);
}


/* Frees the records of this age. */

static void
ngx_ivschat_zone_free(ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root,
    ngx_uint_t age)
{
    ngx_ivschat_shared_t  *sh, **p;

    p = &root->first;

    while (*p) {
        sh = *p;

        if (sh->age == age) {
            *p = sh->next;
            ngx_explicit_memzero(sh, sizeof(ngx_ivschat_shared_t));
            ngx_slab_free_locked(shpool, sh);

        } else {
            p = &sh->next;
        }
    }
}


ngx_int_t
ngx_ivschat_zone_read(ngx_ivschat_entry_t *entry,
    ngx_ivschat_credentials_t *creds, ngx_atomic_uint_t *generation)
{
    ngx_int_t              rc;
    ngx_ivschat_shared_t  *sh;

    sh = entry->shared;
    rc = NGX_DECLINED;

    ngx_shmtx_lock(&entry->shpool->mutex);

    if (ngx_ivschat_zone_same(sh, entry)
        && sh->generation != *generation && sh->generation != 0)
    {
        *creds = sh->creds[sh->generation & 1];
        *generation = sh->generation;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&entry->shpool->mutex);

    return rc;
}


ngx_ivschat_lease_e
ngx_ivschat_zone_lease(ngx_ivschat_entry_t *entry, ngx_msec_t ms, time_t now,
    ngx_msec_t *wait)
{
    ngx_msec_int_t         left;
    ngx_ivschat_lease_e    lease;
    ngx_ivschat_shared_t  *sh;

    sh = entry->shared;
    *wait = 0;

    ngx_shmtx_lock(&entry->shpool->mutex);

    left = (ngx_msec_int_t) (sh->due - ngx_current_msec);

    if (!ngx_ivschat_zone_same(sh, entry)) {
        lease = NGX_IVSCHAT_LEASE_STALE;

    } else if (ngx_ivschat_zone_leased(sh)) {
        lease = NGX_IVSCHAT_LEASE_HELD;

    } else if (sh->paused && left > 0 && (int64_t) now < sh->refresh) {
        lease = NGX_IVSCHAT_LEASE_EARLY;
        *wait = left;

    } else {
        lease = NGX_IVSCHAT_LEASE_TAKEN;

        sh->paused = 0;
        sh->holder = ngx_pid;
        sh->expires = ngx_current_msec + ms;
    }

    ngx_shmtx_unlock(&entry->shpool->mutex);

    return lease;
}


void
ngx_ivschat_zone_want(ngx_ivschat_entry_t *entry)
{
    ngx_msec_t             due;
    ngx_ivschat_shared_t  *sh;

    sh = entry->shared;

    ngx_shmtx_lock(&entry->shpool->mutex);

    due = sh->since + NGX_IVSCHAT_WANT;

    if (ngx_ivschat_zone_same(sh, entry)
        && (ngx_msec_int_t) (sh->due - due) > 0)
    {
        sh->due = due;
    }

    ngx_shmtx_unlock(&entry->shpool->mutex);
}


ngx_int_t
ngx_ivschat_zone_publish(ngx_ivschat_entry_t *entry,
    ngx_ivschat_credentials_t *creds, ngx_ivschat_next_t *next)
{
    ngx_int_t              rc;
    ngx_ivschat_shared_t  *sh;

    sh = entry->shared;
    rc = NGX_DECLINED;

    ngx_shmtx_lock(&entry->shpool->mutex);

    if (ngx_ivschat_zone_same(sh, entry) && sh->holder == ngx_pid) {

        sh->holder = 0;
        sh->refresh = next->refresh;
        sh->failures = next->failures;
        sh->since = ngx_current_msec;
        sh->due = ngx_current_msec + next->ms;
        sh->paused = 1;

        if (creds) {
            sh->creds[(sh->generation + 1) & 1] = *creds;

            ngx_memory_barrier();

            sh->generation++;

            /* nobody needs the old secrets */

            ngx_ivschat_credentials_wipe(&sh->creds[(sh->generation + 1) & 1]);
        }

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&entry->shpool->mutex);

    return rc;
}


void
ngx_ivschat_zone_refuse(ngx_ivschat_entry_t *entry,
    ngx_atomic_uint_t generation)
{
    ngx_ivschat_shared_t  *sh;

    sh = entry->shared;

    ngx_shmtx_lock(&entry->shpool->mutex);

    if (ngx_ivschat_zone_same(sh, entry)
        && sh->generation == generation && sh->refused != generation)
    {
        sh->refused = generation;

        if (sh->failures == 0) {
            sh->paused = 0;
        }
    }

    ngx_shmtx_unlock(&entry->shpool->mutex);
}


static ngx_uint_t
ngx_ivschat_zone_same(ngx_ivschat_shared_t *sh, ngx_ivschat_entry_t *entry)
{
    return ngx_memcmp(sh->fingerprint, entry->fingerprint,
                      NGX_IVSCHAT_FINGERPRINT_LEN)
           == 0;
}


/* A lease ends with its time, or with its holder. */

static ngx_uint_t
ngx_ivschat_zone_leased(ngx_ivschat_shared_t *sh)
{
    if (sh->holder == 0
        || (ngx_msec_int_t) (sh->expires - ngx_current_msec) <= 0)
    {
        return 0;
    }

    return kill(sh->holder, 0) == 0 || ngx_errno != ESRCH;
}
