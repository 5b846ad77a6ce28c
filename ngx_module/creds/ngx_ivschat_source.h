
/*
 * The sources of credentials that the environment describes.
 */


#ifndef _NGX_IVSCHAT_SOURCE_H_INCLUDED_
#define _NGX_IVSCHAT_SOURCE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_ivschat_fetch.h"
#include "ngx_ivschat_nginx.h"
#include "../aws/ngx_ivschat_profile.h"


#define NGX_IVSCHAT_FIND_REASON_LEN   1024


typedef enum {
    NGX_IVSCHAT_PARAM_KEY = 0,
    NGX_IVSCHAT_PARAM_SECRET,
    NGX_IVSCHAT_PARAM_SESSION_TOKEN,
    NGX_IVSCHAT_PARAM_NAME,            /* of a profile */
    NGX_IVSCHAT_PARAM_FILE,
    NGX_IVSCHAT_PARAM_ROLE,
    NGX_IVSCHAT_PARAM_SOURCE,          /* whose credentials assume the role */
    NGX_IVSCHAT_PARAM_REGION,
    NGX_IVSCHAT_PARAM_EXTERNAL_ID,
    NGX_IVSCHAT_PARAM_SESSION_NAME,
    NGX_IVSCHAT_PARAM_DURATION,
    NGX_IVSCHAT_PARAMS
} ngx_ivschat_param_e;


/* What was found for a line. */

typedef struct {
    ngx_ivschat_source_t        source;      /* BASE_NONE: nothing usable */
    ngx_ivschat_credentials_t   creds;       /* of BASE_STATIC */
    ngx_str_t                   name;        /* "auto: profile", for logs */
    ngx_str_t                   tried;       /* auto: the others, and why not */

    /* the shared files; with "keys" the credentials are in them */

    ngx_str_t                   files[NGX_IVSCHAT_PROFILE_FILES];
    ngx_str_t                   profile;
    ngx_uint_t                  profile_roles;
    unsigned                    keys:1;
} ngx_ivschat_found_t;


/* The search for a line; all strings are in the pool of cf. */

typedef struct {
    ngx_conf_t                 *cf;
    ngx_str_t                  *params;      /* NGX_IVSCHAT_PARAMS of them;
                                                data NULL: none */
    ngx_str_t                  *room_region;
    ngx_ivschat_found_t        *found;

    /* the settings of a profile for STS; NULL: none */

    const char                 *profile_region;
    const char                 *profile_sts;
    unsigned                    profile_read:1;

    unsigned                    named:1;     /* the source is set explicitly */
    unsigned                    nomem:1;

    /* why a source cannot be used, with a NUL */

    char                        reason[NGX_IVSCHAT_FIND_REASON_LEN];
} ngx_ivschat_find_t;


/*
 * These find one source.  NGX_OK: find->found->source is usable;
 * NGX_DECLINED: it is not there, and find->reason says what is missing;
 * NGX_ERROR: it is wrong, as find->reason says.
 */

ngx_int_t ngx_ivschat_find_env(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_container(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_imds(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_web_identity(ngx_ivschat_find_t *find);

/* Sets find->reason, in nginx's formats, and returns rc. */

ngx_int_t ngx_ivschat_find_fail(ngx_ivschat_find_t *find, ngx_int_t rc,
    const char *fmt, ...);

/*
 * A copy with a NUL.  NULL: s.data is NULL, or no memory, which find->nomem
 * notes.
 */

const char *ngx_ivschat_find_dup(ngx_ivschat_find_t *find,
    ngx_ivschat_str_t s);

/*
 * A variable of nginx's environment, with its "env" lines; NULL if it is not
 * set, or empty.
 */

const char *ngx_ivschat_getenv(ngx_conf_t *cf, const char *name);

/* A copy of it, since another module may change the environment later. */

const char *ngx_ivschat_find_getenv(ngx_ivschat_find_t *find,
    const char *name);

/*
 * Adds the names of AWS's variables and HOME, if they are set, to the list of
 * the "env" directive, so that workers and a new binary keep them.
 */

ngx_int_t ngx_ivschat_keep_environment(ngx_conf_t *cf);


#endif /* _NGX_IVSCHAT_SOURCE_H_INCLUDED_ */
