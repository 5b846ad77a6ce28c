
/*
 * A slot: one distinct ivschat_token_credentials line, the source found for
 * it, and the credentials that a worker signs with now.
 *
 * Fetched credentials are renewed ahead of their expiration.  One worker
 * fetches, all use the result, and only a request that finds none waits.  Keys
 * in AWS's shared files are read again when a file changes.
 */


#ifndef _NGX_IVSCHAT_SLOT_H_INCLUDED_
#define _NGX_IVSCHAT_SLOT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_ivschat_sources.h"
#include "ngx_ivschat_zone.h"


typedef struct ngx_ivschat_slot_s  ngx_ivschat_slot_t;


struct ngx_ivschat_slot_s {
    ngx_ivschat_slot_t          *next;
    ngx_ivschat_spec_t           line;
    ngx_str_t                    region;      /* of the first literal room */
    ngx_ivschat_found_t          found;
    ngx_ivschat_entry_t          entry;       /* in the zone, if fetched */
    ngx_atomic_t                *skew;        /* of this host's clock */
    uint64_t                     index;

    /* of this worker */

    ngx_ivschat_credentials_t    creds;
    ngx_atomic_uint_t            generation;  /* 0: none */
    ngx_ivschat_curl_t          *http;
    ngx_ivschat_fetch_t         *fetch;       /* in progress */
    ngx_event_t                  timer;
    ngx_event_t                  watch;
    ngx_connection_t             dummy;       /* for their debug log */
    ngx_queue_t                  waiters;
    ngx_file_info_t              seen[NGX_IVSCHAT_PROFILE_FILES];

    unsigned                     used:1;      /* by a location */
    unsigned                     fetched:1;   /* not just configured */
    unsigned                     running:1;   /* in this worker */
};


/* A request waiting for credentials; its owner leaves "waiting" alone. */

typedef struct {
    ngx_queue_t                  queue;
    void                       (*handler)(void *data);
    void                        *data;
    unsigned                     waiting:1;
} ngx_ivschat_waiter_t;


/* The strings belong to the slot, and live as long as this event is handled. */

typedef struct {
    ngx_str_t                    access_key;
    ngx_str_t                    secret_key;
    ngx_str_t                    session_token;  /* empty: none */
    ngx_atomic_uint_t            generation;
    uint64_t                     id;             /* differs for other secrets */
} ngx_ivschat_creds_t;


/*
 * Starts the timers of a slot in a worker; http is NULL if the worker cannot
 * fetch.  stop() ends them, and a fetch in progress.
 */

void ngx_ivschat_slot_start(ngx_ivschat_slot_t *slot,
    ngx_ivschat_curl_t *http, ngx_log_t *log);
void ngx_ivschat_slot_stop(ngx_ivschat_slot_t *slot);

/* A notice at every change, with the last characters of the access key. */

void ngx_ivschat_slot_notice(ngx_ivschat_slot_t *slot, ngx_log_t *log,
    ngx_ivschat_credentials_t *creds);

/*
 * NGX_OK: *creds is what the slot holds now; NGX_AGAIN: a fetch is in
 * progress, and the caller may wait for it; NGX_DECLINED: there are no usable
 * credentials (the caller logs that).
 */

ngx_int_t ngx_ivschat_creds_get(ngx_ivschat_slot_t *slot,
    ngx_ivschat_creds_t *creds);

/*
 * After NGX_AGAIN: waiter->handler is called once, from the event loop, when
 * the caller should ask again.
 */

void ngx_ivschat_creds_wait(ngx_ivschat_slot_t *slot,
    ngx_ivschat_waiter_t *waiter);

/* Stops waiting; harmless if the waiter does not wait. */

void ngx_ivschat_creds_leave(ngx_ivschat_waiter_t *waiter);

/*
 * AWS has rejected the credentials of this generation as expired.  NGX_OK: new
 * ones will be fetched; NGX_DECLINED: the source is not fetched.
 */

ngx_int_t ngx_ivschat_creds_refuse(ngx_ivschat_slot_t *slot,
    ngx_atomic_uint_t generation);


#endif /* _NGX_IVSCHAT_SLOT_H_INCLUDED_ */
