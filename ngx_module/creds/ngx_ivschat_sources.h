
/*
 * The sources of credentials: what an ivschat_token_credentials line, the
 * environment and AWS's shared files together mean, in the order of AWS's
 * SDKs.
 *
 * All of it is read with the configuration, by the master, which may read what
 * the workers may not.  A new source is a row of the table in _sources.c, and
 * a function that finds it.
 */


#ifndef _NGX_IVSCHAT_SOURCES_H_INCLUDED_
#define _NGX_IVSCHAT_SOURCES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_ivschat_fetch.h"
#include "ngx_ivschat_nginx.h"
#include "../aws/ngx_ivschat_profile.h"


#define NGX_IVSCHAT_FIND_REASON_LEN   1024


typedef struct ngx_ivschat_kind_s  ngx_ivschat_kind_t;


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


/* An ivschat_token_credentials line. */

typedef struct {
    ngx_ivschat_kind_t         *kind;
    ngx_str_t                   params[NGX_IVSCHAT_PARAMS];  /* data NULL:
                                                                none */
    ngx_str_t                   conf_file;   /* empty: the default "auto" */
    ngx_uint_t                  line;
} ngx_ivschat_line_t;


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
    ngx_ivschat_line_t         *line;
    ngx_str_t                  *room_region;
    ngx_ivschat_found_t        *found;

    /* what a profile has for STS; NULL: nothing */

    const char                 *profile_region;
    const char                 *profile_sts;
    unsigned                    profile_read:1;

    /* why a source cannot be used, with a NUL */

    char                        reason[NGX_IVSCHAT_FIND_REASON_LEN];
} ngx_ivschat_find_t;


/*
 * Finds one source.  NGX_OK: it is usable, and find->found->source has it;
 * NGX_DECLINED: it is not there, and find->reason says what is missing;
 * NGX_ERROR: it is there, and wrong, as find->reason says.
 */

typedef ngx_int_t (*ngx_ivschat_find_pt)(ngx_ivschat_find_t *find);


#define NGX_IVSCHAT_BASE   0x1                      /* may be source=... */
#define NGX_IVSCHAT_AUTO   0x2                      /* is tried by "auto" */


struct ngx_ivschat_kind_s {
    ngx_str_t                   name;
    const char                 *profile_name;   /* in a credential_source */
    ngx_uint_t                  flags;
    ngx_uint_t                  params;         /* bits: 1 << param */
    ngx_uint_t                  required;       /* of these */
    char                     *(*check)(ngx_conf_t *cf,
                                   ngx_ivschat_line_t *line);
    ngx_ivschat_find_pt         find;
};


/* _sources.c */

/* The arguments of the directive, checked; "auto", the default. */

char *ngx_ivschat_line_read(ngx_conf_t *cf, ngx_ivschat_line_t *line);
void ngx_ivschat_line_auto(ngx_ivschat_line_t *line);
ngx_uint_t ngx_ivschat_line_same(ngx_ivschat_line_t *a, ngx_ivschat_line_t *b);
void ngx_ivschat_line_wipe(ngx_ivschat_line_t *line);

/*
 * Finds the credentials of a line.  region is that of the first literal room
 * of a location that uses it (empty: none), for STS.  NGX_ERROR: the
 * configuration is wrong, and that has been logged; what is only missing now
 * is a warning.
 */

ngx_int_t ngx_ivschat_find(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_str_t *region, ngx_ivschat_found_t *found);

/* Finds the source that a credential_source of a profile names. */

ngx_int_t ngx_ivschat_find_named(ngx_ivschat_find_t *find,
    const ngx_ivschat_property_t *property);

/* Sets find->reason, in nginx's formats, and returns rc. */

ngx_int_t ngx_ivschat_find_fail(ngx_ivschat_find_t *find, ngx_int_t rc,
    const char *fmt, ...);

/*
 * A copy with a NUL; NULL: out of memory.  And one of a variable of the
 * environment, which another module may change later; NULL also if it is not
 * set, or empty.
 */

const char *ngx_ivschat_find_dup(ngx_ivschat_find_t *find,
    ngx_ivschat_str_t s);
const char *ngx_ivschat_find_env(ngx_ivschat_find_t *find, const char *name);


/* _source_env.c, _source_metadata.c, _source_profile.c, _source_sts.c */

ngx_int_t ngx_ivschat_find_keys(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_container(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_imds(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_profile(ngx_ivschat_find_t *find);
ngx_int_t ngx_ivschat_find_web_identity(ngx_ivschat_find_t *find);


/* _source_env.c */

/*
 * A variable of the environment that nginx has, or that an "env" line sets;
 * NULL if it is not set, or empty.
 */

const char *ngx_ivschat_getenv(ngx_conf_t *cf, const char *name);

/*
 * Adds the names of AWS's variables and HOME, as far as they are set, to the
 * list of the "env" directive, so that workers and a new binary keep them.
 */

ngx_int_t ngx_ivschat_keep_environment(ngx_conf_t *cf);


/* _source_profile.c */

/*
 * Finds profile_region and profile_sts in the profile that is in force, where
 * the credentials come from elsewhere.  Files that cannot be read have none.
 */

void ngx_ivschat_find_region(ngx_ivschat_find_t *find);

/*
 * The keys of the shared files as they are now, in a worker; NGX_DECLINED with
 * a reason if they cannot be read or no longer mean the same.
 */

ngx_int_t ngx_ivschat_reread(ngx_ivschat_found_t *found,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size);


/* _source_sts.c */

/*
 * Copies "from" to *role, and adds the region and the endpoint of STS, and the
 * session name of this host if there is none.  NGX_ERROR as above.
 */

ngx_int_t ngx_ivschat_find_role(ngx_ivschat_find_t *find,
    ngx_ivschat_role_t *role, const ngx_ivschat_role_t *from);


#endif /* _NGX_IVSCHAT_SOURCES_H_INCLUDED_ */
