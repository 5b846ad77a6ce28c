
/*
 * The sources of the environment.
 */


#include "ngx_ivschat_source.h"
#include "ngx_ivschat_url.h"
#include "../aws/ngx_ivschat_sts.h"


#define NGX_IVSCHAT_ECS_URL     "http://169.254.170.2"
#define NGX_IVSCHAT_IMDS_URL    "http://169.254.169.254"
#define NGX_IVSCHAT_IMDS6_URL   "http://[fd00:ec2::254]"


static ngx_int_t ngx_ivschat_keep_variable(ngx_conf_t *cf, ngx_array_t *env,
    ngx_str_t *name);


ngx_int_t
ngx_ivschat_find_env(ngx_ivschat_find_t *find)
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


/* If both of a pair are set, the choice is that of Python's and C's SDKs. */

ngx_int_t
ngx_ivschat_find_container(ngx_ivschat_find_t *find)
{
    char                   url[NGX_IVSCHAT_URL_MAX + 2];
    const char            *relative, *full;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;

    relative = ngx_ivschat_getenv(find->cf,
                                  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    full = ngx_ivschat_getenv(find->cf,
                              "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    find->named = relative || full;

    if (relative) {
        ngx_snprintf((u_char *) url, sizeof(url) - 1,
                     NGX_IVSCHAT_ECS_URL "%s%Z", relative);
        url[sizeof(url) - 1] = '\0';
        full = url;

        if (relative[0] != '/' || !ngx_ivschat_url(url)) {
            return ngx_ivschat_find_fail(find, NGX_ERROR,
                                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
                                    "is not a valid path");
        }

    } else if (full == NULL) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED, "neither "
                                     "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
                                     "nor _FULL_URI is set in the environment");

    } else if (!(ngx_ivschat_url(full) & NGX_IVSCHAT_URL_SAFE)) {
        return ngx_ivschat_find_fail(find, NGX_ERROR,
                                     "AWS_CONTAINER_CREDENTIALS_FULL_URI must "
                                     "be https, or http to this host, "
                                     "169.254.170.2, 169.254.170.23 or "
                                     "[fd00:ec2::23]");
    }

    source->base = NGX_IVSCHAT_BASE_CONTAINER;
    source->url = ngx_ivschat_find_dup(find, ngx_ivschat_str(full));
    source->token_file = ngx_ivschat_find_getenv(find,
                                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    source->token = ngx_ivschat_find_getenv(find,
                                         "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    return NGX_OK;
}


ngx_int_t
ngx_ivschat_find_imds(ngx_ivschat_find_t *find)
{
    ngx_uint_t             ipv6;
    const char            *disabled, *url, *mode;
    ngx_ivschat_source_t  *source;

    disabled = ngx_ivschat_getenv(find->cf, "AWS_EC2_METADATA_DISABLED");
    url = ngx_ivschat_getenv(find->cf, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    mode = ngx_ivschat_getenv(find->cf,
                              "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

    if (disabled && strcasecmp(disabled, "false") != 0) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED,
                                     "AWS_EC2_METADATA_DISABLED is set");
    }

    if (url && !ngx_ivschat_url(url)) {
        return ngx_ivschat_find_fail(find, NGX_ERROR,
                                     "AWS_EC2_METADATA_SERVICE_ENDPOINT is "
                                     "not a valid URL");
    }

    if (url == NULL) {
        ipv6 = mode && strcasecmp(mode, "IPv6") == 0;

        if (mode && !ipv6 && strcasecmp(mode, "IPv4") != 0) {
            return ngx_ivschat_find_fail(find, NGX_ERROR,
                                    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE "
                                    "must be IPv4 or IPv6");
        }

        url = ipv6 ? NGX_IVSCHAT_IMDS6_URL : NGX_IVSCHAT_IMDS_URL;
    }

    source = &find->found->source;
    source->base = NGX_IVSCHAT_BASE_IMDS;
    source->url = ngx_ivschat_find_dup(find,
                             ngx_ivschat_str_trim(ngx_ivschat_str(url), "/"));
    return NGX_OK;
}


ngx_int_t
ngx_ivschat_find_web_identity(ngx_ivschat_find_t *find)
{
    const char            *file, *reason;
    ngx_ivschat_role_t    *role;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;
    role = &source->web_identity;

    file = ngx_ivschat_find_getenv(find, "AWS_WEB_IDENTITY_TOKEN_FILE");
    role->role_arn = ngx_ivschat_find_getenv(find, "AWS_ROLE_ARN");
    role->session_name = ngx_ivschat_find_getenv(find,
                                                 "AWS_ROLE_SESSION_NAME");
    find->named = file || role->role_arn;

    if (file == NULL || role->role_arn == NULL) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED,
                                     "%s is not set in the environment",
                                     file ? "AWS_ROLE_ARN"
                                          : "AWS_WEB_IDENTITY_TOKEN_FILE");
    }

    reason = ngx_ivschat_sts_check_role(ngx_ivschat_str(role->role_arn));

    if (reason == NULL && role->session_name) {
        reason = ngx_ivschat_sts_check_session_name(
                     ngx_ivschat_str(role->session_name));
    }

    if (reason) {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "role \"%s\": %s",
                                     role->role_arn, reason);
    }

    source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
    source->token_file = file;

    return NGX_OK;
}


ngx_int_t
ngx_ivschat_find_fail(ngx_ivschat_find_t *find, ngx_int_t rc, const char *fmt,
    ...)
{
    u_char  *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) find->reason,
                      (u_char *) find->reason + sizeof(find->reason) - 1, fmt,
                      args);
    va_end(args);

    *p = '\0';

    return rc;
}


const char *
ngx_ivschat_find_dup(ngx_ivschat_find_t *find, ngx_ivschat_str_t s)
{
    char  *p;

    if (s.data == NULL) {
        return NULL;
    }

    p = ngx_pnalloc(find->cf->pool, s.len + 1);

    if (p == NULL) {
        find->nomem = 1;
        return NULL;
    }

    (void) ngx_ivschat_str_copy(p, s);

    return p;
}


const char *
ngx_ivschat_find_getenv(ngx_ivschat_find_t *find, const char *name)
{
    const char  *value;

    value = ngx_ivschat_getenv(find->cf, name);

    return value ? ngx_ivschat_find_dup(find, ngx_ivschat_str(value)) : NULL;
}


/* An "env" line with a value overrides the environment of the master. */

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
