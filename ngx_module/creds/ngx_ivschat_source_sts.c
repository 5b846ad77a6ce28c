
/*
 * The sources that ask STS: a role for a web identity token, and roles that
 * are assumed with the credentials of another source.
 */


#include "ngx_ivschat_sourcing.h"
#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_sts.h"
#include "ngx_ivschat_url.h"


static ngx_int_t ngx_ivschat_role_sts(ngx_ivschat_resolve_t *rs,
    ngx_ivschat_role_t *role);
static ngx_int_t ngx_ivschat_sts_endpoint(ngx_ivschat_resolve_t *rs,
    ngx_ivschat_role_t *role, const char *url);


ngx_int_t
ngx_ivschat_try_web_identity(ngx_ivschat_resolve_t *rs)
{
    const char            *role, *file;
    ngx_ivschat_str_t      none = { NULL, 0 };
    ngx_ivschat_source_t  *source;

    role = ngx_ivschat_env(rs, "AWS_ROLE_ARN");
    file = ngx_ivschat_env(rs, "AWS_WEB_IDENTITY_TOKEN_FILE");

    if (role == NULL || file == NULL) {
        ngx_ivschat_reason(rs, "%s is not set in the environment",
                           file == NULL
                           ? "AWS_WEB_IDENTITY_TOKEN_FILE"
                           : "AWS_ROLE_ARN");
        return NGX_DECLINED;
    }

    source = &rs->out->source;
    source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
    source->token_file = file;

    return ngx_ivschat_add_role(rs, &source->web_identity,
                                ngx_ivschat_pure_c(role),
                                ngx_ivschat_pure_c(
                      ngx_ivschat_env(rs, "AWS_ROLE_SESSION_NAME")),
                                none, 0);
}


ngx_int_t
ngx_ivschat_add_role(ngx_ivschat_resolve_t *rs, ngx_ivschat_role_t *role,
    ngx_ivschat_str_t arn, ngx_ivschat_str_t session_name,
    ngx_ivschat_str_t external_id, ngx_uint_t duration)
{
    size_t       len;
    char         name[NGX_IVSCHAT_SESSION_NAME_MAX + 1];
    const char  *reason;

    ngx_memzero(role, sizeof(ngx_ivschat_role_t));

    if (session_name.len == 0) {
        len = ngx_ivschat_sts_session_name(
                   ngx_ivschat_pure(&rs->cf->cycle->hostname),
                                           name);
        session_name.data = name;
        session_name.len = len;
    }

    reason = ngx_ivschat_sts_check_role(arn);

    if (reason == NULL) {
        reason = ngx_ivschat_sts_check_session_name(session_name);
    }

    if (reason) {
        ngx_ivschat_reason(rs, "role \"%*s\": %s", arn.len, arn.data, reason);
        return NGX_ERROR;
    }

    role->role_arn = ngx_ivschat_dup(rs, arn.data, arn.len);
    role->session_name = ngx_ivschat_dup(rs, session_name.data,
                                         session_name.len);

    if (external_id.len) {
        role->external_id = ngx_ivschat_dup(rs, external_id.data,
                                            external_id.len);
    }

    if (role->role_arn == NULL || role->session_name == NULL
        || (external_id.len && role->external_id == NULL))
    {
        ngx_ivschat_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    role->duration = duration;

    return ngx_ivschat_role_sts(rs, role);
}


/* Region and endpoint of STS. */

static ngx_int_t
ngx_ivschat_role_sts(ngx_ivschat_resolve_t *rs, ngx_ivschat_role_t *role)
{
    char        *p;
    size_t       len;
    const char  *region, *endpoint, *ignore;
    ngx_ivschat_str_t    service = ngx_ivschat_string("sts");

    if (rs->line->region.len) {
        region = ngx_ivschat_dup(rs, (const char *) rs->line->region.data,
                                 rs->line->region.len);
    } else {
        region = ngx_ivschat_env(rs, "AWS_REGION");

        if (region == NULL) {
            region = ngx_ivschat_env(rs, "AWS_DEFAULT_REGION");
        }

        if (region == NULL) {
            ngx_ivschat_read_region(rs);

            if (rs->profile_region.len) {
                region = (const char *) rs->profile_region.data;
            }
        }

        if (region == NULL && rs->room_region->len) {
            region = ngx_ivschat_dup(rs, (const char *) rs->room_region->data,
                                     rs->room_region->len);
        }
    }

    if (region == NULL
        || !ngx_ivschat_region_valid(ngx_ivschat_pure_c(region)))
    {
        ngx_ivschat_reason(rs, "%s: add \"region=\", or set "
                           "AWS_REGION",
                           region ? "the region of STS is invalid"
                           : "STS needs a region");
        return NGX_ERROR;
    }

    role->region = region;

    endpoint = ngx_ivschat_env(rs, "AWS_ENDPOINT_URL_STS");
    ignore = ngx_ivschat_env(rs, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

    if (endpoint == NULL && rs->profile_sts.len) {
        endpoint = (const char *) rs->profile_sts.data;
    }

    if (endpoint
        && !(ignore
             && ngx_strcasecmp((u_char *) ignore, (u_char *) "true") == 0))
    {
        return ngx_ivschat_sts_endpoint(rs, role, endpoint);
    }

    p = ngx_pnalloc(rs->cf->pool, 2 * NGX_IVSCHAT_HOST_MAX + 16);

    if (p == NULL
        || ngx_ivschat_host(service, ngx_ivschat_pure_c(region), p,
                            NGX_IVSCHAT_HOST_MAX + 1, &len)
        != 0)
    {
        ngx_ivschat_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    role->host = p;
    role->url = p + len + 1;

    ngx_sprintf((u_char *) p + len + 1, "https://%s/%Z", role->host);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_sts_endpoint(ngx_ivschat_resolve_t *rs, ngx_ivschat_role_t *role,
    const char *url)
{
    char        *p;
    size_t       len, host;
    const char  *slash;

    len = ngx_strlen(url);

    if (ngx_strncasecmp((u_char *) url, (u_char *) "https://", 8) != 0
        || !ngx_ivschat_url_valid(url))
    {
        ngx_ivschat_reason(rs, "the endpoint of STS is no https "
                           "URL");
        return NGX_ERROR;
    }

    slash = ngx_strchr(url + 8, '/');
    host = slash ? (size_t) (slash - url) - 8 : len - 8;

    if (slash && slash[1] != '\0') {
        ngx_ivschat_reason(rs, "the endpoint of STS has a path");
        return NGX_ERROR;
    }

    p = ngx_pnalloc(rs->cf->pool, 2 * len + 16);
    if (p == NULL) {
        ngx_ivschat_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    role->url = p;
    p = (char *) ngx_sprintf((u_char *) p, "https://%*s/%Z", host, url + 8);

    /* libcurl leaves the default port out of the Host header */

    if (host > 4 && ngx_strncmp(url + 8 + host - 4, ":443", 4) == 0) {
        host -= 4;
    }

    role->host = p;
    ngx_sprintf((u_char *) p, "%*s%Z", host, url + 8);

    return NGX_OK;
}
