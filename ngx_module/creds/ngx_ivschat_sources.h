
/*
 * The sources of credentials: what an ivschat_token_credentials line, the
 * environment and AWS's shared files together mean, in the order of AWS's
 * SDKs.
 *
 * All of it is read when the configuration is, by the master, which may read
 * what the workers may not.
 */


#ifndef _NGX_IVSCHAT_SOURCES_H_INCLUDED_
#define _NGX_IVSCHAT_SOURCES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_ivschat_fetch.h"
#include "../aws/ngx_ivschat_profile.h"


/* The parameters of a line; data is NULL where there is none. */

typedef struct {
    ngx_str_t    source;                     /* "auto", … */
    ngx_str_t    key;
    ngx_str_t    secret;
    ngx_str_t    token;
    ngx_str_t    name;                       /* of a profile */
    ngx_str_t    file;
    ngx_str_t    role;
    ngx_str_t    base;                       /* source= of assume_role */
    ngx_str_t    region;
    ngx_str_t    external_id;
    ngx_str_t    session_name;
    ngx_str_t    duration;

    ngx_str_t    conf_file;                  /* where the line stands; empty: */
    ngx_uint_t   line;                       /* there is none */
} ngx_ivschat_line_t;


/* What a line has come to. */

typedef struct {
    ngx_ivschat_source_t        source;      /* BASE_NONE: nothing usable */
    ngx_ivschat_credentials_t   creds;       /* of BASE_STATIC */
    ngx_str_t                   name;        /* "auto: profile", for logs */
    ngx_str_t                   tried;       /* auto: the others, and why not */

    /* the shared files, if keys of theirs are used */

    ngx_str_t                   files[2];    /* config, credentials */
    ngx_str_t                   profile;
    ngx_uint_t                  profile_roles;
    ngx_uint_t                  profile_keys;   /* they are of the files */
} ngx_ivschat_resolved_t;


/* _sources.c */

/*
 * Resolves a line.  region is that of the first literal room of a location
 * that uses it (empty: none), for STS.  NGX_ERROR: the configuration is wrong,
 * and that has been logged; what is only not there now is a warning.
 */

ngx_int_t ngx_ivschat_resolve_line(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_str_t *region, ngx_ivschat_resolved_t *resolved);

/* _shared_files.c */

/*
 * Both files, of which any may be missing, on the heap; NULL with a reason if
 * one is there and cannot be read or parsed.  modes are those of the files.
 */

ngx_ivschat_profiles_t *ngx_ivschat_read_profiles(ngx_str_t *files,
    mode_t *modes, char *reason, size_t size);

/*
 * The keys of the shared files as they are now, in a worker; NGX_DECLINED with
 * a reason if they cannot be read or no longer mean the same.
 */

ngx_int_t ngx_ivschat_reread(ngx_ivschat_resolved_t *resolved,
    ngx_ivschat_credentials_t *creds, char *reason, size_t size);

/* _environment.c */

/*
 * A variable of the environment that nginx has, or that an "env" line sets;
 * NULL if it is not set, or empty.
 */

const char *ngx_ivschat_getenv(ngx_cycle_t *cycle, const char *name);

/*
 * Adds the names of AWS's variables and HOME, as far as they are set, to the
 * list of the "env" directive, so that workers and a new binary keep them.
 */

ngx_int_t ngx_ivschat_keep_environment(ngx_conf_t *cf);


#endif /* _NGX_IVSCHAT_SOURCES_H_INCLUDED_ */
