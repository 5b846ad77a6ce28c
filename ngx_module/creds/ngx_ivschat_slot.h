
/*
 * A slot: one distinct ivschat_token_credentials line, with what was found for
 * it and the credentials that a worker signs with now.
 */


#ifndef _NGX_IVSCHAT_SLOT_H_INCLUDED_
#define _NGX_IVSCHAT_SLOT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_ivschat_creds.h"
#include "ngx_ivschat_sources.h"


struct ngx_ivschat_slot_s {
    ngx_ivschat_line_t          line;
    ngx_str_t                   region;       /* of the first literal room that
                                                 it is used for */
    ngx_ivschat_found_t         found;
    ngx_ivschat_entry_t         entry;        /* in the zone, if fetched */
    ngx_atomic_t               *skew;         /* of this host's clock */
    uint64_t                    index;

    /* of this worker */

    ngx_ivschat_credentials_t   creds;
    ngx_atomic_uint_t           generation;   /* 0: none */
    ngx_ivschat_curl_t         *http;
    ngx_ivschat_fetch_t        *fetch;        /* in progress */
    ngx_event_t                 timer;
    ngx_event_t                 watch;
    ngx_connection_t            dummy;        /* for their debug log */
    ngx_queue_t                 waiters;
    ngx_file_info_t             seen[NGX_IVSCHAT_PROFILE_FILES];

    unsigned                    used:1;       /* by a location */
    unsigned                    fetched:1;    /* not just configured */
    unsigned                    running:1;    /* in this worker */
};


/* _creds.c: a notice at every change, with the end of the key. */

void ngx_ivschat_creds_notice(ngx_log_t *log, ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds);


/* _refresh.c: prepares an event of the slot as a cancelable timer. */

void ngx_ivschat_slot_timer(ngx_ivschat_slot_t *slot, ngx_event_t *ev,
    ngx_event_handler_pt handler, ngx_log_t *log);


/* _watch.c: watches the shared files, if the slot's keys are in them. */

void ngx_ivschat_watch_start(ngx_ivschat_slot_t *slot, ngx_log_t *log);


#endif /* _NGX_IVSCHAT_SLOT_H_INCLUDED_ */
