
/*
 * The shared zone: fetched credentials, one slot for each distinct source, and
 * the lease of the worker that fetches them.
 *
 * Only the slab pool's mutex is taken, which the master unlocks should a
 * worker die with it, and never over I/O.  A record is written where nobody
 * reads, and published by one store.
 */


#ifndef _NGX_IVSCHAT_ZONE_H_INCLUDED_
#define _NGX_IVSCHAT_ZONE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "../aws/ngx_ivschat_credentials.h"


#define NGX_IVSCHAT_FINGERPRINT_LEN   64   /* hex */


typedef struct ngx_ivschat_shared_s
                                            ngx_ivschat_shared_t;


struct ngx_ivschat_shared_s {
    ngx_ivschat_shared_t             *next;

    /* of the source, its parameters and the environment that it reads */
    u_char                            fingerprint[
                                       NGX_IVSCHAT_FINGERPRINT_LEN];

    /* 0: nothing was published; its lowest bit says which record counts */
    ngx_atomic_t                      generation;
    ngx_ivschat_credentials_t         records[2];

    ngx_atomic_t                      refused;     /* a generation that AWS
                                                      no longer takes */
    time_t                            refresh;     /* when to fetch; 0: now */
    ngx_uint_t                        failures;    /* one after the other */

    ngx_pid_t                         holder;      /* of the lease; 0: free */
    ngx_msec_t                        expires;     /* the lease */

    ngx_uint_t                        age;         /* configurations since
                                                      one has used it */
};


/* The part of the zone that is kept for credentials. */

typedef struct {
    ngx_ivschat_shared_t             *first;

    /* seconds, signed: how far this host's clock is behind AWS's */
    ngx_atomic_t                      skew;
} ngx_ivschat_creds_root_t;


typedef enum {
    NGX_IVSCHAT_LEASE_TAKEN = 0,   /* by the caller, who fetches */
    NGX_IVSCHAT_LEASE_HELD,        /* another one fetches */
    NGX_IVSCHAT_LEASE_EARLY,       /* not due before *refresh */
    NGX_IVSCHAT_LEASE_STALE        /* the slot is another source's
                                                 now: this worker is draining */
} ngx_ivschat_lease_e;


/*
 * Takes down what the Date of an answer to a request that was sent at this
 * time tells: *skew are the seconds to add to this host's clock.  Says so in
 * the log when they become others.  Returns whether the clock is off, or was.
 */

ngx_uint_t ngx_ivschat_zone_skew(ngx_atomic_t *skew, time_t date, time_t sent,
    ngx_log_t *log);

/* The pages of the slab that n slots need, as a reload may need them. */

ngx_uint_t ngx_ivschat_zone_pages(ngx_uint_t n);

/*
 * While the zone is initialized: the slot with this fingerprint, as a reload
 * finds it, or a new one; NULL if the zone is full.  Nothing that the running
 * workers use is touched, as the reload may still fail.
 */

ngx_ivschat_shared_t *ngx_ivschat_zone_slot(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t **first, u_char *fingerprint);

/* Before that: frees the slots that a reload has left which failed. */

void ngx_ivschat_zone_sweep(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t **first);

/*
 * Once a configuration counts: keeps each slot that it uses; then ages all
 * others, and frees those that two configurations in a row have not used.
 */

void ngx_ivschat_zone_use(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh);
void ngx_ivschat_zone_age(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t **first);

/*
 * Copies the record that counts, if the slot is still this source's and it is
 * another one than *generation; NGX_OK if it was copied, else NGX_DECLINED.
 */

ngx_int_t ngx_ivschat_zone_read(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t *sh, u_char *fingerprint,
    ngx_ivschat_credentials_t *creds, ngx_atomic_uint_t *generation);

/* Asks for the lease, for ms milliseconds at most. */

ngx_ivschat_lease_e ngx_ivschat_zone_lease(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t *sh, u_char *fingerprint, ngx_msec_t ms,
    time_t *refresh);

/*
 * Gives the lease back, with the credentials fetched (or NULL) and the time of
 * the next fetch.  NGX_DECLINED if somebody else has the lease by now, or the
 * slot: nothing is changed then.
 */

ngx_int_t ngx_ivschat_zone_publish(ngx_slab_pool_t *shpool,
    ngx_ivschat_shared_t *sh, u_char *fingerprint,
    ngx_ivschat_credentials_t *creds, time_t refresh);

/*
 * AWS has refused the credentials of this generation: fetch anew at once,
 * unless that has just failed.
 */

void ngx_ivschat_zone_refuse(ngx_slab_pool_t *shpool, ngx_ivschat_shared_t *sh,
    u_char *fingerprint, ngx_atomic_uint_t generation);


#endif /* _NGX_IVSCHAT_ZONE_H_INCLUDED_ */
