
/*
 * The variables.  None of them holds a token, a key or an attribute.
 */


#include "ngx_ivschat_variables.h"
#include "ngx_ivschat_request.h"


static ngx_int_t ngx_ivschat_string_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_ivschat_result_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_ivschat_attempts_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_ivschat_time_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_ivschat_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_ivschat_error_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_ivschat_variables[] = {

    { ngx_string("ivschat_token_host"), NULL,
      ngx_ivschat_string_variable,
      offsetof(ngx_ivschat_ctx_t, policy.host),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_user"), NULL,
      ngx_ivschat_string_variable,
      offsetof(ngx_ivschat_ctx_t, policy.user),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_room"), NULL,
      ngx_ivschat_string_variable,
      offsetof(ngx_ivschat_ctx_t, policy.room.arn),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_room_name"), NULL,
      ngx_ivschat_string_variable,
      offsetof(ngx_ivschat_ctx_t, policy.room.name),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_capabilities"), NULL,
      ngx_ivschat_string_variable,
      offsetof(ngx_ivschat_ctx_t, policy.capabilities),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_aws_request_id"), NULL,
      ngx_ivschat_string_variable,
      offsetof(ngx_ivschat_ctx_t, subrequest.request_id),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_aws_status"), NULL,
      ngx_ivschat_status_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_aws_error"), NULL,
      ngx_ivschat_error_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_result"), NULL,
      ngx_ivschat_result_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_attempts"), NULL,
      ngx_ivschat_attempts_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_time"), NULL,
      ngx_ivschat_time_variable, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("ivschat_token_wait"), NULL,
      ngx_ivschat_time_variable, 1,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_ivschat_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_ivschat_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static ngx_inline void
ngx_ivschat_set_variable(ngx_http_variable_value_t *v, u_char *data,
    size_t len)
{
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = data;
}


static ngx_int_t
ngx_ivschat_string_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t          *s;
    ngx_ivschat_ctx_t  *ctx;

    ctx = ngx_ivschat_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    s = (ngx_str_t *) ((char *) ctx + data);

    ngx_ivschat_set_variable(v, s->data, s->len);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_result_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_ivschat_ctx_t                *ctx;
    const ngx_ivschat_result_info_t  *info;

    ctx = ngx_ivschat_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    info = ngx_ivschat_result_info(ctx->result);

    ngx_ivschat_set_variable(v, (u_char *) info->code.data, info->code.len);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_attempts_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char             *p;
    ngx_ivschat_ctx_t  *ctx;

    ctx = ngx_ivschat_get_ctx(r);

    if (ctx == NULL || !ctx->started) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_ivschat_set_variable(v, p, ngx_sprintf(p, "%ui", ctx->attempts) - p);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_time_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    u_char             *p;
    ngx_msec_int_t      ms;
    ngx_ivschat_ctx_t  *ctx;

    ctx = ngx_ivschat_get_ctx(r);

    if (ctx == NULL || ctx->result == NGX_IVSCHAT_UNKNOWN) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_TIME_T_LEN + 4);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ms = data ? (ngx_msec_int_t) ctx->place.waited
              : ngx_max((ngx_msec_int_t) (ctx->end - ctx->start), 0);

    ngx_ivschat_set_variable(v, p,
                    ngx_sprintf(p, "%T.%03M", (time_t) ms / 1000, ms % 1000)
                             - p);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_status_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char             *p;
    ngx_ivschat_ctx_t  *ctx;

    ctx = ngx_ivschat_get_ctx(r);

    if (ctx == NULL || ctx->subrequest.aws_status == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_ivschat_set_variable(v, p,
                    ngx_sprintf(p, "%03ui", ctx->subrequest.aws_status) - p);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_error_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t data)
{
    ngx_ivschat_ctx_t  *ctx;

    ctx = ngx_ivschat_get_ctx(r);

    if (ctx == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_ivschat_set_variable(v, (u_char *) ctx->answer.error.code,
                             ngx_strlen(ctx->answer.error.code));

    return NGX_OK;
}
