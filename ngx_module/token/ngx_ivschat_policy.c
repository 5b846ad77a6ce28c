
/*
 * The policy: who gets into which room, with which capabilities and
 * attributes, for how long.  It is evaluated once for a request, in this
 * order, and each step sees the variables of those before it.  A client's
 * body, where one is accepted, is read between the user and the room; it can
 * make less of what is granted, and never more.
 */


#include "ngx_ivschat_token.h"


static ngx_uint_t ngx_ivschat_user_complete(ngx_http_request_t *r,
    ngx_ivschat_user_t *user);
static ngx_ivschat_result_e ngx_ivschat_policy_host(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static ngx_ivschat_result_e ngx_ivschat_policy_capabilities(
    ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static ngx_ivschat_result_e ngx_ivschat_policy_attributes(
    ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);
static size_t ngx_ivschat_attributes_size(ngx_ivschat_request_t *policy);
static ngx_ivschat_result_e ngx_ivschat_policy_lines(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx, ngx_ivschat_attribute_t *attrs);
static ngx_ivschat_result_e ngx_ivschat_policy_attribute(ngx_http_request_t *r,
    ngx_ivschat_attribute_conf_t *line, ngx_ivschat_attribute_t *attr);
static ngx_uint_t ngx_ivschat_has_attribute(ngx_ivschat_request_t *policy,
    ngx_str_t *name);
static ngx_ivschat_result_e ngx_ivschat_policy_duration(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);
static ngx_ivschat_result_e ngx_ivschat_policy_body(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);


typedef ngx_ivschat_result_e (*ngx_ivschat_policy_pt)(ngx_http_request_t *r,
    ngx_ivschat_ctx_t *ctx);


static ngx_ivschat_policy_pt  ngx_ivschat_policy_steps[] = {
    ngx_ivschat_policy_client,
    ngx_ivschat_policy_room,
    ngx_ivschat_policy_host,
    ngx_ivschat_policy_capabilities,
    ngx_ivschat_policy_attributes,
    ngx_ivschat_policy_duration,
    ngx_ivschat_policy_body,
    NULL
};


ngx_ivschat_result_e
ngx_ivschat_policy(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_uint_t            i;
    ngx_ivschat_result_e  result;

    for (i = 0; ngx_ivschat_policy_steps[i]; i++) {
        result = ngx_ivschat_policy_steps[i](r, ctx);

        if (result != NGX_IVSCHAT_OK) {
            return result;
        }
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "ivschat token policy room:\"%V\" capabilities:\"%V\" "
                   "host:\"%V\"", &ctx->room, &ctx->capabilities, &ctx->host);

    return NGX_IVSCHAT_OK;
}


ngx_ivschat_result_e
ngx_ivschat_policy_user(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    long                 n;
    ngx_str_t            value;
    ngx_ivschat_user_t  *user;

    user = ctx->conf->user;

    if (user->remote_user && !user->trusted && !ctx->basic_checked) {

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

    ctx->user = value;
    ctx->policy.user = ngx_ivschat_pure(&ctx->user);

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


static ngx_ivschat_result_e
ngx_ivschat_policy_host(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    size_t     len;
    ngx_str_t  value;
    ngx_ivschat_str_t   service = ngx_ivschat_string(NGX_IVSCHAT_SERVICE);

    if (ctx->conf->region) {

        if (ngx_http_complex_value(r, ctx->conf->region, &value) != NGX_OK) {
            return NGX_IVSCHAT_UNKNOWN;
        }

        if (!ngx_ivschat_region_valid(ngx_ivschat_pure(&value))) {
            value = ngx_ivschat_printable(r, &value);

            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "the value of \"ivschat_token_region\" is no "
                          "region's name: \"%V\"", &value);

            return NGX_IVSCHAT_MISCONFIGURED;
        }

        ctx->region = value;
    }

    if (ctx->conf->endpoint.len) {
        ctx->host = ctx->conf->endpoint;
        return NGX_IVSCHAT_OK;
    }

    ctx->host.data = ngx_pnalloc(r->pool, NGX_IVSCHAT_HOST_MAX + 1);
    if (ctx->host.data == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_host(service, ngx_ivschat_pure(&ctx->region),
                         (char *) ctx->host.data, NGX_IVSCHAT_HOST_MAX + 1,
                         &len)
        != 0)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    ctx->host.len = len;

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_capabilities(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_array_t                 *lines;
    ngx_ivschat_capabilities_t  *line;

    lines = ctx->conf->capabilities;

    if (lines) {
        line = lines->elts;

        for (i = 0; i < lines->nelts; i++) {

            rc = ngx_ivschat_holds(r, line[i].condition);

            if (rc == NGX_ERROR) {
                return NGX_IVSCHAT_UNKNOWN;
            }

            if (rc == NGX_OK) {
                ctx->policy.capabilities |= line[i].bits;
            }
        }
    }

    if (ctx->conf->client_body) {
        ctx->policy.capabilities &= ctx->client.capabilities;
    }

    ctx->capabilities.data = ngx_pnalloc(r->pool,
                                         NGX_IVSCHAT_CAPABILITIES_LEN);
    if (ctx->capabilities.data == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    ctx->capabilities.len = ngx_ivschat_capabilities_text(
                                          ctx->policy.capabilities,
                                          (char *) ctx->capabilities.data);

    return NGX_IVSCHAT_OK;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_attributes(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    size_t                    size;
    ngx_uint_t                n;
    ngx_ivschat_result_e      result;
    ngx_ivschat_attribute_t  *attrs;

    n = ctx->client.nattributes
        + (ctx->conf->attributes ? ctx->conf->attributes->nelts : 0);

    if (n == 0) {
        return NGX_IVSCHAT_OK;
    }

    attrs = ngx_palloc(r->pool, n * sizeof(ngx_ivschat_attribute_t));
    if (attrs == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    ctx->policy.attributes = attrs;

    result = ngx_ivschat_policy_lines(r, ctx, attrs);

    if (result != NGX_IVSCHAT_OK) {
        return result;
    }

    size = ngx_ivschat_attributes_size(&ctx->policy);

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the values of \"ivschat_token_attribute\" have %uz "
                      "bytes with their names, and AWS takes %d",
                      size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_IVSCHAT_INVALID_ATTRIBUTES;
    }

    ctx->policy.nattributes = ngx_ivschat_body_attributes(&ctx->client, attrs,
                                                   ctx->policy.nattributes);

    size = ngx_ivschat_attributes_size(&ctx->policy);

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the attributes have %uz bytes with those of the "
                      "client's body, and AWS takes %d",
                      size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_IVSCHAT_INVALID_ATTRIBUTES;
    }

    return NGX_IVSCHAT_OK;
}


static size_t
ngx_ivschat_attributes_size(ngx_ivschat_request_t *policy)
{
    size_t  i, size;

    size = 0;

    for (i = 0; i < policy->nattributes; i++) {
        size += policy->attributes[i].name.len
                + policy->attributes[i].value.len;
    }

    return size;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_lines(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_attribute_t *attrs)
{
    ngx_uint_t                     i;
    ngx_array_t                   *lines;
    ngx_ivschat_result_e           result;
    ngx_ivschat_attribute_t       *attr;
    ngx_ivschat_attribute_conf_t  *line;

    lines = ctx->conf->attributes;

    if (lines == NULL) {
        return NGX_IVSCHAT_OK;
    }

    line = lines->elts;

    for (i = 0; i < lines->nelts; i++) {

        if (ngx_ivschat_has_attribute(&ctx->policy, &line[i].name)) {
            continue;
        }

        attr = &attrs[ctx->policy.nattributes];

        result = ngx_ivschat_policy_attribute(r, &line[i], attr);

        if (result != NGX_IVSCHAT_OK) {
            return result;
        }

        if (attr->value.len) {
            ctx->policy.nattributes++;
        }
    }

    return NGX_IVSCHAT_OK;
}


/* An empty value means that this line adds nothing. */

static ngx_ivschat_result_e
ngx_ivschat_policy_attribute(ngx_http_request_t *r,
    ngx_ivschat_attribute_conf_t *line, ngx_ivschat_attribute_t *attr)
{
    ngx_int_t  rc;
    ngx_str_t  value;

    attr->value.len = 0;

    rc = ngx_ivschat_holds(r, line->condition);

    if (rc == NGX_ERROR) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (rc == NGX_DECLINED) {
        return NGX_IVSCHAT_OK;
    }

    if (ngx_http_complex_value(r, &line->value, &value) != NGX_OK) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_utf8_length(ngx_ivschat_pure(&value)) < 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_attribute %V\" is not "
                      "UTF-8", &line->name);
        return NGX_IVSCHAT_INVALID_ATTRIBUTES;
    }

    attr->name = ngx_ivschat_pure(&line->name);
    attr->value = ngx_ivschat_pure(&value);

    return NGX_IVSCHAT_OK;
}


static ngx_uint_t
ngx_ivschat_has_attribute(ngx_ivschat_request_t *policy, ngx_str_t *name)
{
    size_t  i;

    for (i = 0; i < policy->nattributes; i++) {
        if (policy->attributes[i].name.len == name->len
            && ngx_memcmp(policy->attributes[i].name.data, name->data,
                          name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_ivschat_result_e
ngx_ivschat_policy_duration(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    ngx_str_t  value;

    ngx_str_null(&value);

    if (ctx->conf->session_duration
        && ngx_http_complex_value(r, ctx->conf->session_duration, &value)
        != NGX_OK)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    ctx->policy.duration = ngx_ivschat_minutes(&value);

    if (ctx->policy.duration == 0 && value.len) {
        value = ngx_ivschat_printable(r, &value);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the value of \"ivschat_token_session_duration\" is "
                      "\"%V\", and whole minutes from \"1m\" to \"180m\" "
                      "are needed, with a unit", &value);

        return NGX_IVSCHAT_MISCONFIGURED;
    }

    if (ctx->conf->client_body) {
        ctx->policy.duration = ngx_ivschat_body_duration(&ctx->client,
                                                         ctx->policy.duration);
    }

    return NGX_IVSCHAT_OK;
}


/* Every attempt sends the same bytes, so they are written and hashed once. */

static ngx_ivschat_result_e
ngx_ivschat_policy_body(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx)
{
    char   *json;
    size_t  len;

    if (ngx_ivschat_request_json(&ctx->policy, &json, &len) != 0) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    ctx->body.data = ngx_pnalloc(r->pool, len);

    if (ctx->body.data) {
        ngx_memcpy(ctx->body.data, json, len);
        ctx->body.len = len;
    }

    free(json);

    if (ctx->body.data == NULL
        || ngx_ivschat_sigv4_hash(ctx->body.data, ctx->body.len,
                                  ctx->body_hash)
        != 0)
    {
        return NGX_IVSCHAT_UNKNOWN;
    }

    return NGX_IVSCHAT_OK;
}


ngx_int_t
ngx_ivschat_holds(ngx_http_request_t *r, ngx_http_complex_value_t *condition)
{
    ngx_str_t  value;

    if (condition == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, condition, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_ivschat_false(&value) ? NGX_DECLINED : NGX_OK;
}


ngx_str_t
ngx_ivschat_printable(ngx_http_request_t *r, ngx_str_t *value)
{
    size_t     i;
    ngx_str_t  s;

    s.len = ngx_min(value->len, NGX_IVSCHAT_ROOM_ARN_MAX + 32);

    s.data = ngx_pnalloc(r->pool, s.len);
    if (s.data == NULL) {
        s.len = 0;
    }

    for (i = 0; i < s.len; i++) {
        s.data[i] = (value->data[i] >= 0x20 && value->data[i] < 0x7f)
                    ? value->data[i] : '?';
    }

    return s;
}
