
/*
 * The shared zone: fetched credentials, one record for each distinct source,
 * and the lease of the worker that fetches them.
 *
 * Only the slab pool's mutex is taken, which the master unlocks should a
 * worker die with it, and never over I/O.  New credentials are written where
 * no worker reads, and published by one store.
 */


#ifndef _NGX_IVSCHAT_ZONE_H_INCLUDED_
#define _NGX_IVSCHAT_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "../aws/ngx_ivschat_credentials.h"


#define NGX_IVSCHAT_FINGERPRINT_LEN   64   /* hex */


typedef struct ngx_ivschat_shared_s  ngx_ivschat_shared_t;


struct ngx_ivschat_shared_s {
    ngx_ivschat_shared_t       *next;
    u_char                      fingerprint[NGX_IVSCHAT_FINGERPRINT_LEN];

    /* 0: nothing was published; its lowest bit says which set is valid */
    ngx_atomic_t                generation;
    ngx_ivschat_credentials_t   creds[2];

    ngx_atomic_t                refused;    /* a generation that AWS no longer
                                               takes */
    time_t                      refresh;    /* when to fetch; 0: now */
    ngx_uint_t                  failures;   /* in a row */

    ngx_pid_t                   holder;     /* of the lease; 0: free */
    ngx_msec_t                  expires;    /* the lease */

    ngx_uint_t                  age;        /* configurations since one has
                                               used it */
};


/* The part of the zone that is kept for credentials. */

typedef struct {
    ngx_ivschat_shared_t   *first;

    /* seconds, signed: how far this host's clock is behind AWS's */
    ngx_atomic_t            skew;
} ngx_ivschat_creds_root_t;


/*
 * A record, as a process knows it.  The fingerprint is of the source with all
 * its parameters: a record with another one is another source's by now.
 */

typedef struct {
    ngx_slab_pool_t        *shpool;
    ngx_ivschat_shared_t   *shared;    /* NULL: nothing is shared */
    u_char                  fingerprint[NGX_IVSCHAT_FINGERPRINT_LEN];
} ngx_ivschat_entry_t;


typedef enum {
    NGX_IVSCHAT_LEASE_TAKEN = 0,       /* by the caller, which fetches */
    NGX_IVSCHAT_LEASE_HELD,            /* another worker fetches */
    NGX_IVSCHAT_LEASE_EARLY,           /* not due before *refresh */
    NGX_IVSCHAT_LEASE_STALE            /* the record is another source's now:
                                          this worker is shutting down */
} ngx_ivschat_lease_e;


/*
 * Notes the Date of an answer to a request that was sent at this time: *skew
 * are the seconds to add to this host's clock.  Logs when that changes.
 * Returns whether the clock is off, or was.
 */

ngx_uint_t ngx_ivschat_zone_skew(ngx_atomic_t *skew, time_t date, time_t sent,
    ngx_log_t *log);

/* The pages of the slab that n records need, as a reload may need them. */

ngx_uint_t ngx_ivschat_zone_pages(ngx_uint_t n);

/*
 * While the zone is initialized: sweep() frees what a failed reload has left;
 * then enter() finds the record with the entry's fingerprint, or makes one.
 * NGX_ERROR: the zone is full.  Nothing that running workers use is touched,
 * as the reload may still fail.
 */

void ngx_ivschat_zone_sweep(ngx_slab_pool_t *shpool,
    ngx_ivschat_creds_root_t *root);
ngx_int_t ngx_ivschat_zone_enter(ngx_ivschat_entry_t *entry,
    ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root);

/*
 * Once a configuration is in force: keeps each record that it uses; then ages
 * all others, and frees those that two configurations in a row have not used.
 */

void ngx_ivschat_zone_use(ngx_ivschat_entry_t *entry);
void ngx_ivschat_zone_age(ngx_slab_pool_t *shpool,
    ngx_ivschat_creds_root_t *root);

/*
 * Copies the credentials, if the record is still this source's and they are of
 * another generation; NGX_OK if they were copied, else NGX_DECLINED.
 */

ngx_int_t ngx_ivschat_zone_read(ngx_ivschat_entry_t *entry,
    ngx_ivschat_credentials_t *creds, ngx_atomic_uint_t *generation);

/* Asks for the lease, for ms milliseconds at most. */

ngx_ivschat_lease_e ngx_ivschat_zone_lease(ngx_ivschat_entry_t *entry,
    ngx_msec_t ms, time_t *refresh);

/*
 * Gives the lease back, with the credentials fetched (or NULL) and the time of
 * the next fetch.  NGX_DECLINED if another worker has the lease by now, or
 * another source the record: nothing is changed then.
 */

ngx_int_t ngx_ivschat_zone_publish(ngx_ivschat_entry_t *entry,
    ngx_ivschat_credentials_t *creds, time_t refresh);

/*
 * AWS has refused the credentials of this generation: fetch anew now, unless
 * that has just failed.
 */

void ngx_ivschat_zone_refuse(ngx_ivschat_entry_t *entry,
    ngx_atomic_uint_t generation);


#endif /* _NGX_IVSCHAT_ZONE_H_INCLUDED_ */
