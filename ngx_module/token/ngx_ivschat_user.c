
#include "ngx_ivschat_user.h"
#include "../aws/ngx_ivschat_api.h"


static const char *ngx_ivschat_check_user(ngx_str_t *value);
static const char *ngx_ivschat_user_fault(ngx_str_t *value);
static ngx_uint_t ngx_ivschat_no_user(ngx_str_t *value);
static ngx_uint_t ngx_ivschat_user_complete(ngx_http_request_t *r,
    ngx_http_complex_value_t *value);


ngx_ivschat_line_rule_t  ngx_ivschat_user_rule = {
    .check = ngx_ivschat_check_user
};


static const char *
ngx_ivschat_check_user(ngx_str_t *value)
{
    return ngx_ivschat_no_user(value) ? "an empty value and \"-\" mean that "
                                        "there is no user"
                                      : ngx_ivschat_user_fault(value);
}


static const char *
ngx_ivschat_user_fault(ngx_str_t *value)
{
    long  n;

    if (ngx_ivschat_has_control(value)) {
        return "it contains a control character";
    }

    n = ngx_ivschat_utf8_length(ngx_ivschat_pure(value));

    return n < 0 ? "it is not valid UTF-8"
           : n > NGX_IVSCHAT_USER_MAX ? "it is longer than "
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

ngx_int_t
ngx_ivschat_user_init(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_uint_t                  i, n;
    ngx_array_t                *handlers;
    ngx_module_t              **m;
    ngx_http_module_t          *ctx;
    ngx_http_handler_pt        *h;
    ngx_ivschat_main_conf_t    *mcf;
    ngx_http_core_main_conf_t  *cmcf;

    static ngx_str_t  name = ngx_string("remote_user");

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);

    /* all uses of an indexed variable share its cached value */

    mcf->remote_user = ngx_http_get_variable_index(cf, &name);
    if (mcf->remote_user == NGX_ERROR) {
        return NGX_ERROR;
    }

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
        return NGX_OK;
    }

    handlers->nelts = n;
    h = handlers->elts;
    mcf->auth_basic = h[n];

    for (i = 0; i < n; i++) {
        if (h[i] == h[n]) {
            h[i] = handler;
        }
    }

    return NGX_OK;
}


ngx_ivschat_result_e
ngx_ivschat_user_evaluate(ngx_http_request_t *r, ngx_uint_t verified,
    ngx_str_t *user)
{
    ngx_int_t              rc;
    ngx_str_t              value;
    ngx_uint_t             complete, withheld, level;
    const char            *fault;
    ngx_ivschat_line_t    *line;
    ngx_ivschat_hidden_t   hidden;

    line = ngx_ivschat_get_conf(r)->user;

    ngx_ivschat_user_hide(r, verified, &hidden);

    rc = ngx_ivschat_line_value(r, line, &value);
    complete = (rc == NGX_OK && !ngx_ivschat_no_user(&value)
                && ngx_ivschat_user_complete(r, &line->value));

    withheld = ngx_ivschat_user_show(r, &hidden);

    if (rc != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (!complete) {
        level = withheld ? NGX_LOG_ERR : NGX_LOG_INFO;

        ngx_log_error(level, r->connection->log, 0,
                      withheld
                      ? "no token without a user: \"ivschat_token_user\" "
                        "depends on $remote_user, which \"auth_basic\" has "
                        "not verified for this request; add \"auth_basic\" "
                        "to the location, without \"satisfy any\", or add "
                        "\"trusted\" to the line if another module has"
                      : "no token without a user: \"ivschat_token_user\", "
                        "or a variable in it, is empty");
        return NGX_IVSCHAT_UNAUTHENTICATED;
    }

    fault = ngx_ivschat_user_fault(&value);

    if (fault) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "invalid value of \"ivschat_token_user\": %s", fault);
        return NGX_IVSCHAT_INVALID_USER;
    }

    *user = value;

    return NGX_IVSCHAT_OK;
}


void
ngx_ivschat_user_hide(ngx_http_request_t *r, ngx_uint_t verified,
    ngx_ivschat_hidden_t *hidden)
{
    ngx_http_variable_value_t  *vv;

    hidden->active = !verified && !ngx_ivschat_get_conf(r)->user->trusted;

    if (!hidden->active) {
        return;
    }

    hidden->sent = (ngx_http_auth_basic_user(r) == NGX_OK);
    hidden->name = r->headers_in.user;

    /* this is how nginx marks that there is no name */

    ngx_str_set(&r->headers_in.user, "");

    vv = &r->variables[ngx_ivschat_get_main_conf(r)->remote_user];

    hidden->value = *vv;
    vv->valid = 0;
    vv->not_found = 0;
}


ngx_uint_t
ngx_ivschat_user_show(ngx_http_request_t *r, ngx_ivschat_hidden_t *hidden)
{
    ngx_uint_t                  asked;
    ngx_http_variable_value_t  *vv;

    if (!hidden->active) {
        return 0;
    }

    vv = &r->variables[ngx_ivschat_get_main_conf(r)->remote_user];

    asked = vv->not_found;

    r->headers_in.user = hidden->name;
    *vv = hidden->value;

    return asked && hidden->sent;
}


/*
 * Without the claim, "u-$jwt_claim_sub" is not a user.  The variables have the
 * values just used.
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
