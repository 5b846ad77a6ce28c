
/*
 * ivschat_token_credentials: its sources, one slot for each distinct line.
 */


#include "ngx_http_ivschat_token_credentials.h"


#define NGX_HTTP_IVSCHAT_TOKEN_KEY_MAX       128
#define NGX_HTTP_IVSCHAT_TOKEN_SECRET_MAX    256
#define NGX_HTTP_IVSCHAT_TOKEN_SESSION_MAX   8192


struct ngx_http_ivschat_token_slot_s {
    ngx_str_t                              name;     /* of its source */
    ngx_http_ivschat_token_credentials_t   creds;
    unsigned                               usable:1;
};


static char *ngx_http_ivschat_token_unknown_source(ngx_conf_t *cf,
    ngx_str_t *value, const char *reason);
static char *ngx_http_ivschat_token_static(ngx_conf_t *cf,
    ngx_http_ivschat_token_slot_t *slot);
static char *ngx_http_ivschat_token_secret_error(ngx_conf_t *cf,
    const char *parameter, const char *reason);
static void ngx_http_ivschat_token_env(ngx_conf_t *cf,
    ngx_http_ivschat_token_slot_t *slot);
static ngx_int_t ngx_http_ivschat_token_getenv(ngx_conf_t *cf,
    const char *name, ngx_str_t *value);
static const char *ngx_http_ivschat_token_check_creds(
    ngx_http_ivschat_token_credentials_t *creds, const char **parameter);
static ngx_uint_t ngx_http_ivschat_token_visible(ngx_str_t *value);
static ngx_http_ivschat_token_slot_t *ngx_http_ivschat_token_add_slot(
    ngx_conf_t *cf, ngx_http_ivschat_token_slot_t *slot);
static ngx_uint_t ngx_http_ivschat_token_same(ngx_str_t *a, ngx_str_t *b);
static ngx_int_t ngx_http_ivschat_token_keep_variable(ngx_conf_t *cf,
    ngx_array_t *env, char *entry);


