
/*
 * What a line of ivschat_token_credentials comes to, when the configuration is
 * read: the order of the sources, and those of them that need neither AWS's
 * shared files nor STS.
 */


#include "ngx_ivschat_sourcing.h"
#include "ngx_ivschat_url.h"


#define NGX_IVSCHAT_TRIED_LEN   2048

#define NGX_IVSCHAT_ECS         "http://169.254.170.2"
#define NGX_IVSCHAT_IMDS_URL        "http://169.254.169.254"
#define NGX_IVSCHAT_IMDS6       "http://[fd00:ec2::254]"


/*
 * NGX_OK: this source is usable; NGX_DECLINED: it is not there, and rs->reason
 * says what is not; NGX_ERROR: it is there, and wrong.
 */

typedef ngx_int_t (*ngx_ivschat_try_pt)(ngx_ivschat_resolve_t *rs);

typedef struct {
    ngx_str_t                        name;
    ngx_ivschat_try_pt               handler;
} ngx_ivschat_source_kind_t;


static ngx_int_t ngx_ivschat_resolve_static(ngx_ivschat_resolve_t *rs);
static ngx_int_t ngx_ivschat_resolve_named(ngx_ivschat_resolve_t *rs,
    ngx_str_t *name);
static ngx_int_t ngx_ivschat_resolve_auto(ngx_ivschat_resolve_t *rs);
static ngx_int_t ngx_ivschat_resolve_role(ngx_ivschat_resolve_t *rs);
static void ngx_ivschat_resolve_log(ngx_ivschat_resolve_t *rs,
    ngx_uint_t level, const char *what);


/*
 * In the order of "auto".  Keys of the environment go first with AWS_PROFILE
 * set as well, as in AWS's SDKs for Python and C (JavaScript's skips them).
 */

static ngx_ivschat_source_kind_t  ngx_ivschat_sources[] = {
    { ngx_string("env"), ngx_ivschat_try_env },
    { ngx_string("profile"), ngx_ivschat_try_profile },
    { ngx_string("web_identity"), ngx_ivschat_try_web_identity },
    { ngx_string("container"), ngx_ivschat_try_container },
    { ngx_string("imds"), ngx_ivschat_try_imds },
    { ngx_null_string, NULL }
};


ngx_int_t
ngx_ivschat_resolve_line(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_str_t *region, ngx_ivschat_resolved_t *resolved)
{
    ngx_int_t              rc;
    const char            *timeout, *attempts;
    ngx_ivschat_resolve_t  rs;

    ngx_memzero(resolved, sizeof(ngx_ivschat_resolved_t));
    ngx_memzero(&rs, sizeof(ngx_ivschat_resolve_t));

    rs.cf = cf;
    rs.line = line;
    rs.room_region = region;
    rs.out = resolved;

    resolved->name = line->source;
    resolved->source.creds = &resolved->creds;
    resolved->source.ca_file = ngx_ivschat_env(&rs, "AWS_CA_BUNDLE");

    timeout = ngx_ivschat_env(&rs, "AWS_METADATA_SERVICE_TIMEOUT");
    attempts = ngx_ivschat_env(&rs, "AWS_METADATA_SERVICE_NUM_ATTEMPTS");

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
        rc = ngx_ivschat_resolve_static(&rs);

    } else if (ngx_strcmp(line->source.data, "assume_role") == 0) {
        rc = ngx_ivschat_resolve_role(&rs);

    } else {
        rc = ngx_ivschat_resolve_named(&rs, &line->source);
    }

    return rc;
}


