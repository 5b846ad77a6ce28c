
/*
 * The environment: AWS's variables, as the master has them.
 */


#include "ngx_ivschat_sources.h"


static ngx_int_t ngx_ivschat_keep_variable(ngx_conf_t *cf, ngx_array_t *env,
    char *entry);


/* An "env" line with a value goes before the environment of the master. */

const char *
ngx_ivschat_getenv(ngx_cycle_t *cycle, const char *name)
{
    size_t            len;
    ngx_str_t        *var;
    ngx_uint_t        i;
    const char       *value;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    len = ngx_strlen(name);
    var = ccf->env.elts;
    value = NULL;

    for (i = 0; i < ccf->env.nelts; i++) {
        if (ngx_strncmp(var[i].data, name, len) == 0
            && var[i].data[len] == '=')
        {
            value = (const char *) var[i].data + len + 1;
        }
    }

    if (value == NULL) {
        value = getenv(name);
    }

    return (value && *value) ? value : NULL;
}


ngx_int_t
ngx_ivschat_keep_environment(ngx_conf_t *cf)
{
    char            **p;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    for (p = environ; *p; p++) {

        if (ngx_strncmp(*p, "AWS_", 4) != 0
            && ngx_strncmp(*p, "HOME=", 5) != 0)
        {
            continue;
        }

        if (ngx_ivschat_keep_variable(cf, &ccf->env, *p) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_keep_variable(ngx_conf_t *cf, ngx_array_t *env, char *entry)
{
    char       *eq;
    size_t      len;
    ngx_str_t  *var;
    ngx_uint_t  i;

    eq = strchr(entry, '=');
    if (eq == NULL) {
        return NGX_OK;
    }

    len = eq - entry;
    var = env->elts;

    for (i = 0; i < env->nelts; i++) {
        if (ngx_strncmp(var[i].data, entry, len) == 0
            && (var[i].data[len] == '\0' || var[i].data[len] == '='))
        {
            return NGX_OK;             /* the operator's own line */
        }
    }

    var = ngx_array_push(env);
    if (var == NULL) {
        return NGX_ERROR;
    }

    /* the core looks for a NUL or "=" behind the name */

    var->data = ngx_pnalloc(cf->pool, len + 1);
    if (var->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(var->data, entry, len);
    var->data[len] = '\0';
    var->len = len;

    return NGX_OK;
}
