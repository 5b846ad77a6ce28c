
/*
 * Where the AWS credentials of a location come from, and what they are now.
 */


#ifndef _NGX_IVSCHAT_CREDS_H_INCLUDED_
#define _NGX_IVSCHAT_CREDS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_ivschat_curl.h"
#include "ngx_ivschat_zone.h"


typedef struct ngx_ivschat_slot_s  ngx_ivschat_slot_t;


/* Of the main configuration. */

typedef struct {
    ngx_array_t                  slots;      /* of slot_t *: one for each
                                                distinct credentials line */

    ngx_slab_pool_t             *shpool;     /* of the zone; NULL: no zone */
    ngx_ivschat_creds_root_t    *root;       /* in it */

    ngx_ivschat_curl_t          *http;       /* of this worker; NULL: none */
} ngx_ivschat_creds_conf_t;


/* A request waiting for credentials; its owner leaves "waiting" alone. */

typedef struct {
    ngx_queue_t                  queue;
    void                       (*handler)(void *data);
    void                        *data;
    unsigned                     waiting:1;
} ngx_ivschat_waiter_t;


/* The strings belong to the slot, and live as long as this event is handled. */

typedef struct {
    ngx_str_t            access_key;
    ngx_str_t            secret_key;
    ngx_str_t            session_token;      /* empty: none */
    ngx_atomic_uint_t    generation;
    uint64_t             id;                 /* another one for other secrets */
} ngx_ivschat_creds_t;


/* create main conf */

ngx_int_t ngx_ivschat_creds_create(ngx_conf_t *cf,
    ngx_ivschat_creds_conf_t *ccf);

/*
 * ivschat_token_credentials: the slot of this line, into *slot, which is
 * NGX_CONF_UNSET_PTR before.
 */

char *ngx_ivschat_creds_line(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_ivschat_slot_t **slot);

/* The slot of "auto", for a location without a line; NULL: out of memory. */

ngx_ivschat_slot_t *ngx_ivschat_creds_auto(ngx_conf_t *cf,
    ngx_ivschat_creds_conf_t *ccf);

/*
 * Notes that a location mints with a slot, and for rooms of this region (empty:
 * not known).
 */

void ngx_ivschat_creds_use(ngx_ivschat_slot_t *slot, ngx_str_t *region);

/*
 * Once the configuration is read: finds the credentials of the lines that are
 * used.  *fetched is the number of those that have to be fetched, *used of all.
 */

ngx_int_t ngx_ivschat_creds_init(ngx_conf_t *cf,
    ngx_ivschat_creds_conf_t *ccf, ngx_uint_t *fetched, ngx_uint_t *used);

/* While the zone is initialized: gives each slot its place in it. */

ngx_int_t ngx_ivschat_creds_init_zone(ngx_ivschat_creds_conf_t *ccf,
    ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root,
    ngx_shm_zone_t *zone);

/*
 * init_module: the configuration is in force.  Frees what no configuration
 * uses any longer, and logs which credentials are configured.
 */

void ngx_ivschat_creds_commit(ngx_cycle_t *cycle,
    ngx_ivschat_creds_conf_t *ccf);

/* init_process: starts what the worker has to fetch. */

void ngx_ivschat_creds_start(ngx_cycle_t *cycle,
    ngx_ivschat_creds_conf_t *ccf);

/* exit_process, and before a configuration goes: stops all of it. */

void ngx_ivschat_creds_stop(ngx_ivschat_creds_conf_t *ccf);

/* The time by AWS's clock, as far as it is known. */

time_t ngx_ivschat_creds_time(ngx_ivschat_creds_conf_t *ccf);

/*
 * NGX_OK with what the slot holds now; NGX_AGAIN if a fetch is under way, for
 * which the caller may wait; NGX_DECLINED if there is nothing that could be
 * used (the caller logs).
 */

ngx_int_t ngx_ivschat_creds_get(ngx_ivschat_slot_t *slot,
    ngx_ivschat_creds_t *creds);

/*
 * After NGX_AGAIN: waiter->handler is called once, from the event loop, when
 * it is worth to ask again.
 */

void ngx_ivschat_creds_wait(ngx_ivschat_slot_t *slot,
    ngx_ivschat_waiter_t *waiter);

/* Waits no longer; harmless if it did not wait. */

void ngx_ivschat_creds_leave(ngx_ivschat_waiter_t *waiter);

/*
 * AWS says that the credentials of this generation have expired.  NGX_OK: they
 * will be fetched anew; NGX_DECLINED: there is nowhere to fetch them from.
 */

ngx_int_t ngx_ivschat_creds_refuse(ngx_ivschat_slot_t *slot,
    ngx_atomic_uint_t generation);

/* What the slot is called in the log, "env" say. */

ngx_str_t *ngx_ivschat_creds_name(ngx_ivschat_slot_t *slot);


#endif /* _NGX_IVSCHAT_CREDS_H_INCLUDED_ */
