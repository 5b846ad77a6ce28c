
/*
 * The environment, as the master has it: keys in it, and all variables of AWS.
 */


#include "ngx_ivschat_sources.h"


static ngx_int_t ngx_ivschat_keep_variable(ngx_conf_t *cf, ngx_array_t *env,
    ngx_str_t *name);


ngx_int_t
ngx_ivschat_find_keys(ngx_ivschat_find_t *find)
{
    ngx_uint_t                       i;
    const char                      *value, *reason;
    ngx_ivschat_str_t                keys[3];
    ngx_ivschat_credentials_field_e  field;

    static const char *const  names[] = {
        [NGX_IVSCHAT_ACCESS_KEY] = "AWS_ACCESS_KEY_ID",
        [NGX_IVSCHAT_SECRET_KEY] = "AWS_SECRET_ACCESS_KEY",
        [NGX_IVSCHAT_SESSION_TOKEN] = "AWS_SESSION_TOKEN"
    };

    _Static_assert(NGX_IVSCHAT_SESSION_TOKEN == 2, "a row for each field");

    for (i = 0; i < 3; i++) {
        value = ngx_ivschat_getenv(find->cf, names[i]);
        keys[i] = ngx_ivschat_str(value ? value : "");

        if (value == NULL && i != NGX_IVSCHAT_SESSION_TOKEN) {
            return ngx_ivschat_find_fail(find, NGX_DECLINED, "%s is not set "
                                         "in the environment", names[i]);
        }
    }

    reason = ngx_ivschat_credentials_set(&find->found->creds, keys[0], keys[1],
                                         keys[2], &field);
    if (reason) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED, "%s in the "
                                     "environment: %s", names[field], reason);
    }

    find->found->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


/* An "env" line with a value goes before the environment of the master. */

const char *
ngx_ivschat_getenv(ngx_conf_t *cf, const char *name)
{
    size_t            len;
    ngx_str_t        *var;
    ngx_uint_t        i;
    const char       *value;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

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
    char             **p;
    ngx_str_t          name;
    ngx_core_conf_t   *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    for (p = environ; *p; p++) {

        name.data = (u_char *) *p;
        name.len = strcspn(*p, "=");

        if ((ngx_strncmp(*p, "AWS_", 4) == 0
             || ngx_strncmp(*p, "HOME=", 5) == 0)
            && ngx_ivschat_keep_variable(cf, &ccf->env, &name) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_keep_variable(ngx_conf_t *cf, ngx_array_t *env, ngx_str_t *name)
{
    ngx_str_t   *var;
    ngx_uint_t   i;

    var = env->elts;

    for (i = 0; i < env->nelts; i++) {
        if (ngx_strncmp(var[i].data, name->data, name->len) == 0
            && (var[i].data[name->len] == '\0'
                || var[i].data[name->len] == '='))
        {
            return NGX_OK;             /* the operator's own line */
        }
    }

    var = ngx_array_push(env);
    if (var == NULL) {
        return NGX_ERROR;
    }

    /* the core looks for a NUL or "=" after the name */

    var->len = name->len;
    var->data = ngx_pnalloc(cf->pool, name->len + 1);

    if (var->data == NULL) {
        return NGX_ERROR;
    }

    ngx_cpystrn(var->data, name->data, name->len + 1);

    return NGX_OK;
}
