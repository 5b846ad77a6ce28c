
/*
 * The user, and whether auth_basic has checked it.
 *
 * nginx takes $remote_user from the Authorization header, whether or not
 * anything has checked the password: without auth_basic, or where "satisfy
 * any" has let the client in by its address, it is what the client says.
 * Nothing public tells that auth_basic has checked it, so we stand before its
 * access handler and see what it returns.
 */


#include "ngx_ivschat_user.h"
#include "../aws/ngx_ivschat_api.h"


static const char *ngx_ivschat_check_user(ngx_str_t *value);
static ngx_uint_t ngx_ivschat_no_user(ngx_str_t *value);
static ngx_uint_t ngx_ivschat_user_complete(ngx_http_request_t *r,
    ngx_http_complex_value_t *value);


ngx_ivschat_line_rule_t  ngx_ivschat_user_rule = {
    .params = NGX_IVSCHAT_LINE_TRUSTED,
    .check = ngx_ivschat_check_user
};


static const char *
ngx_ivschat_check_user(ngx_str_t *value)
{
    long  n;

    if (ngx_ivschat_no_user(value)) {
        return "this stands for \"no user\"";
    }

    n = ngx_ivschat_utf8_length(ngx_ivschat_pure(value));

    return n < 0 ? "it is not UTF-8"
           : n > NGX_IVSCHAT_USER_MAX ? "a user's id has at most "
             ngx_ivschat_value(NGX_IVSCHAT_USER_MAX) " characters" : NULL;
}


static ngx_uint_t
ngx_ivschat_no_user(ngx_str_t *value)
{
    return value->len == 0 || (value->len == 1 && value->data[0] == '-');
}


/*
 * The handler is static in its module; all that the module's postconfiguration
 * does is to push it, so it is called once more and the push taken back.
 * Without the module, every $remote_user needs "trusted".
 */

ngx_http_handler_pt
ngx_ivschat_user_wrap_auth(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_uint_t                  i, n;
    ngx_array_t                *handlers;
    ngx_module_t              **m;
    ngx_http_module_t          *ctx;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    handlers = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;
    n = handlers->nelts;

    for (m = cf->cycle->modules; *m; m++) {
        if (ngx_strcmp((*m)->name, "ngx_http_auth_basic_module") == 0) {
            break;
        }
    }

    ctx = *m ? (*m)->ctx : NULL;

    if (ctx == NULL
        || ctx->postconfiguration == NULL
        || ctx->postconfiguration(cf) != NGX_OK
        || handlers->nelts != n + 1)
    {
        return NULL;
    }

    handlers->nelts = n;
    h = handlers->elts;

    for (i = 0; i < n; i++) {
        if (h[i] == h[n]) {
            h[i] = handler;
        }
    }

    return h[n];
}


ngx_ivschat_result_e
ngx_ivschat_user_evaluate(ngx_http_request_t *r, ngx_uint_t checked,
    ngx_str_t *user)
{
    long                 n;
    ngx_str_t            value;
    ngx_uint_t           sent, level;
    ngx_ivschat_line_t  *line;

    line = ngx_ivschat_get_conf(r)->user;

    if (line->remote_user && !line->trusted && !checked) {

        /* what is in the header is the client's word alone */

        sent = (r->headers_in.authorization != NULL);
        level = sent ? NGX_LOG_ERR : NGX_LOG_INFO;

        ngx_log_error(level, r->connection->log, 0,
                      sent ? "\"ivschat_token_user\" has $remote_user, but "
                             "\"auth_basic\" has not checked it for this "
                             "request: add it to the location, without "
                             "\"satisfy any\", or \"trusted\" to the line "
                             "if something else has"
                           : "no token without a user: the client sent no "
                             "credentials for $remote_user");

        return NGX_IVSCHAT_UNAUTHENTICATED;
    }

    if (ngx_ivschat_line_value(r, line, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_no_user(&value)
        || !ngx_ivschat_user_complete(r, &line->value))
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
                      n < 0 ? "not UTF-8" : "longer than "
                      ngx_ivschat_value(NGX_IVSCHAT_USER_MAX) " characters");
        return NGX_IVSCHAT_INVALID_USER;
    }

    *user = value;

    return NGX_IVSCHAT_OK;
}


/*
 * "u-$jwt_claim_sub" is nobody's name when the claim is empty.  The variables
 * have the values just used.
 */

static ngx_uint_t
ngx_ivschat_user_complete(ngx_http_request_t *r,
    ngx_http_complex_value_t *value)
{
    ngx_uint_t                 *index;
    ngx_http_variable_value_t  *vv;

    index = value->flushes;

    for ( /* void */ ; index && *index != (ngx_uint_t) -1; index++) {

        vv = ngx_http_get_indexed_variable(r, *index);

        if (vv == NULL || vv->not_found || vv->len == 0) {
            return 0;
        }
    }

#if (NGX_PCRE)
    {
    int         i;
    ngx_uint_t  n;

    for (n = 0; n + 1 < value->value.len; n++) {

        i = 2 * (value->value.data[n + 1] - '0');

        if (value->value.data[n] == '$' && i >= 2 && i <= 18
            && ((ngx_uint_t) i + 1 >= r->ncaptures
                || r->captures[i + 1] <= r->captures[i]))
        {
            return 0;
        }
    }
    }
#endif

    return 1;
}
