
/*
 * Whose word $remote_user is.
 *
 * nginx takes $remote_user from the Authorization header, whether or not
 * anything has checked the password: without auth_basic, or where "satisfy
 * any" has let the client in by its address, it is what the client says.
 * Nothing public tells that auth_basic has checked it, so we stand before its
 * access handler and see what it returns.
 */


#include "ngx_ivschat_token.h"


static ngx_http_handler_pt ngx_ivschat_find_auth_basic(ngx_conf_t *cf,
    ngx_array_t *handlers);
static ngx_int_t ngx_ivschat_auth_handler(ngx_http_request_t *r);


ngx_int_t
ngx_ivschat_auth_init(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_ivschat_main_conf_t    *mcf;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);

    handlers = &cmcf->phases[NGX_HTTP_ACCESS_PHASE].handlers;

    mcf->auth_basic = ngx_ivschat_find_auth_basic(cf, handlers);

    if (mcf->auth_basic == NULL) {
        return NGX_OK;
    }

    h = handlers->elts;

    for (i = 0; i < handlers->nelts; i++) {
        if (h[i] == mcf->auth_basic) {
            h[i] = ngx_ivschat_auth_handler;
        }
    }

    return NGX_OK;
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


static ngx_int_t
ngx_ivschat_auth_handler(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_ivschat_ctx_t        *ctx;
    ngx_ivschat_loc_conf_t   *conf;
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_get_module_main_conf(r, ngx_http_ivschat_token_module);

    rc = mcf->auth_basic(r);

    conf = ngx_http_get_module_loc_conf(r, ngx_http_ivschat_token_module);

    if (rc != NGX_OK || conf->uri.len == 0 || !conf->user->remote_user) {
        return rc;
    }

    ctx = ngx_ivschat_create_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->basic_checked = 1;

    return rc;
}
