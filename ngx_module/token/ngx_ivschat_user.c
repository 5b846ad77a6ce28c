
/*
 * Whose word $remote_user is.
 *
 * nginx takes $remote_user from the Authorization header, whether or not
 * anything has checked the password: without auth_basic, or where "satisfy
 * any" has let the client in by its address, it is what the client says.
 * Nothing public tells that auth_basic has checked it, so we stand before its
 * access handler and see what it returns.
 */


#include "ngx_ivschat_user.h"
#include "../aws/ngx_ivschat_api.h"


static char *ngx_ivschat_check_user(ngx_conf_t *cf, ngx_ivschat_user_t *user,
    ngx_str_t *value);
static char *ngx_ivschat_user_variables(ngx_conf_t *cf,
    ngx_ivschat_user_t *user, ngx_str_t *value);
static ngx_uint_t ngx_ivschat_from_client(ngx_str_t *name);
static ngx_uint_t ngx_ivschat_next_variable(ngx_str_t *rest, ngx_str_t *name);
static ngx_http_handler_pt ngx_ivschat_find_auth_basic(ngx_conf_t *cf,
    ngx_array_t *handlers);
static ngx_uint_t ngx_ivschat_user_complete(ngx_http_request_t *r,
    ngx_ivschat_user_t *user);


