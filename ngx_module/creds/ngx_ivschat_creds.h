
/*
 * Where the AWS credentials of a location come from, and what they are now.
 */


#ifndef _NGX_IVSCHAT_CREDS_H_INCLUDED_
#define _NGX_IVSCHAT_CREDS_H_INCLUDED_


#include "../token/ngx_ivschat_token.h"


/* The strings belong to the slot, and live as long as this event is handled. */

typedef struct {
    ngx_str_t            access_key;
    ngx_str_t            secret_key;
    ngx_str_t            session_token;      /* empty: none */
    ngx_atomic_uint_t    generation;
    uint64_t             id;                 /* another one for other secrets */
} ngx_ivschat_creds_t;


/* ivschat_token_credentials */

char *ngx_ivschat_creds(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* ivschat_token_zone */

char *ngx_ivschat_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Notes that a location mints with its credentials, which are "auto" unless
 * it says otherwise.
 */

ngx_int_t ngx_ivschat_creds_use(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

/*
 * Once the configuration is read: resolves the lines that are used, and adds
 * the shared zone if any has to be fetched.
 */

ngx_int_t ngx_ivschat_creds_init(ngx_conf_t *cf);

/*
 * init_module: the configuration counts.  Drops what no configuration uses any
 * longer, and tells which credentials were given by this one.
 */

ngx_int_t ngx_ivschat_creds_commit(ngx_cycle_t *cycle);

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
