
/*
 * Fetched credentials in shared memory.
 */


#include "ngx_ivschat_zone.h"
#include "../aws/ngx_ivschat_skew.h"


#define NGX_IVSCHAT_SKEW_STEP   10    /* seconds not worth a line */

/* one less than 0 */

#define NGX_IVSCHAT_AGE_NEW   ((ngx_uint_t) -1)


static void ngx_ivschat_zone_free(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t **first, ngx_uint_t age);
static ngx_uint_t ngx_ivschat_zone_same(ngx_ivschat_shared_t *sh,
    u_char *fingerprint);
static ngx_uint_t ngx_ivschat_zone_leased(ngx_ivschat_shared_t *sh);


ngx_uint_t
ngx_ivschat_zone_skew(ngx_atomic_t *skew, time_t date, time_t sent,
    ngx_log_t *log)
{
    int64_t  was, is;

    was = (int64_t) (ngx_atomic_int_t) *skew;
    is = ngx_ivschat_skew(was, date, sent, ngx_time());

    /* Date has whole seconds, and no two answers are equally long under way */

    if (is - was > NGX_IVSCHAT_SKEW_STEP
        || was - is > NGX_IVSCHAT_SKEW_STEP
        || (is == 0 && was != 0))
    {
        *skew = (ngx_atomic_uint_t) is;

        if (is) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "the clock of this host is %L seconds %s AWS's, "
                          "which requests are signed by from now on: set "
                          "the clock, by NTP say",
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

    /*
     * A slot takes whole pages of the slab, and a reload with other lines
     * needs as many again, twice.
     */

    pages = (sizeof(ngx_ivschat_shared_t) + ngx_pagesize - 1) / ngx_pagesize;

    return 3 * n * (pages + 1);
}


ngx_ivschat_shared_t *
ngx_ivschat_zone_slot(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t **first,
    u_char *fingerprint)
{
    ngx_ivschat_shared_t  *sh;

    ngx_shmtx_lock(&shpool->mutex);

    for (sh = *first; sh; sh = sh->next) {
        if (ngx_ivschat_zone_same(sh, fingerprint)) {
            break;
        }
    }

    if (sh == NULL) {
        sh = ngx_slab_calloc_locked(shpool, sizeof(ngx_ivschat_shared_t));
        if (sh) {
            ngx_memcpy(sh->fingerprint, fingerprint,
                       NGX_IVSCHAT_FINGERPRINT_LEN);
            sh->age = NGX_IVSCHAT_AGE_NEW;
            sh->next = *first;
            *first = sh;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return sh;
}


void
ngx_ivschat_zone_sweep(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t **first)
{
    ngx_shmtx_lock(&shpool->mutex);

    ngx_ivschat_zone_free(shpool, first, NGX_IVSCHAT_AGE_NEW);

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_ivschat_zone_use(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh)
{
    ngx_shmtx_lock(&shpool->mutex);

    sh->age = NGX_IVSCHAT_AGE_NEW;

    ngx_shmtx_unlock(&shpool->mutex);
}


void
ngx_ivschat_zone_age(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t **first)
{
    ngx_ivschat_shared_t  *sh;

    ngx_shmtx_lock(&shpool->mutex);

    for (sh = *first; sh; sh = sh->next) {
        sh->age++;
    }

    /*
     * Workers of the last configuration may still drain; those of the one
     * before find another fingerprint.
     */

    ngx_ivschat_zone_free(shpool, first, 2);

    ngx_shmtx_unlock(&shpool->mutex);
}


/* Those of this age. */

static void
ngx_ivschat_zone_free(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t **first,
    ngx_uint_t age)
{
    ngx_ivschat_shared_t  *sh, **p;

    p = first;

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
ngx_ivschat_zone_read(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh,
    u_char *fingerprint, ngx_ivschat_credentials_t *creds,
    ngx_atomic_uint_t *generation)
{
    ngx_int_t  rc;

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&shpool->mutex);

    if (ngx_ivschat_zone_same(sh, fingerprint)
        && sh->generation != *generation && sh->generation != 0)
    {
        *creds = sh->records[sh->generation & 1];
        *generation = sh->generation;
        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


ngx_ivschat_lease_e
ngx_ivschat_zone_lease(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh,
    u_char *fingerprint, ngx_msec_t ms, time_t *refresh)
{
    ngx_ivschat_lease_e  lease;

    ngx_shmtx_lock(&shpool->mutex);

    *refresh = sh->refresh;

    if (!ngx_ivschat_zone_same(sh, fingerprint)) {
        lease = NGX_IVSCHAT_LEASE_STALE;

    } else if (ngx_ivschat_zone_leased(sh)) {
        lease = NGX_IVSCHAT_LEASE_HELD;

    } else if (sh->refresh > ngx_time()) {
        lease = NGX_IVSCHAT_LEASE_EARLY;

    } else {
        lease = NGX_IVSCHAT_LEASE_TAKEN;

        sh->holder = ngx_pid;
        sh->expires = ngx_current_msec + ms;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return lease;
}


ngx_int_t
ngx_ivschat_zone_publish(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh,
    u_char *fingerprint, ngx_ivschat_credentials_t *creds, time_t refresh)
{
    ngx_int_t          rc;
    ngx_atomic_uint_t  generation;

    rc = NGX_DECLINED;

    ngx_shmtx_lock(&shpool->mutex);

    if (ngx_ivschat_zone_same(sh, fingerprint) && sh->holder == ngx_pid) {
        sh->refresh = refresh;

        if (creds) {
            generation = sh->generation + 1;

            sh->records[generation & 1] = *creds;

            ngx_memory_barrier();

            sh->generation = generation;
            sh->failures = 0;

            /* the old secrets are of no more use to anyone */

            ngx_explicit_memzero(&sh->records[(generation + 1) & 1],
                                 sizeof(ngx_ivschat_credentials_t));

        } else {
            sh->failures++;
        }

        sh->holder = 0;

        rc = NGX_OK;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return rc;
}


void
ngx_ivschat_zone_refuse(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh,
    u_char *fingerprint, ngx_atomic_uint_t generation)
{
    ngx_shmtx_lock(&shpool->mutex);

    if (ngx_ivschat_zone_same(sh, fingerprint)
        && sh->generation == generation && sh->refused != generation)
    {
        sh->refused = generation;

        if (sh->failures == 0) {
            sh->refresh = 0;
        }
    }

    ngx_shmtx_unlock(&shpool->mutex);
}


static ngx_uint_t
ngx_ivschat_zone_same(ngx_ivschat_shared_t *sh, u_char *fingerprint)
{
    return ngx_memcmp(sh->fingerprint, fingerprint,
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