static ngx_int_t
ngx_ivschat_resolve_static(ngx_ivschat_resolve_t *rs)
{
    ngx_ivschat_credentials_field_e  field;
    ngx_ivschat_line_t              *line;

    line = rs->line;

    /* checked when the line was read */

    if (ngx_ivschat_credentials_set(&rs->out->creds,
                                    ngx_ivschat_pure(&line->key),
                                    ngx_ivschat_pure(&line->secret),
                                    ngx_ivschat_pure(&line->token),
                                    &field)
        != NULL)
    {
        return NGX_ERROR;
    }

    rs->out->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_named(ngx_ivschat_resolve_t *rs, ngx_str_t *name)
{
    ngx_int_t                   rc;
    ngx_ivschat_source_kind_t  *source;

    if (ngx_strcmp(name->data, "auto") == 0) {
        return ngx_ivschat_resolve_auto(rs);
    }

    for (source = ngx_ivschat_sources; source->handler; source++) {

        if (ngx_strcmp(name->data, source->name.data) != 0) {
            continue;
        }

        rc = source->handler(rs);

        if (rc == NGX_ERROR) {
            ngx_ivschat_resolve_log(rs, NGX_LOG_EMERG, "cannot be used");
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {

            /* a shell has not the environment that the service has */

            ngx_ivschat_resolve_log(rs, NGX_LOG_WARN, "has no credentials");
            rs->out->source.base = NGX_IVSCHAT_BASE_NONE;
        }

        return NGX_OK;
    }

    return NGX_ERROR;
}


/* The first one that is there; the others and their reasons are kept. */

static ngx_int_t
ngx_ivschat_resolve_auto(ngx_ivschat_resolve_t *rs)
{
    u_char                     *p, *last;
    ngx_int_t                   rc;
    ngx_ivschat_source_kind_t  *source;

    p = ngx_pnalloc(rs->cf->pool, NGX_IVSCHAT_TRIED_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rs->out->tried.data = p;
    last = p + NGX_IVSCHAT_TRIED_LEN;

    for (source = ngx_ivschat_sources; source->handler; source++) {

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
            ngx_ivschat_resolve_log(rs, NGX_LOG_WARN, "passes over a source");
        }

        p = ngx_slprintf(p, last, "%s%V: %s", rs->out->tried.len ? "; " : "",
                         &source->name, rs->reason);
        rs->out->tried.len = p - rs->out->tried.data;

        if (rc == NGX_ERROR && source->handler == ngx_ivschat_try_container) {
            /* a container must not get the rights of its instance */

            rs->out->source.base = NGX_IVSCHAT_BASE_NONE;
            return NGX_OK;
        }
    }

    if (source->handler == NULL) {
        (void) ngx_snprintf((u_char *) rs->reason, sizeof(rs->reason) - 1,
                            "%V%Z", &rs->out->tried);
        ngx_ivschat_resolve_log(rs, NGX_LOG_WARN, "finds no credentials");
        rs->out->source.base = NGX_IVSCHAT_BASE_NONE;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_role(ngx_ivschat_resolve_t *rs)
{
    ngx_int_t  rc;
    ngx_str_t                       base = ngx_string("auto");
    ngx_ivschat_source_t           *source;
    ngx_ivschat_line_t  *line;

    line = rs->line;
    source = &rs->out->source;

    rc = ngx_ivschat_resolve_named(rs, line->base.data ? &line->base
                                   : &base);

    rs->out->name = line->source;

    if (rc != NGX_OK || source->base == NGX_IVSCHAT_BASE_NONE) {
        return rc;
    }

    if (source->nroles == NGX_IVSCHAT_FETCH_ROLES_MAX) {
        ngx_ivschat_reason(rs, "too many roles in a row");
        rc = NGX_ERROR;

    } else {
        rc = ngx_ivschat_add_role(rs,
                                  &source->roles[source->nroles],
                                  ngx_ivschat_pure(&line->role),
                                  ngx_ivschat_pure(&line->session_name),
                                  ngx_ivschat_pure(&line->external_id),
                                  line->duration.len
                        ? (ngx_uint_t) ngx_parse_time(&line->duration, 1) : 0);
    }

    if (rc != NGX_OK) {
        ngx_ivschat_resolve_log(rs, NGX_LOG_EMERG, "cannot be used");
        return NGX_ERROR;
    }

    source->nroles++;

    return NGX_OK;
}


static void
ngx_ivschat_resolve_log(ngx_ivschat_resolve_t *rs, ngx_uint_t level,
    const char *what)
{
    ngx_ivschat_line_t  *line;

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


void
ngx_ivschat_reason(ngx_ivschat_resolve_t *rs, const char *fmt, ...)
{
    u_char  *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) rs->reason,
                      (u_char *) rs->reason + sizeof(rs->reason) - 1, fmt,
                      args);
    va_end(args);

    *p = '\0';
}


ngx_int_t
ngx_ivschat_try_env(ngx_ivschat_resolve_t *rs)
{
    const char                      *key, *secret, *token, *reason;
    ngx_ivschat_credentials_field_e  field;

    static const char *const  names[] = {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
    };

    key = ngx_ivschat_env(rs, names[0]);
    secret = ngx_ivschat_env(rs, names[1]);
    token = ngx_ivschat_env(rs, names[2]);

    if (key == NULL || secret == NULL) {
        ngx_ivschat_reason(rs, "%s is not set in the environment",
                           key == NULL ? names[0] : names[1]);
        return NGX_DECLINED;
    }

    reason = ngx_ivschat_credentials_set(&rs->out->creds,
                                         ngx_ivschat_pure_c(key),
                                         ngx_ivschat_pure_c(secret),
                                         ngx_ivschat_pure_c(token), &field);

    ngx_explicit_memzero((void *) secret, ngx_strlen(secret));

    if (token) {
        ngx_explicit_memzero((void *) token, ngx_strlen(token));
    }

    if (reason) {
        ngx_ivschat_reason(rs, "%s in the environment: %s", names[field],
                           reason);
        return NGX_DECLINED;
    }

    rs->out->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


/* Where both of a pair are set, Python's and C's SDKs are followed. */

ngx_int_t
ngx_ivschat_try_container(ngx_ivschat_resolve_t *rs)
{
    u_char                *p;
    size_t                 len;
    const char            *relative, *full;
    ngx_ivschat_source_t  *source;

    source = &rs->out->source;

    relative = ngx_ivschat_env(rs, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    full = ngx_ivschat_env(rs, "AWS_CONTAINER_CREDENTIALS_FULL_URI");

    if (relative) {

        len = sizeof(NGX_IVSCHAT_ECS) + ngx_strlen(relative);

        p = ngx_pnalloc(rs->cf->pool, len);
        if (p == NULL) {
            ngx_ivschat_reason(rs, "out of memory");
            return NGX_ERROR;
        }

        ngx_sprintf(p, NGX_IVSCHAT_ECS "%s%Z", relative);
        source->url = (const char *) p;

        if (relative[0] != '/'
            || !ngx_ivschat_url_valid(source->url))
        {
            ngx_ivschat_reason(rs, "AWS_CONTAINER_CREDENTIALS_"
                               "RELATIVE_URI is no path");
            return NGX_ERROR;
        }

    } else if (full) {

        if (!ngx_ivschat_url_valid(full)
            || !ngx_ivschat_url_may_carry_keys(full))
        {
            ngx_ivschat_reason(rs, "AWS_CONTAINER_CREDENTIALS_"
                       "FULL_URI must be https, or http to this machine, "
                       "169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
            return NGX_ERROR;
        }

        source->url = full;

    } else {
        ngx_ivschat_reason(rs, "neither AWS_CONTAINER_CREDENTIALS_"
                           "RELATIVE_URI nor _FULL_URI is set in "
                           "the environment");
        return NGX_DECLINED;
    }

    source->base = NGX_IVSCHAT_BASE_CONTAINER;
    source->token_file = ngx_ivschat_env(rs,
                                   "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    source->token = ngx_ivschat_env(rs, "AWS_CONTAINER_AUTHORIZATION_TOKEN");

    return NGX_OK;
}


ngx_int_t
ngx_ivschat_try_imds(ngx_ivschat_resolve_t *rs)
{
    size_t                 len;
    const char            *disabled, *endpoint, *mode;
    ngx_ivschat_source_t  *source;

    source = &rs->out->source;

    disabled = ngx_ivschat_env(rs, "AWS_EC2_METADATA_DISABLED");
    endpoint = ngx_ivschat_env(rs, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    mode = ngx_ivschat_env(rs, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

    if (disabled && ngx_strcasecmp((u_char *) disabled, (u_char *) "false")) {
        ngx_ivschat_reason(rs, "AWS_EC2_METADATA_DISABLED is set");
        return NGX_DECLINED;
    }

    if (endpoint) {

        if (!ngx_ivschat_url_valid(endpoint)) {
            ngx_ivschat_reason(rs, "AWS_EC2_METADATA_SERVICE_"
                               "ENDPOINT is no URL");
            return NGX_ERROR;
        }

        len = ngx_strlen(endpoint);

        while (endpoint[len - 1] == '/') {
            len--;
        }

        source->url = ngx_ivschat_dup(rs, endpoint, len);

    } else if (mode && ngx_strcasecmp((u_char *) mode, (u_char *) "IPv6") == 0)
    {
        source->url = NGX_IVSCHAT_IMDS6;

    } else if (mode && ngx_strcasecmp((u_char *) mode, (u_char *) "IPv4") != 0)
    {
        ngx_ivschat_reason(rs, "AWS_EC2_METADATA_SERVICE_ENDPOINT_"
                           "MODE is neither IPv4 nor IPv6");
        return NGX_ERROR;

    } else {
        source->url = NGX_IVSCHAT_IMDS_URL;
    }

    source->base = NGX_IVSCHAT_BASE_IMDS;

    return NGX_OK;
}


const char *
ngx_ivschat_dup(ngx_ivschat_resolve_t *rs, const char *data, size_t len)
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

const char *
ngx_ivschat_env(ngx_ivschat_resolve_t *rs, const char *name)
{
    const char  *value;

    value = ngx_ivschat_getenv(rs->cf->cycle, name);

    return value ? ngx_ivschat_dup(rs, value, ngx_strlen(value))
                 : NULL;
}
