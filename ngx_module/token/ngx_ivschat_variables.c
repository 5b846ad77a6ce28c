
#include "ngx_ivschat_variables.h"
#include "ngx_ivschat_request.h"


#define NGX_IVSCHAT_WRITTEN_LEN   64


typedef u_char *(*ngx_ivschat_write_pt)(ngx_ivschat_ctx_t *ctx, u_char *p);


static ngx_int_t ngx_ivschat_string_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_ivschat_written_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_ivschat_set_variable(ngx_http_variable_value_t *v,
    u_char *data, size_t len);

static u_char *ngx_ivschat_write_status(ngx_ivschat_ctx_t *ctx, u_char *p);
static u_char *ngx_ivschat_write_error(ngx_ivschat_ctx_t *ctx, u_char *p);
static u_char *ngx_ivschat_write_result(ngx_ivschat_ctx_t *ctx, u_char *p);
static u_char *ngx_ivschat_write_attempts(ngx_ivschat_ctx_t *ctx, u_char *p);
static u_char *ngx_ivschat_write_time(ngx_ivschat_ctx_t *ctx, u_char *p);
static u_char *ngx_ivschat_write_wait(ngx_ivschat_ctx_t *ctx, u_char *p);
static u_char *ngx_ivschat_write_ms(u_char *p, ngx_msec_int_t ms);


#define ngx_ivschat_variable(name, handler, data)                             \
    { ngx_string("ivschat_token_" name), NULL, handler, data,                 \
      NGX_HTTP_VAR_NOCACHEABLE, 0 }

#define ngx_ivschat_string_at(name, field)                                    \
    ngx_ivschat_variable(name, ngx_ivschat_string_variable,                   \
                         offsetof(ngx_ivschat_ctx_t, field))

#define ngx_ivschat_written(name, write)                                      \
    ngx_ivschat_variable(name, ngx_ivschat_written_variable,                  \
                         (uintptr_t) write)


static ngx_http_variable_t  ngx_ivschat_variables[] = {

    ngx_ivschat_string_at("host", policy.host),
    ngx_ivschat_string_at("user", policy.user),
    ngx_ivschat_string_at("room", policy.room.arn),
    ngx_ivschat_string_at("room_name", policy.room.name),
    ngx_ivschat_string_at("capabilities", policy.capabilities),
    ngx_ivschat_string_at("aws_request_id", subrequest.request_id),
    ngx_ivschat_written("aws_status", ngx_ivschat_write_status),
    ngx_ivschat_written("aws_error", ngx_ivschat_write_error),
    ngx_ivschat_written("result", ngx_ivschat_write_result),
    ngx_ivschat_written("attempts", ngx_ivschat_write_attempts),
    ngx_ivschat_written("time", ngx_ivschat_write_time),
    ngx_ivschat_written("wait", ngx_ivschat_write_wait),

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
ngx_ivschat_written_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                *p, *last;
    ngx_ivschat_ctx_t     *ctx;
    ngx_ivschat_write_pt   write;

    ctx = ngx_ivschat_get_ctx(r);

    p = ngx_pnalloc(r->pool, NGX_IVSCHAT_WRITTEN_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    write = (ngx_ivschat_write_pt) data;
    last = ctx ? write(ctx, p) : NULL;

    if (last == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_ivschat_set_variable(v, p, last - p);

    return NGX_OK;
}


static void
ngx_ivschat_set_variable(ngx_http_variable_value_t *v, u_char *data,
    size_t len)
{
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = data;
}


static u_char *
ngx_ivschat_write_status(ngx_ivschat_ctx_t *ctx, u_char *p)
{
    return ctx->subrequest.aws_status
           ? ngx_sprintf(p, "%03ui", ctx->subrequest.aws_status) : NULL;
}


static u_char *
ngx_ivschat_write_error(ngx_ivschat_ctx_t *ctx, u_char *p)
{
    _Static_assert(sizeof(ctx->answer.error.code) <= NGX_IVSCHAT_WRITTEN_LEN,
                   "an error's code fits");

    return ngx_sprintf(p, "%s", ctx->answer.error.code);
}


static u_char *
ngx_ivschat_write_result(ngx_ivschat_ctx_t *ctx, u_char *p)
{
    return ngx_sprintf(p, "%s",
                       ngx_ivschat_result_info(ctx->result)->code.data);
}


static u_char *
ngx_ivschat_write_attempts(ngx_ivschat_ctx_t *ctx, u_char *p)
{
    return ctx->started ? ngx_sprintf(p, "%ui", ctx->attempts) : NULL;
}


static u_char *
ngx_ivschat_write_time(ngx_ivschat_ctx_t *ctx, u_char *p)
{
    return ctx->result ? ngx_ivschat_write_ms(p, ctx->end - ctx->start) : NULL;
}


static u_char *
ngx_ivschat_write_wait(ngx_ivschat_ctx_t *ctx, u_char *p)
{
    return ctx->result ? ngx_ivschat_write_ms(p, ctx->place.waited) : NULL;
}


static u_char *
ngx_ivschat_write_ms(u_char *p, ngx_msec_int_t ms)
{
    ms = ngx_max(ms, 0);

    return ngx_sprintf(p, "%T.%03M", (time_t) ms / 1000, ms % 1000);
}
