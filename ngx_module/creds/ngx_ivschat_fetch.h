
/*
 * One fetch of credentials from a container endpoint, the instance metadata
 * service or STS, followed by the roles to assume.  Shared memory, schedules
 * and clients' requests are handled elsewhere.
 */


#ifndef _NGX_IVSCHAT_FETCH_H_INCLUDED_
#define _NGX_IVSCHAT_FETCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "../aws/ngx_ivschat_credentials.h"
#include "../aws/ngx_ivschat_role.h"
#include "ngx_ivschat_curl.h"


/* the roles of a profile and that of the directive */
#define NGX_IVSCHAT_FETCH_ROLES_MAX   (NGX_IVSCHAT_ROLES_MAX + 1)
#define NGX_IVSCHAT_FETCH_LIMIT       30000   /* milliseconds, for all of it */


typedef enum {
    NGX_IVSCHAT_BASE_NONE = 0,
    NGX_IVSCHAT_BASE_STATIC,           /* from the configuration */
    NGX_IVSCHAT_BASE_CONTAINER,
    NGX_IVSCHAT_BASE_WEB_IDENTITY,
    NGX_IVSCHAT_BASE_IMDS
} ngx_ivschat_base_e;


/*
 * A source of credentials, allocated from the configuration pool and read-only.
 * Token files are read for each fetch.
 */

typedef struct {
    ngx_ivschat_base_e           base;

    ngx_ivschat_credentials_t   *creds;         /* of BASE_STATIC */

    const char                  *url;           /* container, IMDS */
    const char                  *token;         /* container: Authorization */
    const char                  *token_file;    /* container, web identity */
    ngx_ivschat_role_t           web_identity;

    ngx_uint_t                   nroles;        /* assumed in this order */
    ngx_ivschat_role_t           roles[NGX_IVSCHAT_FETCH_ROLES_MAX];

    const char                  *ca_file;       /* for https, NULL: libcurl's */
    ngx_msec_t                   imds_timeout;
    ngx_uint_t                   imds_attempts;
} ngx_ivschat_source_t;


/*
 * The time by AWS's clock.  note() takes the Date of an answer, or -1, and the
 * time of the request by this host's clock; it returns whether this host's
 * clock is off.
 */

typedef struct {
    time_t        (*now)(void *data);
    ngx_uint_t    (*note)(void *data, time_t date, time_t sent);
    void           *data;
} ngx_ivschat_clock_t;


typedef struct ngx_ivschat_fetch_s  ngx_ivschat_fetch_t;


/*
 * Called once, from the event loop.  If creds is NULL, error is the reason and
 * the remedy; both are valid until the call returns.
 */

typedef void (*ngx_ivschat_fetch_done_pt)(void *data,
    ngx_ivschat_credentials_t *creds, const char *error);


/*
 * Starts a fetch; returns NULL without memory.  done() is never called from
 * within this function.
 */

ngx_ivschat_fetch_t *ngx_ivschat_fetch_start(ngx_ivschat_curl_t *http,
    ngx_ivschat_source_t *source, ngx_ivschat_clock_t *clock, ngx_log_t *log,
    ngx_ivschat_fetch_done_pt done, void *data);

/* Ends a fetch without calling done(). */

void ngx_ivschat_fetch_cancel(ngx_ivschat_fetch_t *fetch);


#endif /* _NGX_IVSCHAT_FETCH_H_INCLUDED_ */
