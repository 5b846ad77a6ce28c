
/*
 * Credentials in a worker: what it signs with now, when it fetches anew, and
 * who waits for that.
 */


#ifndef _NGX_IVSCHAT_REFRESH_H_INCLUDED_
#define _NGX_IVSCHAT_REFRESH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_ivschat_creds.h"
#include "ngx_ivschat_sources.h"


/* One distinct ivschat_token_credentials line. */

struct ngx_ivschat_slot_s {
    ngx_ivschat_line_t                  line;
    ngx_str_t                           region;    /* of the first literal room
                                                      that it is used for */
    ngx_ivschat_resolved_t              resolved;
    u_char                              fingerprint[
                                       NGX_IVSCHAT_FINGERPRINT_LEN];
    uint64_t                            index;

    ngx_ivschat_shared_t               *shared;    /* of what is fetched */
    ngx_slab_pool_t                    *shpool;
    ngx_atomic_t                       *skew;      /* of this host's clock */

    /* of this worker */

    ngx_ivschat_credentials_t           creds;
    ngx_atomic_uint_t                   generation;    /* 0: none */
    ngx_ivschat_curl_t                 *http;
    ngx_ivschat_fetch_t                *fetch;         /* under way */
    ngx_event_t                         timer;
    ngx_connection_t                    dummy;         /* for its debug log */
    ngx_queue_t                         waiters;
    ngx_event_t                         watch;
    ngx_file_info_t                     seen[2];       /* the shared files */

    unsigned                            used:1;        /* by a location */
    unsigned                            fetched:1;     /* not just configured */
    unsigned                            running:1;     /* in this worker */
};


/* _credentials.c: one notice at every change, with the key's last four. */

void ngx_ivschat_creds_notice(ngx_log_t *log, ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds);


/* _watch.c: looks after the shared files, if the slot has keys of theirs. */

void ngx_ivschat_watch_start(ngx_ivschat_slot_t *slot, ngx_log_t *log);


#endif /* _NGX_IVSCHAT_REFRESH_H_INCLUDED_ */
