
/*
 * What the layers that know nginx share.
 */


#ifndef _NGX_IVSCHAT_NGINX_H_INCLUDED_
#define _NGX_IVSCHAT_NGINX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "../lib/ngx_ivschat_str.h"


/*
 * Logs 'invalid value "…" in "directive": reason' and returns NGX_CONF_ERROR.
 */
char *ngx_ivschat_invalid(ngx_conf_t *cf, ngx_str_t *value,
    const char *reason);


/* A string of nginx as the pure layers take it. */

static ngx_inline ngx_ivschat_str_t
ngx_ivschat_pure(ngx_str_t *s)
{
    ngx_ivschat_str_t  str;

    str.data = (const char *) s->data;
    str.len = s->len;

    return str;
}


#endif /* _NGX_IVSCHAT_NGINX_H_INCLUDED_ */
