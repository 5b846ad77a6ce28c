
/*
 * What the layers that know nginx share.
 */


#include "ngx_ivschat_nginx.h"


char *
ngx_ivschat_invalid(ngx_conf_t *cf, ngx_str_t *value, const char *reason)
{
    ngx_str_t  *directive;

    directive = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive: %s",
                       value, directive, reason);

    return NGX_CONF_ERROR;
}
