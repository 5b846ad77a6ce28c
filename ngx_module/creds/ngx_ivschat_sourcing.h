
/*
 * What the files have in common that resolve a line of
 * ivschat_token_credentials: _sources.c, _source_profile.c, _source_sts.c.
 */


#ifndef _NGX_IVSCHAT_SOURCING_H_INCLUDED_
#define _NGX_IVSCHAT_SOURCING_H_INCLUDED_


#include "ngx_ivschat_nginx.h"
#include "ngx_ivschat_sources.h"


#define NGX_IVSCHAT_SOURCE_REASON_LEN  1024


/* A line that is being resolved; all strings live in the pool of cf. */

typedef struct {
    ngx_conf_t                          *cf;
    ngx_ivschat_line_t                  *line;
    ngx_str_t                           *room_region;

    /* what a profile has for STS; empty: nothing */

    ngx_str_t                            profile_region;
    ngx_str_t                            profile_sts;
    ngx_uint_t                           profile_read;

    ngx_ivschat_resolved_t              *out;

    /* why a source cannot be used, NUL-terminated */

    char    reason[NGX_IVSCHAT_SOURCE_REASON_LEN];
} ngx_ivschat_resolve_t;


static ngx_inline ngx_ivschat_str_t
ngx_ivschat_pure_c(const char *s)
{
    ngx_ivschat_str_t  str;

    str.data = s;
    str.len = s ? ngx_strlen(s) : 0;

    return str;
}


/*
 * The sources.  NGX_OK: it is usable, and rs->out->source has it;
 * NGX_DECLINED: it is not there, and rs->reason says what is not; NGX_ERROR:
 * it is there, and wrong, as rs->reason says.
 */

/* _sources.c */

ngx_int_t ngx_ivschat_try_env(ngx_ivschat_resolve_t *rs);
ngx_int_t ngx_ivschat_try_container(ngx_ivschat_resolve_t *rs);
ngx_int_t ngx_ivschat_try_imds(ngx_ivschat_resolve_t *rs);

/* Sets rs->reason, in nginx's formats. */

void ngx_ivschat_reason(ngx_ivschat_resolve_t *rs, const char *fmt, ...);

/*
 * A NUL-terminated copy of len bytes; NULL: out of memory.  data may be NULL
 * if len is 0.
 */

const char *ngx_ivschat_dup(ngx_ivschat_resolve_t *rs, const char *data,
    size_t len);

/*
 * A copy of a variable of the environment, since another module may change it
 * later; NULL if it is not set, or empty.
 */

const char *ngx_ivschat_env(ngx_ivschat_resolve_t *rs, const char *name);

/* _source_profile.c */

ngx_int_t ngx_ivschat_try_profile(ngx_ivschat_resolve_t *rs);

/*
 * Finds rs->profile_region and _sts in the profile that is in force, where
 * the credentials come from elsewhere.  Files that cannot be read have none.
 */

void ngx_ivschat_read_region(ngx_ivschat_resolve_t *rs);

/* _source_sts.c */

ngx_int_t ngx_ivschat_try_web_identity(ngx_ivschat_resolve_t *rs);

/*
 * Makes a role of its parts, which are copied, with the region and the
 * endpoint of STS.  An empty session name is that of this host; duration is
 * in seconds, 0 for STS's own.  NGX_ERROR as above.
 */

ngx_int_t ngx_ivschat_add_role(ngx_ivschat_resolve_t *rs,
    ngx_ivschat_role_t *role, ngx_ivschat_str_t arn,
    ngx_ivschat_str_t session_name, ngx_ivschat_str_t external_id,
    ngx_uint_t duration);


#endif /* _NGX_IVSCHAT_SOURCING_H_INCLUDED_ */
