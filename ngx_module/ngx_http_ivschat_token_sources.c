
/*
 * What the sources of credentials come to, when the configuration is read.
 */


#include "ngx_http_ivschat_token_sources.h"

#include <pwd.h>

#include "ngx_ivschat_api.h"
#include "ngx_ivschat_profile.h"
#include "ngx_ivschat_profile_plan.h"
#include "ngx_ivschat_sts.h"


#define NGX_HTTP_IVSCHAT_TOKEN_TRIED_LEN   2048
#define NGX_HTTP_IVSCHAT_TOKEN_REASON_LEN  1024

#define NGX_HTTP_IVSCHAT_TOKEN_ECS         "http://169.254.170.2"
#define NGX_HTTP_IVSCHAT_TOKEN_IMDS        "http://169.254.169.254"
#define NGX_HTTP_IVSCHAT_TOKEN_IMDS6       "http://[fd00:ec2::254]"


typedef struct {
    ngx_conf_t                          *cf;
    ngx_http_ivschat_token_line_t       *line;
    ngx_str_t                           *room_region;
    ngx_str_t                            profile_region;
    ngx_str_t                            profile_sts;
    ngx_uint_t                           profile_read;
    ngx_http_ivschat_token_resolved_t   *out;
    char    reason[NGX_HTTP_IVSCHAT_TOKEN_REASON_LEN];
} ngx_http_ivschat_token_resolve_t;


/*
 * NGX_OK: this source is usable; NGX_DECLINED: it is not there, and rs->reason
 * says what is not; NGX_ERROR: it is there, and wrong.
 */

typedef ngx_int_t (*ngx_http_ivschat_token_try_pt)(
    ngx_http_ivschat_token_resolve_t *rs);

typedef struct {
    ngx_str_t                        name;
    ngx_http_ivschat_token_try_pt    handler;
} ngx_http_ivschat_token_source_t;