char *
ngx_ivschat_user(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t           *value;
    ngx_ivschat_user_t  *user;

    if (ilcf->user != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    user = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_user_t));
    if (user == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        if (ngx_strcmp(value[2].data, "trusted") != 0) {
            return ngx_ivschat_invalid(cf, &value[2],
                                    "the only parameter here is \"trusted\"");
        }

        user->trusted = 1;
    }

    if (ngx_ivschat_compile(cf, &value[1], &user->value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ilcf->user = user;

    return ngx_ivschat_check_user(cf, user, &value[1]);
}


static char *
ngx_ivschat_check_user(ngx_conf_t *cf, ngx_ivschat_user_t *user,
    ngx_str_t *value)
{
    long  n;

    if (!ngx_ivschat_literal(&user->value)) {
        return ngx_ivschat_user_variables(cf, user, value);
    }

    if (value->len == 0 || (value->len == 1 && value->data[0] == '-')) {
        return ngx_ivschat_invalid(cf, value, "this stands for \"no user\"");
    }

    n = ngx_ivschat_utf8_length(ngx_ivschat_pure(value));

    if (n < 0) {
        return ngx_ivschat_invalid(cf, value, "it is not UTF-8");
    }

    if (n > NGX_IVSCHAT_USER_MAX) {
        return ngx_ivschat_invalid(cf, value,
                                   "a user's id has at most 128 characters");
    }

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_user_variables(ngx_conf_t *cf, ngx_ivschat_user_t *user,
    ngx_str_t *value)
{
    ngx_str_t  rest, name;

    rest = *value;

    while (ngx_ivschat_next_variable(&rest, &name)) {

        if (name.len == 1 && name.data[0] >= '1' && name.data[0] <= '9') {
            user->captures |= 1 << (name.data[0] - '0');
            continue;
        }

        if (name.len == sizeof("remote_user") - 1
            && ngx_strncasecmp(name.data, (u_char *) "remote_user", name.len)
            == 0)
        {
            user->remote_user = 1;
        }

        if (!user->trusted && ngx_ivschat_from_client(&name)) {
            return ngx_ivschat_invalid(cf, value,
                  "the client itself writes this variable, so that anyone "
                  "could be anyone; use one that authentication has set, or "
                  "add \"trusted\" if a proxy in front vouches for it");
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_ivschat_from_client(ngx_str_t *name)
{
    size_t      len;
    ngx_uint_t  i;
    static const char *const names[] = {
        "args", "query_string", "request", "request_uri", "request_body",
        NULL
    };
    static const char *const prefixes[] = {
        "http_", "arg_", "cookie_", NULL
    };

    for (i = 0; names[i]; i++) {
        len = ngx_strlen(names[i]);

        if (name->len == len
            && ngx_strncasecmp(name->data, (u_char *) names[i], len) == 0)
        {
            return 1;
        }
    }

    for (i = 0; prefixes[i]; i++) {
        len = ngx_strlen(prefixes[i]);

        if (name->len >= len
            && ngx_strncasecmp(name->data, (u_char *) prefixes[i], len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * The next "$name", "${name}" or "$1" of a value that nginx has compiled, and
 * which is thus well-formed.
 */

static ngx_uint_t
ngx_ivschat_next_variable(ngx_str_t *rest, ngx_str_t *name)
{
    u_char  *p, *last;

    last = rest->data + rest->len;

    p = ngx_strlchr(rest->data, last, '$');
    if (p == NULL) {
        return 0;
    }

    p++;

    if (p < last && *p == '{') {
        p++;
    }

    name->data = p;

    if (p < last && *p >= '1' && *p <= '9') {
        p++;

    } else {
        while (p < last
               && ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z')
                   || (*p >= '0' && *p <= '9') || *p == '_'))
        {
            p++;
        }
    }

    name->len = p - name->data;

    rest->data = p;
    rest->len = last - p;

    return 1;
}


ngx_http_handler_pt
ngx_ivschat_user_wrap_auth(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_uint_t                  i;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h, original;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handlers = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;

    original = ngx_ivschat_find_auth_basic(cf, handlers);

    if (original == NULL) {
        return NULL;
    }

    h = handlers->elts;

    for (i = 0; i < handlers->nelts; i++) {
        if (h[i] == original) {
            h[i] = handler;
        }
    }

    return original;
}


/*
 * The handler is static in its module; all that the module's postconfiguration
 * does is to push it, so it is called once more and the push taken back.
 */

static ngx_http_handler_pt
ngx_ivschat_find_auth_basic(ngx_conf_t *cf, ngx_array_t *handlers)
{
    ngx_uint_t           i, nelts;
    ngx_module_t        *module;
    ngx_http_handler_pt  handler;
    ngx_http_module_t   *ctx;

    for (i = 0; cf->cycle->modules[i]; i++) {

        module = cf->cycle->modules[i];

        if (ngx_strcmp(module->name, "ngx_http_auth_basic_module") != 0) {
            continue;
        }

        ctx = module->ctx;
        nelts = handlers->nelts;

        if (ctx->postconfiguration == NULL
            || ctx->postconfiguration(cf) != NGX_OK
            || handlers->nelts != nelts + 1)
        {
            break;
        }

        handlers->nelts = nelts;
        handler = ((ngx_http_handler_pt *) handlers->elts)[nelts];

        return handler;
    }

    /* without it, every $remote_user needs "trusted" */

    return NULL;
}


ngx_ivschat_result_e
ngx_ivschat_user_evaluate(ngx_http_request_t *r, ngx_uint_t checked,
    ngx_str_t *id)
{
    long                     n;
    ngx_str_t                value;
    ngx_ivschat_user_t      *user;
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    user = conf->user;

    if (user->remote_user && !user->trusted && !checked) {

        /* what is in the header is the client's word alone */

        if (r->headers_in.authorization) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "\"ivschat_token_user\" has $remote_user, but "
                          "\"auth_basic\" has not checked it for this "
                          "request: add it to the location, without "
                          "\"satisfy any\", or \"trusted\" to the line if "
                          "something else has");

        } else {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "no token without a user: the client sent no "
                          "credentials for $remote_user");
        }

        return NGX_IVSCHAT_UNAUTHENTICATED;
    }

    if (ngx_http_complex_value(r, &user->value, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (value.len == 0 || (value.len == 1 && value.data[0] == '-')
        || !ngx_ivschat_user_complete(r, user))
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "no token without a user: \"ivschat_token_user\", or "
                      "a variable in it, is empty");
        return NGX_IVSCHAT_UNAUTHENTICATED;
    }

    n = ngx_ivschat_utf8_length(ngx_ivschat_pure(&value));

    if (n < 0 || n > NGX_IVSCHAT_USER_MAX) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the value of \"ivschat_token_user\" is %s",
                      n < 0 ? "not UTF-8" : "longer than 128 characters");
        return NGX_IVSCHAT_INVALID_USER;
    }

    *id = value;

    return NGX_IVSCHAT_OK;
}


/* "u-$jwt_claim_sub" is nobody's name when the claim is empty. */

static ngx_uint_t
ngx_ivschat_user_complete(ngx_http_request_t *r, ngx_ivschat_user_t *user)
{
    ngx_uint_t                 *index;
    ngx_http_variable_value_t  *vv;
#if (NGX_PCRE)
    ngx_uint_t                   n;
#endif

    if (user->value.flushes) {
        for (index = user->value.flushes; *index != (ngx_uint_t) -1; index++) {

            /* its value is the one just used */

            vv = ngx_http_get_indexed_variable(r, *index);

            if (vv == NULL || vv->not_found || vv->len == 0) {
                return 0;
            }
        }
    }

#if (NGX_PCRE)

    for (n = 1; n < 10; n++) {

        if (!(user->captures & (1 << n))) {
            continue;
        }

        if (2 * n + 1 >= r->ncaptures
            || r->captures[2 * n + 1] <= r->captures[2 * n])
        {
            return 0;
        }
    }

#endif

    return 1;
}