char *
ngx_http_ivschat_token_credentials(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_ivschat_token_loc_conf_t *ilcf = conf;

    size_t                          n;
    ngx_str_t                      *value;
    ngx_http_ivschat_token_slot_t   slot;

    if (ilcf->credentials != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_memzero(&slot, sizeof(ngx_http_ivschat_token_slot_t));

    slot.name = value[1];

    if (ngx_strcmp(value[1].data, "static") == 0) {

        if (ngx_http_ivschat_token_static(cf, &slot) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }

    } else if (ngx_strcmp(value[1].data, "env") == 0
               || ngx_strcmp(value[1].data, "auto") == 0)
    {
        if (cf->args->nelts > 2) {
            n = strcspn((char *) value[2].data, "=");

            if (n == value[2].len) {
                n = 0;                 /* it may be a secret */
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%*s=\" in "
                               "\"ivschat_token_credentials %V\" directive: "
                               "this source has no such parameter",
                               n, value[2].data, &value[1]);
            return NGX_CONF_ERROR;
        }

        ngx_http_ivschat_token_env(cf, &slot);

    } else {
        return ngx_http_ivschat_token_unknown_source(cf, &value[1],
                        "the sources are \"auto\", \"env\" and \"static\"");
    }

    ilcf->credentials = ngx_http_ivschat_token_add_slot(cf, &slot);
    if (ilcf->credentials == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_http_ivschat_token_slot_t *
ngx_http_ivschat_token_credentials_default(ngx_conf_t *cf)
{
    ngx_http_ivschat_token_slot_t  slot;

    ngx_memzero(&slot, sizeof(ngx_http_ivschat_token_slot_t));

    ngx_str_set(&slot.name, "auto");

    ngx_http_ivschat_token_env(cf, &slot);

    return ngx_http_ivschat_token_add_slot(cf, &slot);
}


ngx_int_t
ngx_http_ivschat_token_credentials_get(ngx_http_ivschat_token_slot_t *slot,
    ngx_http_ivschat_token_credentials_t *creds)
{
    if (!slot->usable) {
        return NGX_DECLINED;
    }

    *creds = slot->creds;

    return NGX_OK;
}


ngx_str_t *
ngx_http_ivschat_token_credentials_name(ngx_http_ivschat_token_slot_t *slot)
{
    return &slot->name;
}


/* It may be a secret that has got to the wrong place: only a word is shown. */

static char *
ngx_http_ivschat_token_unknown_source(ngx_conf_t *cf, ngx_str_t *value,
    const char *reason)
{
    size_t     i;
    ngx_str_t  shown;

    shown = *value;

    for (i = 0; i < value->len; i++) {
        if (!((value->data[i] >= 'a' && value->data[i] <= 'z')
              || (value->data[i] >= 'A' && value->data[i] <= 'Z')
              || value->data[i] == '_' || value->data[i] == '-')
            || i == 20)
        {
            ngx_str_set(&shown, "…");
            break;
        }
    }

    return ngx_http_ivschat_token_invalid(cf, &shown, reason);
}


/* static key=… secret=… [token=…] */

static char *
ngx_http_ivschat_token_static(ngx_conf_t *cf,
    ngx_http_ivschat_token_slot_t *slot)
{
    size_t       len;
    ngx_str_t   *value, *target;
    ngx_uint_t   i, k;
    const char  *reason, *parameter;

    static const char *const  names[] = { "key=", "secret=", "token=" };

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        for (k = 0; k < 3; k++) {
            len = ngx_strlen(names[k]);

            if (ngx_strncmp(value[i].data, names[k], len) == 0) {
                break;
            }
        }

        if (k == 3) {

            /* it may well be a secret, so it is not shown */

            return ngx_http_ivschat_token_secret_error(cf, "…",
                       "the parameters are \"key=\", \"secret=\" and "
                       "\"token=\"");
        }

        target = (k == 0) ? &slot->creds.access_key
                 : (k == 1) ? &slot->creds.secret_key
                            : &slot->creds.session_token;

        if (target->data) {
            return ngx_http_ivschat_token_secret_error(cf, names[k],
                                                       "it is there twice");
        }

        target->data = value[i].data + len;
        target->len = value[i].len - len;

        if (target->len == 0) {
            return ngx_http_ivschat_token_secret_error(cf, names[k],
                                                       "it is empty");
        }
    }

    reason = ngx_http_ivschat_token_check_creds(&slot->creds, &parameter);
    if (reason) {
        return ngx_http_ivschat_token_secret_error(cf, parameter, reason);
    }

    slot->usable = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_ivschat_token_secret_error(ngx_conf_t *cf, const char *parameter,
    const char *reason)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%s\" in "
                       "\"ivschat_token_credentials static\" directive: %s",
                       parameter, reason);

    return NGX_CONF_ERROR;
}


static void
ngx_http_ivschat_token_env(ngx_conf_t *cf,
    ngx_http_ivschat_token_slot_t *slot)
{
    const char  *reason, *parameter, *name;

    if (ngx_http_ivschat_token_getenv(cf, "AWS_ACCESS_KEY_ID",
                                      &slot->creds.access_key)
        != NGX_OK
        || ngx_http_ivschat_token_getenv(cf, "AWS_SECRET_ACCESS_KEY",
                                         &slot->creds.secret_key)
           != NGX_OK)
    {
        /* a shell has not the environment that the service has */

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are "
                           "not both set in the environment, so "
                           "\"ivschat_token_credentials %V\" has no "
                           "credentials", &slot->name);
        return;
    }

    (void) ngx_http_ivschat_token_getenv(cf, "AWS_SESSION_TOKEN",
                                         &slot->creds.session_token);

    reason = ngx_http_ivschat_token_check_creds(&slot->creds, &parameter);

    if (reason) {
        name = (*parameter == 'k') ? "AWS_ACCESS_KEY_ID"
               : (*parameter == 's') ? "AWS_SECRET_ACCESS_KEY"
                                     : "AWS_SESSION_TOKEN";

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "%s of the environment is unusable: %s",
                           name, reason);
        return;
    }

    slot->usable = 1;
}


/* An "env" line with a value goes before the environment of the master. */