static ngx_int_t ngx_http_ivschat_token_resolve_static(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_resolve_auto(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_resolve_named(
    ngx_http_ivschat_token_resolve_t *rs, ngx_str_t *name);
static ngx_int_t ngx_http_ivschat_token_resolve_role(
    ngx_http_ivschat_token_resolve_t *rs);
static void ngx_http_ivschat_token_resolve_log(
    ngx_http_ivschat_token_resolve_t *rs, ngx_uint_t level,
    const char *what);
static void ngx_http_ivschat_token_reason(
    ngx_http_ivschat_token_resolve_t *rs, const char *fmt, ...);

static ngx_int_t ngx_http_ivschat_token_try_env(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_try_profile(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_try_web_identity(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_try_container(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_try_imds(
    ngx_http_ivschat_token_resolve_t *rs);

static ngx_int_t ngx_http_ivschat_token_profile_files(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_shared_file(
    ngx_http_ivschat_token_resolve_t *rs, const char *variable,
    const char *name, ngx_str_t *path);
static ngx_int_t ngx_http_ivschat_token_use_plan(
    ngx_http_ivschat_token_resolve_t *rs, ngx_ivschat_plan_t *plan,
    mode_t *modes);
static void ngx_http_ivschat_token_keep_region(
    ngx_http_ivschat_token_resolve_t *rs, ngx_ivschat_plan_t *plan);
static void ngx_http_ivschat_token_read_region(
    ngx_http_ivschat_token_resolve_t *rs);
static ngx_int_t ngx_http_ivschat_token_use_keys(
    ngx_http_ivschat_token_resolve_t *rs, ngx_ivschat_plan_t *plan,
    mode_t *modes);
static ngx_int_t ngx_http_ivschat_token_add_role(
    ngx_http_ivschat_token_resolve_t *rs, ngx_ivschat_role_t *role,
    ngx_ivschat_str_t arn, ngx_ivschat_str_t session_name,
    ngx_ivschat_str_t external_id, ngx_uint_t duration);
static ngx_int_t ngx_http_ivschat_token_sts(
    ngx_http_ivschat_token_resolve_t *rs, ngx_ivschat_role_t *role);
static ngx_int_t ngx_http_ivschat_token_sts_endpoint(
    ngx_http_ivschat_token_resolve_t *rs, ngx_ivschat_role_t *role,
    const char *url);
static ngx_uint_t ngx_http_ivschat_token_container_host(const char *url);
static ngx_uint_t ngx_http_ivschat_token_url_valid(const char *url);
static const char *ngx_http_ivschat_token_dup(
    ngx_http_ivschat_token_resolve_t *rs, const char *data, size_t len);
static const char *ngx_http_ivschat_token_env(
    ngx_http_ivschat_token_resolve_t *rs, const char *name);


/*
 * In the order of "auto".  Keys of the environment go first with AWS_PROFILE
 * set as well, as in AWS's SDKs for Python and C (JavaScript's skips them).
 */

static ngx_http_ivschat_token_source_t  ngx_http_ivschat_token_sources[] = {
    { ngx_string("env"), ngx_http_ivschat_token_try_env },
    { ngx_string("profile"), ngx_http_ivschat_token_try_profile },
    { ngx_string("web_identity"), ngx_http_ivschat_token_try_web_identity },
    { ngx_string("container"), ngx_http_ivschat_token_try_container },
    { ngx_string("imds"), ngx_http_ivschat_token_try_imds },
    { ngx_null_string, NULL }
};


static ngx_inline ngx_ivschat_str_t
ngx_http_ivschat_token_pure(ngx_str_t *s)
{
    ngx_ivschat_str_t  str;

    str.data = (const char *) s->data;
    str.len = s->len;

    return str;
}


static ngx_inline ngx_ivschat_str_t
ngx_http_ivschat_token_pure_c(const char *s)
{
    ngx_ivschat_str_t  str;

    str.data = s;
    str.len = s ? ngx_strlen(s) : 0;

    return str;
}


ngx_int_t
ngx_http_ivschat_token_resolve_line(ngx_conf_t *cf,
    ngx_http_ivschat_token_line_t *line, ngx_str_t *region,
    ngx_http_ivschat_token_resolved_t *resolved)
{
    ngx_int_t                          rc;
    const char                        *timeout, *attempts;
    ngx_http_ivschat_token_resolve_t   rs;

    ngx_memzero(resolved, sizeof(ngx_http_ivschat_token_resolved_t));
    ngx_memzero(&rs, sizeof(ngx_http_ivschat_token_resolve_t));

    rs.cf = cf;
    rs.line = line;
    rs.room_region = region;
    rs.out = resolved;

    resolved->name = line->source;
    resolved->source.creds = &resolved->creds;
    resolved->source.ca_file = ngx_http_ivschat_token_env(&rs,
                                                          "AWS_CA_BUNDLE");

    timeout = ngx_http_ivschat_token_env(&rs, "AWS_METADATA_SERVICE_TIMEOUT");
    attempts = ngx_http_ivschat_token_env(&rs,
                                        "AWS_METADATA_SERVICE_NUM_ATTEMPTS");

    resolved->source.imds_timeout = timeout
                                    ? (ngx_msec_t) (atof(timeout) * 1000) : 0;

    if (resolved->source.imds_timeout < 1
        || resolved->source.imds_timeout > 10000)
    {
        resolved->source.imds_timeout = 1000;
    }

    resolved->source.imds_attempts = attempts ? (ngx_uint_t) atoi(attempts)
                                              : 0;

    if (resolved->source.imds_attempts < 1
        || resolved->source.imds_attempts > 10)
    {
        resolved->source.imds_attempts = 2;
    }

    if (ngx_strcmp(line->source.data, "static") == 0) {
        rc = ngx_http_ivschat_token_resolve_static(&rs);

    } else if (ngx_strcmp(line->source.data, "assume_role") == 0) {
        rc = ngx_http_ivschat_token_resolve_role(&rs);

    } else {
        rc = ngx_http_ivschat_token_resolve_named(&rs, &line->source);
    }

    return rc;
}


static ngx_int_t
ngx_http_ivschat_token_resolve_static(ngx_http_ivschat_token_resolve_t *rs)
{
    ngx_ivschat_credentials_field_e   field;
    ngx_http_ivschat_token_line_t    *line;

    line = rs->line;

    /* checked when the line was read */

    if (ngx_ivschat_credentials_set(&rs->out->creds,
                                    ngx_http_ivschat_token_pure(&line->key),
                                    ngx_http_ivschat_token_pure(&line->secret),
                                    ngx_http_ivschat_token_pure(&line->token),
                                    &field)
        != NULL)
    {
        return NGX_ERROR;
    }

    rs->out->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_resolve_named(ngx_http_ivschat_token_resolve_t *rs,
    ngx_str_t *name)
{
    ngx_int_t                         rc;
    ngx_http_ivschat_token_source_t  *source;

    if (ngx_strcmp(name->data, "auto") == 0) {
        return ngx_http_ivschat_token_resolve_auto(rs);
    }

    for (source = ngx_http_ivschat_token_sources; source->handler; source++) {

        if (ngx_strcmp(name->data, source->name.data) != 0) {
            continue;
        }

        rc = source->handler(rs);

        if (rc == NGX_ERROR) {
            ngx_http_ivschat_token_resolve_log(rs, NGX_LOG_EMERG,
                                               "cannot be used");
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {

            /* a shell has not the environment that the service has */

            ngx_http_ivschat_token_resolve_log(rs, NGX_LOG_WARN,
                                               "has no credentials");
            rs->out->source.base = NGX_IVSCHAT_BASE_NONE;
        }

        return NGX_OK;
    }

    return NGX_ERROR;
}


/* The first one that is there; the others and their reasons are kept. */

static ngx_int_t
ngx_http_ivschat_token_resolve_auto(ngx_http_ivschat_token_resolve_t *rs)
{
    u_char                           *p, *last;
    ngx_int_t                         rc;
    ngx_http_ivschat_token_source_t  *source;

    p = ngx_pnalloc(rs->cf->pool, NGX_HTTP_IVSCHAT_TOKEN_TRIED_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rs->out->tried.data = p;
    last = p + NGX_HTTP_IVSCHAT_TOKEN_TRIED_LEN;

    for (source = ngx_http_ivschat_token_sources; source->handler; source++) {

        rc = source->handler(rs);

        if (rc == NGX_OK) {
            rs->out->name.data = ngx_pnalloc(rs->cf->pool,
                                             sizeof("auto: ")
                                             + source->name.len);
            if (rs->out->name.data == NULL) {
                return NGX_ERROR;
            }

            rs->out->name.len = ngx_sprintf(rs->out->name.data, "auto: %V",
                                            &source->name)
                                - rs->out->name.data;
            break;
        }

        if (rc == NGX_ERROR) {
            ngx_http_ivschat_token_resolve_log(rs, NGX_LOG_WARN,
                                               "passes over a source");
        }

        p = ngx_slprintf(p, last, "%s%V: %s", rs->out->tried.len ? "; " : "",
                         &source->name, rs->reason);
        rs->out->tried.len = p - rs->out->tried.data;

        if (rc == NGX_ERROR
            && source->handler == ngx_http_ivschat_token_try_container)
        {
            /* a container must not get the rights of its instance */

            rs->out->source.base = NGX_IVSCHAT_BASE_NONE;
            return NGX_OK;
        }
    }

    if (source->handler == NULL) {
        (void) ngx_snprintf((u_char *) rs->reason, sizeof(rs->reason) - 1,
                            "%V%Z", &rs->out->tried);
        ngx_http_ivschat_token_resolve_log(rs, NGX_LOG_WARN,
                                           "finds no credentials");
        rs->out->source.base = NGX_IVSCHAT_BASE_NONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_resolve_role(ngx_http_ivschat_token_resolve_t *rs)
{
    ngx_int_t                       rc;
    ngx_str_t                       base = ngx_string("auto");
    ngx_ivschat_source_t           *source;
    ngx_http_ivschat_token_line_t  *line;

    line = rs->line;
    source = &rs->out->source;

    rc = ngx_http_ivschat_token_resolve_named(rs, line->base.data ? &line->base
                                                                  : &base);

    rs->out->name = line->source;

    if (rc != NGX_OK || source->base == NGX_IVSCHAT_BASE_NONE) {
        return rc;
    }

    if (source->nroles == NGX_IVSCHAT_FETCH_ROLES_MAX) {
        ngx_http_ivschat_token_reason(rs, "too many roles in a row");
        rc = NGX_ERROR;

    } else {
        rc = ngx_http_ivschat_token_add_role(rs,
                        &source->roles[source->nroles],
                        ngx_http_ivschat_token_pure(&line->role),
                        ngx_http_ivschat_token_pure(&line->session_name),
                        ngx_http_ivschat_token_pure(&line->external_id),
                        line->duration.len
                        ? (ngx_uint_t) ngx_parse_time(&line->duration, 1) : 0);
    }

    if (rc != NGX_OK) {
        ngx_http_ivschat_token_resolve_log(rs, NGX_LOG_EMERG,
                                           "cannot be used");
        return NGX_ERROR;
    }

    source->nroles++;

    return NGX_OK;
}


static void
ngx_http_ivschat_token_resolve_log(ngx_http_ivschat_token_resolve_t *rs,
    ngx_uint_t level, const char *what)
{
    ngx_http_ivschat_token_line_t  *line;

    line = rs->line;

    if (line->conf_file.len) {
        ngx_log_error(level, rs->cf->log, 0,
                      "\"ivschat_token_credentials %V\" %s: %s in %V:%ui",
                      &line->source, what, rs->reason, &line->conf_file,
                      line->line);
        return;
    }

    ngx_log_error(level, rs->cf->log, 0,
                  "\"ivschat_token_credentials %V\", the default, %s: %s",
                  &line->source, what, rs->reason);
}


static void
ngx_http_ivschat_token_reason(ngx_http_ivschat_token_resolve_t *rs,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) rs->reason,
                      (u_char *) rs->reason + sizeof(rs->reason) - 1, fmt,
                      args);
    va_end(args);

    *p = '\0';
}


static ngx_int_t
ngx_http_ivschat_token_try_env(ngx_http_ivschat_token_resolve_t *rs)
{
    const char                       *key, *secret, *token, *reason;
    ngx_ivschat_credentials_field_e   field;

    static const char *const  names[] = {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
    };

    key = ngx_http_ivschat_token_env(rs, names[0]);
    secret = ngx_http_ivschat_token_env(rs, names[1]);
    token = ngx_http_ivschat_token_env(rs, names[2]);

    if (key == NULL || secret == NULL) {
        ngx_http_ivschat_token_reason(rs, "%s is not set in the environment",
                                      key == NULL ? names[0] : names[1]);
        return NGX_DECLINED;
    }

    reason = ngx_ivschat_credentials_set(&rs->out->creds,
                                      ngx_http_ivschat_token_pure_c(key),
                                      ngx_http_ivschat_token_pure_c(secret),
                                      ngx_http_ivschat_token_pure_c(token),
                                      &field);

    ngx_explicit_memzero((void *) secret, ngx_strlen(secret));

    if (token) {
        ngx_explicit_memzero((void *) token, ngx_strlen(token));
    }

    if (reason) {
        ngx_http_ivschat_token_reason(rs, "%s in the environment: %s",
                                      names[field], reason);
        return NGX_DECLINED;
    }

    rs->out->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_try_profile(ngx_http_ivschat_token_resolve_t *rs)
{
    mode_t                   modes[2];
    ngx_int_t                rc;
    const char              *name;
    ngx_ivschat_plan_t       plan;
    ngx_ivschat_plan_e       what;
    ngx_ivschat_profiles_t  *profiles;

    if (ngx_http_ivschat_token_profile_files(rs) != NGX_OK) {
        return NGX_ERROR;
    }

    if (rs->line->name.len) {
        rs->out->profile = rs->line->name;

    } else {
        name = ngx_http_ivschat_token_env(rs, "AWS_PROFILE");

        if (name == NULL) {
            name = "default";
        }

        rs->out->profile.data = (u_char *) name;
        rs->out->profile.len = ngx_strlen(name);
    }

    profiles = ngx_http_ivschat_token_read_profiles(rs->out->files, modes,
                                          rs->reason, sizeof(rs->reason));
    if (profiles == NULL) {
        return NGX_ERROR;
    }

    what = ngx_ivschat_profile_plan(profiles,
                            ngx_http_ivschat_token_pure(&rs->out->profile),
                            &plan, rs->reason, sizeof(rs->reason));

    switch (what) {

    case NGX_IVSCHAT_PLAN_OK:
        rc = ngx_http_ivschat_token_use_plan(rs, &plan, modes);
        break;

    case NGX_IVSCHAT_PLAN_NOTHING:
        ngx_http_ivschat_token_keep_region(rs, &plan);
        rc = NGX_DECLINED;
        break;

    default:
        rc = NGX_ERROR;
    }

    ngx_ivschat_profiles_free(profiles);

    return rc;
}


/* file= stands for both files, and has the grammar of credentials. */

static ngx_int_t
ngx_http_ivschat_token_profile_files(ngx_http_ivschat_token_resolve_t *rs)
{
    ngx_str_null(&rs->out->files[NGX_IVSCHAT_CONFIG]);

    if (rs->line->file.len) {
        rs->out->files[NGX_IVSCHAT_CREDENTIALS] = rs->line->file;
        return NGX_OK;
    }

    if (ngx_http_ivschat_token_shared_file(rs, "AWS_CONFIG_FILE", "config",
                                      &rs->out->files[NGX_IVSCHAT_CONFIG])
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_ivschat_token_shared_file(rs,
                                 "AWS_SHARED_CREDENTIALS_FILE", "credentials",
                                 &rs->out->files[NGX_IVSCHAT_CREDENTIALS]);
}


static ngx_int_t
ngx_http_ivschat_token_shared_file(ngx_http_ivschat_token_resolve_t *rs,
    const char *variable, const char *name, ngx_str_t *path)
{
    const char     *value, *home;
    struct passwd  *pw;

    value = ngx_http_ivschat_token_env(rs, variable);
    home = "";

    if (value == NULL || ngx_strncmp(value, "~/", 2) == 0) {

        home = ngx_http_ivschat_token_env(rs, "HOME");

        if (home == NULL) {

            /* systemd sets no HOME for a service of root's */

            pw = getpwuid(geteuid());
            home = (pw && pw->pw_dir) ? pw->pw_dir : "/";
        }
    }

    path->data = ngx_pnalloc(rs->cf->pool,
                             ngx_strlen(home) + sizeof("/.aws/credentials")
                             + (value ? ngx_strlen(value) : 0));
    if (path->data == NULL) {
        ngx_http_ivschat_token_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    if (value == NULL) {
        path->len = ngx_sprintf(path->data, "%s/.aws/%s%Z", home, name)
                    - path->data - 1;

    } else {
        path->len = ngx_sprintf(path->data, "%s%s%Z", home,
                                *value == '~' ? value + 1 : value)
                    - path->data - 1;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_use_plan(ngx_http_ivschat_token_resolve_t *rs,
    ngx_ivschat_plan_t *plan, mode_t *modes)
{
    size_t                 i;
    ngx_int_t              rc;
    ngx_ivschat_source_t  *source;

    source = &rs->out->source;

    ngx_http_ivschat_token_keep_region(rs, plan);

    switch (plan->source) {

    case NGX_IVSCHAT_FROM_KEYS:
        rc = ngx_http_ivschat_token_use_keys(rs, plan, modes);
        break;

    case NGX_IVSCHAT_FROM_WEB_IDENTITY:
        source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
        source->token_file = ngx_http_ivschat_token_dup(rs,
                               plan->token_file.data, plan->token_file.len);
        rc = ngx_http_ivschat_token_add_role(rs, &source->web_identity,
                                 plan->web.arn, plan->web.session_name,
                                 plan->web.external_id, plan->web.duration);
        break;

    case NGX_IVSCHAT_FROM_ENVIRONMENT:
        rc = ngx_http_ivschat_token_try_env(rs);
        break;

    case NGX_IVSCHAT_FROM_IMDS:
        rc = ngx_http_ivschat_token_try_imds(rs);
        break;

    default: /* NGX_IVSCHAT_FROM_CONTAINER */
        rc = ngx_http_ivschat_token_try_container(rs);
    }

    for (i = 0; i < plan->nroles && rc == NGX_OK; i++) {
        rc = ngx_http_ivschat_token_add_role(rs,
                                 &source->roles[source->nroles],
                                 plan->roles[i].arn,
                                 plan->roles[i].session_name,
                                 plan->roles[i].external_id,
                                 plan->roles[i].duration);
        source->nroles++;
    }

    if (rc != NGX_OK) {
        source->nroles = 0;
    }

    return rc;
}


/* What STS needs of a profile, which may have nothing else. */

static void
ngx_http_ivschat_token_keep_region(ngx_http_ivschat_token_resolve_t *rs,
    ngx_ivschat_plan_t *plan)
{
    rs->profile_read = 1;

    rs->profile_region.data = (u_char *) ngx_http_ivschat_token_dup(rs,
                                       plan->region.data, plan->region.len);
    rs->profile_region.len = rs->profile_region.data ? plan->region.len : 0;

    rs->profile_sts.data = (u_char *) ngx_http_ivschat_token_dup(rs,
                           plan->sts_endpoint.data, plan->sts_endpoint.len);
    rs->profile_sts.len = rs->profile_sts.data ? plan->sts_endpoint.len : 0;
}


/* The same where the credentials come from elsewhere. */

static void
ngx_http_ivschat_token_read_region(ngx_http_ivschat_token_resolve_t *rs)
{
    mode_t                   modes[2];
    char                     reason[NGX_HTTP_IVSCHAT_TOKEN_REASON_LEN];
    const char              *name;
    ngx_ivschat_plan_t       plan;
    ngx_ivschat_profiles_t  *profiles;

    if (rs->profile_read
        || ngx_http_ivschat_token_profile_files(rs) != NGX_OK)
    {
        return;
    }

    rs->profile_read = 1;

    profiles = ngx_http_ivschat_token_read_profiles(rs->out->files, modes,
                                                    reason, sizeof(reason));
    if (profiles == NULL) {
        return;
    }

    name = ngx_http_ivschat_token_env(rs, "AWS_PROFILE");

    ngx_memzero(&plan, sizeof(ngx_ivschat_plan_t));

    (void) ngx_ivschat_profile_plan(profiles,
                      ngx_http_ivschat_token_pure_c(name ? name : "default"),
                      &plan, reason, sizeof(reason));

    ngx_http_ivschat_token_keep_region(rs, &plan);

    ngx_ivschat_profiles_free(profiles);
}


static ngx_int_t
ngx_http_ivschat_token_use_keys(ngx_http_ivschat_token_resolve_t *rs,
    ngx_ivschat_plan_t *plan, mode_t *modes)
{
    const char                       *reason;
    ngx_ivschat_credentials_field_e   field;

    reason = ngx_ivschat_credentials_set(&rs->out->creds, plan->access_key,
                                         plan->secret_key,
                                         plan->session_token, &field);
    if (reason) {
        ngx_http_ivschat_token_reason(rs, "profile \"%V\": %s",
                                      &rs->out->profile, reason);
        return NGX_ERROR;
    }

    rs->out->source.base = NGX_IVSCHAT_BASE_STATIC;

    rs->out->profile_roles = plan->nroles;
    rs->out->profile_keys = 1;

    if (modes[plan->keys_file] & S_IROTH) {
        ngx_log_error(NGX_LOG_WARN, rs->cf->log, 0,
                      "\"%V\" holds secrets and can be read by everyone: "
                      "chmod 600 it", &rs->out->files[plan->keys_file]);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_try_web_identity(ngx_http_ivschat_token_resolve_t *rs)
{
    const char             *role, *file;
    ngx_ivschat_str_t       none = { NULL, 0 };
    ngx_ivschat_source_t   *source;

    role = ngx_http_ivschat_token_env(rs, "AWS_ROLE_ARN");
    file = ngx_http_ivschat_token_env(rs, "AWS_WEB_IDENTITY_TOKEN_FILE");

    if (role == NULL || file == NULL) {
        ngx_http_ivschat_token_reason(rs, "%s is not set in the environment",
                                      file == NULL
                                      ? "AWS_WEB_IDENTITY_TOKEN_FILE"
                                      : "AWS_ROLE_ARN");
        return NGX_DECLINED;
    }

    source = &rs->out->source;
    source->base = NGX_IVSCHAT_BASE_WEB_IDENTITY;
    source->token_file = file;

    return ngx_http_ivschat_token_add_role(rs, &source->web_identity,
                    ngx_http_ivschat_token_pure_c(role),
                    ngx_http_ivschat_token_pure_c(
                      ngx_http_ivschat_token_env(rs, "AWS_ROLE_SESSION_NAME")),
                    none, 0);
}


/* Where both of a pair are set, Python's and C's SDKs are followed. */

static ngx_int_t
ngx_http_ivschat_token_try_container(ngx_http_ivschat_token_resolve_t *rs)
{
    u_char                *p;
    size_t                 len;
    const char            *relative, *full;
    ngx_ivschat_source_t  *source;

    source = &rs->out->source;

    relative = ngx_http_ivschat_token_env(rs,
                                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    full = ngx_http_ivschat_token_env(rs,
                                      "AWS_CONTAINER_CREDENTIALS_FULL_URI");

    if (relative) {

        len = sizeof(NGX_HTTP_IVSCHAT_TOKEN_ECS) + ngx_strlen(relative);

        p = ngx_pnalloc(rs->cf->pool, len);
        if (p == NULL) {
            ngx_http_ivschat_token_reason(rs, "out of memory");
            return NGX_ERROR;
        }

        ngx_sprintf(p, NGX_HTTP_IVSCHAT_TOKEN_ECS "%s%Z", relative);
        source->url = (const char *) p;

        if (relative[0] != '/'
            || !ngx_http_ivschat_token_url_valid(source->url))
        {
            ngx_http_ivschat_token_reason(rs, "AWS_CONTAINER_CREDENTIALS_"
                                          "RELATIVE_URI is no path");
            return NGX_ERROR;
        }

    } else if (full) {

        if (!ngx_http_ivschat_token_url_valid(full)
            || !ngx_http_ivschat_token_container_host(full))
        {
            ngx_http_ivschat_token_reason(rs, "AWS_CONTAINER_CREDENTIALS_"
                       "FULL_URI must be https, or http to this machine, "
                       "169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
            return NGX_ERROR;
        }

        source->url = full;

    } else {
        ngx_http_ivschat_token_reason(rs, "neither AWS_CONTAINER_CREDENTIALS_"
                                      "RELATIVE_URI nor _FULL_URI is set in "
                                      "the environment");
        return NGX_DECLINED;
    }

    source->base = NGX_IVSCHAT_BASE_CONTAINER;
    source->token_file = ngx_http_ivschat_token_env(rs,
                                   "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    source->token = ngx_http_ivschat_token_env(rs,
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN");

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_try_imds(ngx_http_ivschat_token_resolve_t *rs)
{
    size_t                 len;
    const char            *disabled, *endpoint, *mode;
    ngx_ivschat_source_t  *source;

    source = &rs->out->source;

    disabled = ngx_http_ivschat_token_env(rs, "AWS_EC2_METADATA_DISABLED");
    endpoint = ngx_http_ivschat_token_env(rs,
                                          "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    mode = ngx_http_ivschat_token_env(rs,
                                     "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

    if (disabled && ngx_strcasecmp((u_char *) disabled, (u_char *) "false")) {
        ngx_http_ivschat_token_reason(rs,
                                      "AWS_EC2_METADATA_DISABLED is set");
        return NGX_DECLINED;
    }

    if (endpoint) {

        if (!ngx_http_ivschat_token_url_valid(endpoint)) {
            ngx_http_ivschat_token_reason(rs, "AWS_EC2_METADATA_SERVICE_"
                                          "ENDPOINT is no URL");
            return NGX_ERROR;
        }

        len = ngx_strlen(endpoint);

        while (endpoint[len - 1] == '/') {
            len--;
        }

        source->url = ngx_http_ivschat_token_dup(rs, endpoint, len);

    } else if (mode && ngx_strcasecmp((u_char *) mode, (u_char *) "IPv6") == 0)
    {
        source->url = NGX_HTTP_IVSCHAT_TOKEN_IMDS6;

    } else if (mode && ngx_strcasecmp((u_char *) mode, (u_char *) "IPv4") != 0)
    {
        ngx_http_ivschat_token_reason(rs, "AWS_EC2_METADATA_SERVICE_ENDPOINT_"
                                      "MODE is neither IPv4 nor IPv6");
        return NGX_ERROR;

    } else {
        source->url = NGX_HTTP_IVSCHAT_TOKEN_IMDS;
    }

    source->base = NGX_IVSCHAT_BASE_IMDS;

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_add_role(ngx_http_ivschat_token_resolve_t *rs,
    ngx_ivschat_role_t *role, ngx_ivschat_str_t arn,
    ngx_ivschat_str_t session_name, ngx_ivschat_str_t external_id,
    ngx_uint_t duration)
{
    size_t       len;
    char         name[NGX_IVSCHAT_SESSION_NAME_MAX + 1];
    const char  *reason;

    ngx_memzero(role, sizeof(ngx_ivschat_role_t));

    if (session_name.len == 0) {
        len = ngx_ivschat_sts_session_name(
                   ngx_http_ivschat_token_pure(&rs->cf->cycle->hostname),
                   name);
        session_name.data = name;
        session_name.len = len;
    }

    reason = ngx_ivschat_sts_check_role(arn);

    if (reason == NULL) {
        reason = ngx_ivschat_sts_check_session_name(session_name);
    }

    if (reason) {
        ngx_http_ivschat_token_reason(rs, "role \"%*s\": %s", arn.len,
                                      arn.data, reason);
        return NGX_ERROR;
    }

    role->role_arn = ngx_http_ivschat_token_dup(rs, arn.data, arn.len);
    role->session_name = ngx_http_ivschat_token_dup(rs, session_name.data,
                                                    session_name.len);

    if (external_id.len) {
        role->external_id = ngx_http_ivschat_token_dup(rs, external_id.data,
                                                       external_id.len);
    }

    if (role->role_arn == NULL || role->session_name == NULL
        || (external_id.len && role->external_id == NULL))
    {
        ngx_http_ivschat_token_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    role->duration = duration;

    return ngx_http_ivschat_token_sts(rs, role);
}


/* Region and endpoint of STS. */

static ngx_int_t
ngx_http_ivschat_token_sts(ngx_http_ivschat_token_resolve_t *rs,
    ngx_ivschat_role_t *role)
{
    char                *p;
    size_t               len;
    const char          *region, *endpoint, *ignore;
    ngx_ivschat_str_t    service = ngx_ivschat_string("sts");

    if (rs->line->region.len) {
        region = ngx_http_ivschat_token_dup(rs,
                                       (const char *) rs->line->region.data,
                                       rs->line->region.len);
    } else {
        region = ngx_http_ivschat_token_env(rs, "AWS_REGION");

        if (region == NULL) {
            region = ngx_http_ivschat_token_env(rs, "AWS_DEFAULT_REGION");
        }

        if (region == NULL) {
            ngx_http_ivschat_token_read_region(rs);

            if (rs->profile_region.len) {
                region = (const char *) rs->profile_region.data;
            }
        }

        if (region == NULL && rs->room_region->len) {
            region = ngx_http_ivschat_token_dup(rs,
                                      (const char *) rs->room_region->data,
                                      rs->room_region->len);
        }
    }

    if (region == NULL
        || !ngx_ivschat_region_valid(ngx_http_ivschat_token_pure_c(region)))
    {
        ngx_http_ivschat_token_reason(rs, "%s: add \"region=\", or set "
                                      "AWS_REGION",
                                      region ? "the region of STS is invalid"
                                             : "STS needs a region");
        return NGX_ERROR;
    }

    role->region = region;

    endpoint = ngx_http_ivschat_token_env(rs, "AWS_ENDPOINT_URL_STS");
    ignore = ngx_http_ivschat_token_env(rs,
                                       "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

    if (endpoint == NULL && rs->profile_sts.len) {
        endpoint = (const char *) rs->profile_sts.data;
    }

    if (endpoint
        && !(ignore
             && ngx_strcasecmp((u_char *) ignore, (u_char *) "true") == 0))
    {
        return ngx_http_ivschat_token_sts_endpoint(rs, role, endpoint);
    }

    p = ngx_pnalloc(rs->cf->pool, 2 * NGX_IVSCHAT_HOST_MAX + 16);

    if (p == NULL
        || ngx_ivschat_host(service, ngx_http_ivschat_token_pure_c(region), p,
                            NGX_IVSCHAT_HOST_MAX + 1, &len)
           != 0)
    {
        ngx_http_ivschat_token_reason(rs, "out of memory");
        return NGX_ERROR;
    }

    role->host = p;
    role->url = p + len + 1;

    ngx_sprintf((u_char *) p + len + 1, "https://%s/%Z", role->host);

    return NGX_OK;
}


static ngx_int_t
ngx_http_ivschat_token_sts_endpoint(ngx_http_ivschat_token_resolve_t *rs,
    ngx_ivschat_role_t *role, const char *url)
{
    char        *p;
    size_t       len, host;
    const char  *slash;

    len = ngx_strlen(url);

    if (ngx_strncasecmp((u_char *) url, (u_char *) "https://", 8) != 0
        || !ngx_http_ivschat_token_url_valid(url))
    {
        ngx_http_ivschat_token_reason(rs, "the endpoint of STS is no https "
                                      "URL");
        return NGX_ERROR;
    }

    slash = ngx_strchr(url + 8, '/');
    host = slash ? (size_t) (slash - url) - 8 : len - 8;

    if (slash && slash[1] != '\0') {
        ngx_http_ivschat_token_reason(rs, "the endpoint of STS has a path");
        return NGX_ERROR;
    }

    p = ngx_pnalloc(rs->cf->pool, 2 * len + 16);
    if (p == NULL) {
        ngx_http_ivschat_token_reason(rs, "out of memory");
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


/* http or https, a host, and nothing that could be taken for more. */

static ngx_uint_t
ngx_http_ivschat_token_url_valid(const char *url)
{
    const char  *p, *host;

    if (ngx_strncasecmp((u_char *) url, (u_char *) "http://", 7) == 0) {
        host = url + 7;

    } else if (ngx_strncasecmp((u_char *) url, (u_char *) "https://", 8) == 0)
    {
        host = url + 8;

    } else {
        return 0;
    }

    if (*host == '\0' || *host == '/' || *host == ':'
        || ngx_strlen(url) > 1024)
    {
        return 0;
    }

    for (p = host; *p; p++) {
        if ((u_char) *p <= 0x20 || (u_char) *p >= 0x7f || *p == '@'
            || *p == '#' || *p == '\\')
        {
            return 0;
        }
    }

    return 1;
}


/* Plain http carries the keys in the clear: only where AWS's SDKs allow it. */

static ngx_uint_t
ngx_http_ivschat_token_container_host(const char *url)
{
    size_t       len;
    ngx_str_t    host;
    ngx_uint_t   i;
    in_addr_t    addr;
    const char  *p;

    static const char *const  hosts[] = {
        "localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
        "[::1]", NULL
    };

    if (ngx_strncasecmp((u_char *) url, (u_char *) "https://", 8) == 0) {
        return 1;
    }

    p = url + 7;
    len = strcspn(p, (*p == '[') ? "]/?" : ":/?");

    if (p[len] == ']') {
        len++;
    }

    if (p[len] != '\0' && ngx_strchr(":/?", p[len]) == NULL) {
        return 0;
    }

    host.data = (u_char *) p;
    host.len = len;

    for (i = 0; hosts[i]; i++) {
        if (len == ngx_strlen(hosts[i])
            && ngx_strncasecmp(host.data, (u_char *) hosts[i], len) == 0)
        {
            return 1;
        }
    }

    addr = ngx_inet_addr(host.data, host.len);

    return addr != INADDR_NONE && (ntohl(addr) >> 24) == 127;
}


static const char *
ngx_http_ivschat_token_dup(ngx_http_ivschat_token_resolve_t *rs,
    const char *data, size_t len)
{
    u_char  *p;

    p = ngx_pnalloc(rs->cf->pool, len + 1);
    if (p == NULL) {
        return NULL;
    }

    if (len) {
        ngx_memcpy(p, data, len);
    }

    p[len] = '\0';

    return (const char *) p;
}


/* A copy, since another module may change the environment later. */

static const char *
ngx_http_ivschat_token_env(ngx_http_ivschat_token_resolve_t *rs,
    const char *name)
{
    const char  *value;

    value = ngx_http_ivschat_token_getenv(rs->cf->cycle, name);

    return value ? ngx_http_ivschat_token_dup(rs, value, ngx_strlen(value))
                 : NULL;
}
