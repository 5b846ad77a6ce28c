
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


#define NGX_IVSCHAT_FINGERPRINT_LEN   20   /* SHA-1 */


typedef struct ngx_ivschat_shared_s  ngx_ivschat_shared_t;


struct ngx_ivschat_shared_s {
    ngx_ivschat_shared_t       *next;
    u_char                      fingerprint[NGX_IVSCHAT_FINGERPRINT_LEN];

    /* 0: nothing was published; its lowest bit says which set is valid */
    ngx_atomic_t                generation;
    ngx_ivschat_credentials_t   creds[2];

    ngx_atomic_t                refused;    /* a generation that AWS rejects */
    ngx_uint_t                  failures;   /* in a row */

    /* no fetch before "due", unless AWS's time is "refresh" */

    int64_t                     refresh;
    ngx_msec_t                  due;
    ngx_msec_t                  since;      /* the pause began */
    ngx_uint_t                  paused;     /* 0: fetch now */

    ngx_pid_t                   holder;     /* of the lease; 0: free */
    ngx_msec_t                  expires;    /* the lease */

    ngx_uint_t                  age;        /* configurations since one has
                                               used it */
};


/* The next fetch. */

typedef struct {
    ngx_msec_t                  ms;         /* from now, under 24 days */
    int64_t                     refresh;    /* at the latest, by AWS's time */
    ngx_uint_t                  failures;   /* in a row; 0: success */
} ngx_ivschat_next_t;


/* The part of the zone that is kept for credentials. */

typedef struct {
    ngx_ivschat_shared_t   *first;

    /* seconds, signed: how far this host's clock is behind AWS's */
    ngx_atomic_t            skew;
} ngx_ivschat_creds_root_t;


/*
 * A record, as a process knows it.  The fingerprint covers the source and its
 * parameters: a record with another one belongs to another source now.
 */

typedef struct {
    ngx_slab_pool_t        *shpool;
    ngx_ivschat_shared_t   *shared;    /* NULL: nothing is shared */
    u_char                  fingerprint[NGX_IVSCHAT_FINGERPRINT_LEN];
} ngx_ivschat_entry_t;


typedef enum {
    NGX_IVSCHAT_LEASE_TAKEN = 0,       /* the caller fetches */
    NGX_IVSCHAT_LEASE_HELD,            /* another worker fetches */
    NGX_IVSCHAT_LEASE_EARLY,           /* not due */
    NGX_IVSCHAT_LEASE_STALE            /* the record belongs to another source:
                                          this worker is shutting down */
} ngx_ivschat_lease_e;


/*
 * Takes the Date of an answer to a request that was sent at this time; *skew
 * is the number of seconds to add to this host's clock.  Logs a change, and
 * returns whether the clock is or was wrong.
 */

ngx_uint_t ngx_ivschat_zone_skew(ngx_atomic_t *skew, time_t date, time_t sent,
    ngx_log_t *log);

/* The pages of the slab for n records. */

ngx_uint_t ngx_ivschat_zone_pages(ngx_uint_t n);

/*
 * While the zone is initialized: sweep() frees what a failed reload has left;
 * then enter() finds the record with the entry's fingerprint, or makes one.
 * NGX_ERROR: the zone is full.  Records of running workers do not change, as
 * the reload may still fail.
 */

void ngx_ivschat_zone_sweep(ngx_slab_pool_t *shpool,
    ngx_ivschat_creds_root_t *root);
ngx_int_t ngx_ivschat_zone_enter(ngx_ivschat_entry_t *entry,
    ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root);

/*
 * Once a configuration is in force: use() keeps each record of it; then age()
 * frees those that two configurations in a row have not used.
 */

void ngx_ivschat_zone_use(ngx_ivschat_entry_t *entry);
void ngx_ivschat_zone_age(ngx_slab_pool_t *shpool,
    ngx_ivschat_creds_root_t *root);

/*
 * NGX_OK: copied the credentials; NGX_DECLINED: they have this generation
 * already, or the record belongs to another source.
 */

ngx_int_t ngx_ivschat_zone_read(ngx_ivschat_entry_t *entry,
    ngx_ivschat_credentials_t *creds, ngx_atomic_uint_t *generation);

/*
 * Takes the lease for ms milliseconds; 0 only asks whether it is free.  now is
 * AWS's time; *wait are the milliseconds until a fetch is due.
 */

ngx_ivschat_lease_e ngx_ivschat_zone_lease(ngx_ivschat_entry_t *entry,
    ngx_msec_t ms, time_t now, ngx_msec_t *wait);

/* Requests are refused for want of credentials: makes the pause short. */

void ngx_ivschat_zone_want(ngx_ivschat_entry_t *entry);

/*
 * Ends the lease, with the credentials fetched (or NULL).  NGX_DECLINED: the
 * lease or the record belongs to another one now, and nothing is changed.
 */

ngx_int_t ngx_ivschat_zone_publish(ngx_ivschat_entry_t *entry,
    ngx_ivschat_credentials_t *creds, ngx_ivschat_next_t *next);

/*
 * AWS has rejected the credentials of this generation: a fetch is due now,
 * unless the last one has failed.
 */

void ngx_ivschat_zone_refuse(ngx_ivschat_entry_t *entry,
    ngx_atomic_uint_t generation);


#endif /* _NGX_IVSCHAT_ZONE_H_INCLUDED_ */
