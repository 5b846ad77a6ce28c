
/*
 * Prints the names of all variables that are registered in nginx, and of the
 * prefixes, when the configuration is read.  t/003-variables.t builds it.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


static ngx_int_t ngx_variables_print(ngx_conf_t *cf);


static ngx_http_module_t  ngx_variables_module_ctx = {
    NULL,                                     /* preconfiguration */
    ngx_variables_print,                      /* postconfiguration */
    NULL, NULL, NULL, NULL, NULL, NULL
};


static ngx_module_t  ngx_variables_module = {
    NGX_MODULE_V1,
    &ngx_variables_module_ctx,                /* module context */
    NULL,                                     /* module directives */
    NGX_HTTP_MODULE,                          /* module type */
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


/* What nginx's build writes for a dynamic module. */

ngx_module_t  *ngx_modules[] = { &ngx_variables_module, NULL };
char          *ngx_module_names[] = { "ngx_variables_module", NULL };
char          *ngx_module_order[] = { NULL };


static ngx_int_t
ngx_variables_print(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_hash_key_t             *key;
    ngx_http_variable_t        *prefix;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {
        ngx_log_stderr(0, "variable %V", &key[i].key);
    }

    prefix = cmcf->prefix_variables.elts;

    for (i = 0; i < cmcf->prefix_variables.nelts; i++) {
        ngx_log_stderr(0, "variable %V", &prefix[i].name);
    }

    return NGX_OK;
}
