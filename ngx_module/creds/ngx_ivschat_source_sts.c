
/*
 * The sources that ask STS: a role for a web identity token, and roles that
 * are assumed with the credentials of another source.
 */


#include "ngx_ivschat_sources.h"
#include "ngx_ivschat_url.h"
#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_sts.h"


static const char *ngx_ivschat_sts_region(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_sts_endpoint(ngx_ivschat_find_t *find,
    ngx_ivschat_role_t *role);
static ngx_int_t ngx_ivschat_sts_url(ngx_ivschat_find_t *find,
    ngx_ivschat_role_t *role, const char *host, size_t len);


ngx_int_t
ngx_ivschat_find_web_identity(ngx_ivschat_find_t *find)
{
    const char            *file, *reason;
    ngx_ivschat_role_t     role;
    ngx_ivschat_source_t  *source;

    ngx_memzero(&role, sizeof(ngx_ivschat_role_t));

    file = ngx_ivschat_find_env(find, "AWS_WEB_IDENTITY_TOKEN_FILE");
    role.role_arn = ngx_ivschat_getenv(find->cf, "AWS_ROLE_ARN");
    role.session_name = ngx_ivschat_getenv(find->cf, "AWS_ROLE_SESSION_NAME");

    if (file == NULL || role.role_arn == NULL) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED,
                                     "%s is not set in the environment",
                                     file ? "AWS_ROLE_ARN"
                                          : "AWS_WEB_IDENTITY_TOKEN_FILE");
    }

    reason = ngx_ivschat_sts_check_role(ngx_ivschat_str(role.role_arn));

    if (reason == NULL && role.session_name) {
        reason = ngx_ivschat_sts_check_session_name(
                     ngx_ivschat_str(role.session_name));
    }

    if (reason) {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "role \"%s\": %s",
                                     role.role_arn, reason);
    }

    source = &find->found->source;
    source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
    source->token_file = file;

    return ngx_ivschat_find_role(find, &source->web_identity, &role);
}


ngx_int_t
ngx_ivschat_find_role(ngx_ivschat_find_t *find, ngx_ivschat_role_t *role,
    const ngx_ivschat_role_t *from)
{
    char         name[NGX_IVSCHAT_SESSION_NAME_MAX + 1];
    const char  *session_name;

    session_name = from->session_name;

    if (session_name == NULL) {
        ngx_ivschat_sts_session_name(
            ngx_ivschat_pure(&find->cf->cycle->hostname), name);
        session_name = name;
    }

    *role = *from;
    role->role_arn = ngx_ivschat_find_dup(find,
                                          ngx_ivschat_str(from->role_arn));
    role->session_name = ngx_ivschat_find_dup(find,
                                              ngx_ivschat_str(session_name));

    if (from->external_id) {
        role->external_id = ngx_ivschat_find_dup(find,
                                          ngx_ivschat_str(from->external_id));
    }

    if (role->role_arn == NULL || role->session_name == NULL
        || (from->external_id && role->external_id == NULL))
    {
        return NGX_ERROR;
    }

    role->region = ngx_ivschat_sts_region(find);

    return role->region ? ngx_ivschat_sts_endpoint(find, role) : NGX_ERROR;
}


/* The first that there is; that of the room is the last resort. */

static const char *
ngx_ivschat_sts_region(ngx_ivschat_find_t *find)
{
    const char  *region;
    ngx_str_t   *param;

    param = &find->line->params[NGX_IVSCHAT_PARAM_REGION];
    region = param->len ? (char *) param->data
                        : ngx_ivschat_find_env(find, "AWS_REGION");

    if (region == NULL) {
        region = ngx_ivschat_find_env(find, "AWS_DEFAULT_REGION");
    }

    if (region == NULL) {
        ngx_ivschat_find_region(find);
        region = find->profile_region;
    }

    if (region == NULL && find->room_region->len) {
        region = ngx_ivschat_find_dup(find,
                                      ngx_ivschat_pure(find->room_region));
    }

    if (region == NULL || !ngx_ivschat_region_valid(ngx_ivschat_str(region))) {
        (void) ngx_ivschat_find_fail(find, NGX_ERROR, "%s: add \"region=\", or "
                                     "set AWS_REGION",
                                     region ? "the region of STS is invalid"
                                            : "STS needs a region");
        return NULL;
    }

    return region;
}


static ngx_int_t
ngx_ivschat_sts_endpoint(ngx_ivschat_find_t *find, ngx_ivschat_role_t *role)
{
    char                host[NGX_IVSCHAT_HOST_MAX + 1];
    size_t              len;
    const char         *url, *ignore;
    ngx_ivschat_str_t   service = ngx_ivschat_string("sts");

    ignore = ngx_ivschat_getenv(find->cf,
                                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    url = ngx_ivschat_getenv(find->cf, "AWS_ENDPOINT_URL_STS");

    if (url == NULL) {
        url = find->profile_sts;
    }

    if (url == NULL || (ignore && strcasecmp(ignore, "true") == 0)) {
        (void) ngx_ivschat_host(service, ngx_ivschat_str(role->region), host,
                                sizeof(host), &len);
        return ngx_ivschat_sts_url(find, role, host, len);
    }

    if (strncasecmp(url, "https://", 8) != 0
        || !ngx_ivschat_url_check(url, 0))
    {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "the endpoint of STS is "
                                     "no https URL");
    }

    url += 8;
    len = strcspn(url, "/?");

    if (url[len] != '\0' && ngx_strcmp(&url[len], "/") != 0) {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "the endpoint of STS "
                                     "has a path");
    }

    return ngx_ivschat_sts_url(find, role, url, len);
}


static ngx_int_t
ngx_ivschat_sts_url(ngx_ivschat_find_t *find, ngx_ivschat_role_t *role,
    const char *host, size_t len)
{
    char  url[NGX_IVSCHAT_URL_MAX + sizeof("https:///")];

    ngx_snprintf((u_char *) url, sizeof(url), "https://%*s/%Z", len, host);

    /* libcurl leaves the default port out of the Host header */

    if (len > 4 && ngx_strncmp(host + len - 4, ":443", 4) == 0) {
        len -= 4;
    }

    role->url = ngx_ivschat_find_dup(find, ngx_ivschat_str(url));
    role->host = ngx_ivschat_find_dup(find, (ngx_ivschat_str_t) { host, len });

    return (role->url && role->host) ? NGX_OK : NGX_ERROR;
}
