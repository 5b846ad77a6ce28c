
/*
 * Strings of nginx as the pure layers take them.
 */


#ifndef _NGX_IVSCHAT_PURE_H_INCLUDED_
#define _NGX_IVSCHAT_PURE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "../lib/ngx_ivschat_str.h"


static ngx_inline ngx_ivschat_str_t
ngx_ivschat_pure(ngx_str_t *s)
{
    ngx_ivschat_str_t  str;

    str.data = (const char *) s->data;
    str.len = s->len;

    return str;
}


#endif /* _NGX_IVSCHAT_PURE_H_INCLUDED_ */