static ngx_int_t
ngx_http_ivschat_token_getenv(ngx_conf_t *cf, const char *name,
    ngx_str_t *value)
{
    char             *p;
    size_t            len;
    ngx_str_t        *var;
    ngx_uint_t        i;
    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);
    len = ngx_strlen(name);
    var = ccf->env.elts;
    p = NULL;

    for (i = 0; i < ccf->env.nelts; i++) {
        if (ngx_strncmp(var[i].data, name, len) == 0
            && var[i].data[len] == '=')
        {
            p = (char *) var[i].data + len + 1;
        }
    }

    if (p == NULL) {
        p = getenv(name);
    }

    if (p == NULL || *p == '\0') {
        return NGX_DECLINED;
    }

    value->len = ngx_strlen(p);

    value->data = ngx_pnalloc(cf->pool, value->len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value->data, p, value->len);

    return NGX_OK;
}


/* NULL, or why the parameter cannot be used. */

static const char *
ngx_http_ivschat_token_check_creds(
    ngx_http_ivschat_token_credentials_t *creds, const char **parameter)
{
    size_t   i;
    u_char   c;

    *parameter = "key=";

    if (creds->access_key.len == 0) {
        return "it is missing";
    }

    if (creds->access_key.len > NGX_HTTP_IVSCHAT_TOKEN_KEY_MAX) {
        return "it is too long";
    }

    for (i = 0; i < creds->access_key.len; i++) {
        c = creds->access_key.data[i];

        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')
              || (c >= 'a' && c <= 'z') || c == '_'))
        {
            return "an access key id has only letters, digits and \"_\"";
        }
    }

    *parameter = "secret=";

    if (creds->secret_key.len == 0) {
        return "it is missing";
    }

    if (creds->secret_key.len > NGX_HTTP_IVSCHAT_TOKEN_SECRET_MAX
        || !ngx_http_ivschat_token_visible(&creds->secret_key))
    {
        return "it is too long, or has blanks or control characters";
    }

    *parameter = "token=";

    if (creds->session_token.len > NGX_HTTP_IVSCHAT_TOKEN_SESSION_MAX
        || !ngx_http_ivschat_token_visible(&creds->session_token))
    {
        return "it is too long, or has blanks or control characters";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_ivschat_token_visible(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] <= 0x20 || value->data[i] >= 0x7f) {
            return 0;
        }
    }

    return 1;
}


/* Equal lines share a slot. */

static ngx_http_ivschat_token_slot_t *
ngx_http_ivschat_token_add_slot(ngx_conf_t *cf,
    ngx_http_ivschat_token_slot_t *slot)
{
    ngx_uint_t                            i;
    ngx_http_ivschat_token_slot_t        *copy, **slots, **p;
    ngx_http_ivschat_token_main_conf_t   *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);
    slots = mcf->slots.elts;

    for (i = 0; i < mcf->slots.nelts; i++) {
        if (ngx_http_ivschat_token_same(&slots[i]->name, &slot->name)
            && ngx_http_ivschat_token_same(&slots[i]->creds.access_key,
                                           &slot->creds.access_key)
            && ngx_http_ivschat_token_same(&slots[i]->creds.secret_key,
                                           &slot->creds.secret_key)
            && ngx_http_ivschat_token_same(&slots[i]->creds.session_token,
                                           &slot->creds.session_token))
        {
            return slots[i];
        }
    }

    copy = ngx_palloc(cf->pool, sizeof(ngx_http_ivschat_token_slot_t));
    if (copy == NULL) {
        return NULL;
    }

    p = ngx_array_push(&mcf->slots);
    if (p == NULL) {
        return NULL;
    }

    *copy = *slot;
    copy->creds.id = mcf->slots.nelts;
    *p = copy;

    return copy;
}


static ngx_uint_t
ngx_http_ivschat_token_same(ngx_str_t *a, ngx_str_t *b)
{
    return a->len == b->len && ngx_memcmp(a->data, b->data, a->len) == 0;
}


ngx_int_t
ngx_http_ivschat_token_keep_environment(ngx_conf_t *cf)
{
    char             **p;
    ngx_core_conf_t   *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);

    for (p = environ; *p; p++) {

        if (ngx_strncmp(*p, "AWS_", 4) != 0
            && ngx_strncmp(*p, "HOME=", 5) != 0)
        {
            continue;
        }

        if (ngx_http_ivschat_token_keep_variable(cf, &ccf->env, *p)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_keep_variable(ngx_conf_t *cf, ngx_array_t *env,
    char *entry)
{
    char        *eq;
    size_t       len;
    ngx_str_t   *var;
    ngx_uint_t   i;

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
