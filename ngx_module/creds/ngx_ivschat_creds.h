
/*
 * The credentials of a configuration: a slot for each distinct
 * ivschat_token_credentials line, and their life from the configuration to
 * the end of a worker.
 */


#ifndef _NGX_IVSCHAT_CREDS_H_INCLUDED_
#define _NGX_IVSCHAT_CREDS_H_INCLUDED_


#include "ngx_ivschat_slot.h"


/* Of the main configuration. */

typedef struct {
    ngx_ivschat_slot_t          *slots;

    ngx_slab_pool_t             *shpool;     /* of the zone; NULL: no zone */
    ngx_ivschat_creds_root_t    *root;       /* in it */

    ngx_ivschat_curl_t          *http;       /* of this worker; NULL: none */
} ngx_ivschat_creds_conf_t;


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
 * Notes that a location mints with a slot, and the region of its rooms (empty:
 * unknown).
 */

void ngx_ivschat_creds_use(ngx_ivschat_slot_t *slot, ngx_str_t *region);

/*
 * Once the configuration is read: finds the credentials of the lines in use.
 * *used is their number, *fetched the number of those that are fetched.
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

/* init_process; exit_process, and before a configuration is destroyed. */

void ngx_ivschat_creds_start(ngx_cycle_t *cycle,
    ngx_ivschat_creds_conf_t *ccf);
void ngx_ivschat_creds_stop(ngx_ivschat_creds_conf_t *ccf);

/* The time by AWS's clock, as far as it is known. */

time_t ngx_ivschat_creds_time(ngx_ivschat_creds_conf_t *ccf);

/* The name of the slot's source for the log, such as "env". */

ngx_str_t *ngx_ivschat_creds_name(ngx_ivschat_slot_t *slot);


#endif /* _NGX_IVSCHAT_CREDS_H_INCLUDED_ */
