
/*
 * The table of sources, the lines that name them, and the search.
 */


#include "ngx_ivschat_sources.h"
#include "ngx_ivschat_url.h"
#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_sts.h"


#define NGX_IVSCHAT_TRIED_LEN   2048
#define NGX_IVSCHAT_NAME_LEN    32      /* of "auto: web_identity" */
#define NGX_IVSCHAT_WORD_MAX    20

#define NGX_IVSCHAT_BASE   0x1          /* may be source=... */
#define NGX_IVSCHAT_AUTO   0x2          /* is tried by "auto" */

#define ngx_ivschat_bit(param)   (1 << NGX_IVSCHAT_PARAM_##param)


struct ngx_ivschat_kind_s {
    ngx_str_t      name;
    ngx_uint_t     flags;
    ngx_uint_t     params;              /* bits: 1 << param */
    ngx_uint_t     required;            /* of these */
    ngx_int_t    (*find)(ngx_ivschat_find_t *find);
};


/* check: NULL, or a function that returns NULL or what is wrong. */

typedef struct {
    ngx_str_t      name;
    const char  *(*check)(ngx_ivschat_str_t value);
} ngx_ivschat_param_t;


static const ngx_ivschat_kind_t *ngx_ivschat_find_kind(ngx_ivschat_str_t name);
static char *ngx_ivschat_read_param(ngx_conf_t *cf, ngx_ivschat_spec_t *line,
    ngx_str_t *value);
static char *ngx_ivschat_param_error(ngx_conf_t *cf, const ngx_str_t *name,
    const char *reason);
static char *ngx_ivschat_check_static(ngx_conf_t *cf,
    ngx_ivschat_spec_t *line);
static const char *ngx_ivschat_static_keys(ngx_str_t *params,
    ngx_ivschat_credentials_t *creds, ngx_ivschat_credentials_field_e *field);
static const char *ngx_ivschat_check_source(ngx_ivschat_str_t value);
static const char *ngx_ivschat_check_region(ngx_ivschat_str_t value);
static const char *ngx_ivschat_check_duration(ngx_ivschat_str_t value);

static ngx_int_t ngx_ivschat_try(ngx_ivschat_find_t *find,
    const ngx_ivschat_kind_t *kind);
static ngx_int_t ngx_ivschat_find_auto(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_find_static(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_find_assumed(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_sts_role(ngx_ivschat_find_t *find,
    ngx_ivschat_role_t *role);
static const char *ngx_ivschat_sts_region(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_sts_endpoint(ngx_ivschat_find_t *find,
    ngx_ivschat_role_t *role);
static ngx_uint_t ngx_ivschat_find_number(ngx_ivschat_find_t *find,
    const char *name, double unit, ngx_uint_t max, ngx_uint_t preset);
static void ngx_ivschat_find_log(ngx_ivschat_find_t *find,
    ngx_ivschat_spec_t *line, ngx_uint_t level, const char *what);


static const ngx_ivschat_param_t  ngx_ivschat_params[] = {
    [NGX_IVSCHAT_PARAM_KEY] = { ngx_string("key"), NULL },
    [NGX_IVSCHAT_PARAM_SECRET] = { ngx_string("secret"), NULL },
    [NGX_IVSCHAT_PARAM_SESSION_TOKEN] = { ngx_string("token"), NULL },
    [NGX_IVSCHAT_PARAM_NAME] = { ngx_string("name"), NULL },
    [NGX_IVSCHAT_PARAM_FILE] = { ngx_string("file"), NULL },
    [NGX_IVSCHAT_PARAM_ROLE] = { ngx_string("role"),
                                 ngx_ivschat_sts_check_role },
    [NGX_IVSCHAT_PARAM_SOURCE] = { ngx_string("source"),
                                   ngx_ivschat_check_source },
    [NGX_IVSCHAT_PARAM_REGION] = { ngx_string("region"),
                                   ngx_ivschat_check_region },
    [NGX_IVSCHAT_PARAM_EXTERNAL_ID] = { ngx_string("external_id"),
                                        ngx_ivschat_sts_check_external_id },
    [NGX_IVSCHAT_PARAM_SESSION_NAME] = { ngx_string("session_name"),
                                         ngx_ivschat_sts_check_session_name },
    [NGX_IVSCHAT_PARAM_DURATION] = { ngx_string("duration"),
                                     ngx_ivschat_check_duration }
};

_Static_assert(NGX_IVSCHAT_PARAMS == 11, "a row for each parameter");


/*
 * "auto" goes from the top to the bottom.  Keys of the environment go first
 * even if AWS_PROFILE is set, as in AWS's SDKs for Python and C (JavaScript's
 * skips them).
 */

static const ngx_ivschat_kind_t  ngx_ivschat_kinds[] = {

    { ngx_string("auto"), NGX_IVSCHAT_BASE, 0, 0, ngx_ivschat_find_auto },

    { ngx_string("env"), NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO, 0, 0,
      ngx_ivschat_find_env },

    { ngx_string("static"), 0,
      ngx_ivschat_bit(KEY)|ngx_ivschat_bit(SECRET)
      |ngx_ivschat_bit(SESSION_TOKEN),
      ngx_ivschat_bit(KEY)|ngx_ivschat_bit(SECRET), ngx_ivschat_find_static },

    { ngx_string("profile"), NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO,
      ngx_ivschat_bit(NAME)|ngx_ivschat_bit(FILE), 0,
      ngx_ivschat_find_profile },

    { ngx_string("web_identity"), NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO,
      ngx_ivschat_bit(REGION), 0, ngx_ivschat_find_web_identity },

    { ngx_string("container"), NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO, 0, 0,
      ngx_ivschat_find_container },

    { ngx_string("imds"), NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO, 0, 0,
      ngx_ivschat_find_imds },

    { ngx_string("assume_role"), 0,
      ngx_ivschat_bit(ROLE)|ngx_ivschat_bit(SOURCE)|ngx_ivschat_bit(REGION)
      |ngx_ivschat_bit(EXTERNAL_ID)|ngx_ivschat_bit(SESSION_NAME)
      |ngx_ivschat_bit(DURATION),
      ngx_ivschat_bit(ROLE), ngx_ivschat_find_assumed },

    { ngx_null_string, 0, 0, 0, NULL }
};


/* The names of the table, for messages. */

#define NGX_IVSCHAT_KINDS                                                     \
    "it must be \"auto\", \"env\", \"static\", \"profile\", \"container\", "  \
    "\"web_identity\", \"imds\" or \"assume_role\"; credential_process and "  \
    "SSO are not supported, since they would block nginx or need a browser"

#define NGX_IVSCHAT_BASES                                                     \
    "\"source=\" must be \"auto\", \"env\", \"profile\", \"container\", "     \
    "\"web_identity\" or \"imds\""


char *
ngx_ivschat_spec_read(ngx_conf_t *cf, ngx_ivschat_spec_t *line)
{
    ngx_str_t   *value, *file;
    ngx_uint_t   i;
    const char  *reason;

    ngx_memzero(line, sizeof(ngx_ivschat_spec_t));

    value = cf->args->elts;

    line->conf_file = cf->conf_file->file.name;
    line->line = cf->conf_file->line;
    line->name = value[1];
    line->kind = ngx_ivschat_find_kind(ngx_ivschat_pure(&value[1]));

    if (line->kind == NULL) {

        /* anything but a word may be a misplaced secret, and is not shown */

        if (value[1].len > NGX_IVSCHAT_WORD_MAX
            || !ngx_ivschat_str_only(ngx_ivschat_pure(&value[1]),
                                     NGX_IVSCHAT_LETTERS "_-"))
        {
            ngx_str_set(&value[1], "…");
        }

        return ngx_ivschat_invalid(cf, &value[1], NGX_IVSCHAT_KINDS);
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_ivschat_read_param(cf, line, &value[i]) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 0; i < NGX_IVSCHAT_PARAMS; i++) {
        value = &line->params[i];

        if (value->len == 0 && (line->kind->required & (1 << i))) {
            return ngx_ivschat_param_error(cf, &ngx_ivschat_params[i].name,
                                           "it is missing");
        }

        if (value->len && ngx_ivschat_params[i].check) {
            reason = ngx_ivschat_params[i].check(ngx_ivschat_pure(value));

            if (reason) {
                return ngx_ivschat_invalid(cf, value, reason);
            }
        }
    }

    file = &line->params[NGX_IVSCHAT_PARAM_FILE];

    if (file->len && ngx_conf_full_name(cf->cycle, file, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return line->kind->find == ngx_ivschat_find_static
           ? ngx_ivschat_check_static(cf, line) : NGX_CONF_OK;
}


void
ngx_ivschat_spec_auto(ngx_ivschat_spec_t *line)
{
    ngx_memzero(line, sizeof(ngx_ivschat_spec_t));

    line->kind = &ngx_ivschat_kinds[0];
    line->name = line->kind->name;
}


ngx_uint_t
ngx_ivschat_spec_same(ngx_ivschat_spec_t *a, ngx_ivschat_spec_t *b)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_IVSCHAT_PARAMS; i++) {
        if (!ngx_ivschat_str_equal(ngx_ivschat_pure(&a->params[i]),
                                   ngx_ivschat_pure(&b->params[i])))
        {
            return 0;
        }
    }

    return a->kind == b->kind;
}


void
ngx_ivschat_spec_wipe(ngx_ivschat_spec_t *line)
{
    ngx_str_t  *param;

    for (param = &line->params[NGX_IVSCHAT_PARAM_SECRET];
         param <= &line->params[NGX_IVSCHAT_PARAM_SESSION_TOKEN]; param++)
    {
        if (param->len) {
            ngx_explicit_memzero(param->data, param->len);
        }
    }
}


static const ngx_ivschat_kind_t *
ngx_ivschat_find_kind(ngx_ivschat_str_t name)
{
    const ngx_ivschat_kind_t  *kind;

    for (kind = ngx_ivschat_kinds; kind->name.len; kind++) {
        if (ngx_ivschat_str_is(name, (char *) kind->name.data)) {
            return kind;
        }
    }

    return NULL;
}


static char *
ngx_ivschat_read_param(ngx_conf_t *cf, ngx_ivschat_spec_t *line,
    ngx_str_t *value)
{
    ngx_str_t           name, *param;
    ngx_uint_t          i;
    ngx_ivschat_str_t   rest, key;

    rest = ngx_ivschat_pure(value);
    key = ngx_ivschat_str_cut(&rest, '=');

    name.data = value->data;
    name.len = key.len;

    for (i = 0; i < NGX_IVSCHAT_PARAMS; i++) {
        if (ngx_ivschat_str_is(key,
                               (char *) ngx_ivschat_params[i].name.data))
        {
            break;
        }
    }

    if (key.len == value->len) {

        /* without a "=" it may be a secret */

        ngx_str_set(&name, "…");
        i = NGX_IVSCHAT_PARAMS;
    }

    if (i == NGX_IVSCHAT_PARAMS || !(line->kind->params & (1 << i))) {
        return ngx_ivschat_param_error(cf, &name,
                                       "this source has no such parameter");
    }

    param = &line->params[i];

    if (param->data) {
        return ngx_ivschat_param_error(cf, &name, "it is a duplicate");
    }

    param->data = (u_char *) rest.data;
    param->len = rest.len;

    if (param->len == 0) {
        return ngx_ivschat_param_error(cf, &name, "it is empty");
    }

    return NGX_CONF_OK;
}


/* Names the parameter, never its value, which may be secret. */

static char *
ngx_ivschat_param_error(ngx_conf_t *cf, const ngx_str_t *name,
    const char *reason)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V=\" in "
                       "\"ivschat_token_credentials %V\" directive: %s",
                       name, &value[1], reason);

    return NGX_CONF_ERROR;
}


static char *
ngx_ivschat_check_static(ngx_conf_t *cf, ngx_ivschat_spec_t *line)
{
    const char                       *reason;
    struct stat                       st;
    ngx_ivschat_credentials_t         creds;
    ngx_ivschat_credentials_field_e   field;

    static const ngx_uint_t  params[] = {
        [NGX_IVSCHAT_ACCESS_KEY] = NGX_IVSCHAT_PARAM_KEY,
        [NGX_IVSCHAT_SECRET_KEY] = NGX_IVSCHAT_PARAM_SECRET,
        [NGX_IVSCHAT_SESSION_TOKEN] = NGX_IVSCHAT_PARAM_SESSION_TOKEN
    };

    _Static_assert(NGX_IVSCHAT_SESSION_TOKEN == 2, "a row for each field");

    reason = ngx_ivschat_static_keys(line->params, &creds, &field);

    ngx_ivschat_credentials_wipe(&creds);

    if (reason) {
        return ngx_ivschat_param_error(cf,
                                       &ngx_ivschat_params[params[field]].name,
                                       reason);
    }

    if (fstat(cf->conf_file->file.fd, &st) == 0 && (st.st_mode & S_IROTH)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" holds secrets and is readable by all "
                           "users: chmod 600 it, or move this line into an "
                           "included file",
                           &cf->conf_file->file.name);
    }

    return NGX_CONF_OK;
}


static const char *
ngx_ivschat_static_keys(ngx_str_t *params, ngx_ivschat_credentials_t *creds,
    ngx_ivschat_credentials_field_e *field)
{
    return ngx_ivschat_credentials_set(creds,
                  ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_KEY]),
                  ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_SECRET]),
                  ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_SESSION_TOKEN]),
                  field);
}


static const char *
ngx_ivschat_check_source(ngx_ivschat_str_t value)
{
    const ngx_ivschat_kind_t  *kind;

    kind = ngx_ivschat_find_kind(value);

    return (kind && (kind->flags & NGX_IVSCHAT_BASE)) ? NULL
                                                      : NGX_IVSCHAT_BASES;
}


static const char *
ngx_ivschat_check_region(ngx_ivschat_str_t value)
{
    return ngx_ivschat_region_valid(value)
           ? NULL : "it must be a region such as \"us-west-2\"";
}


static const char *
ngx_ivschat_check_duration(ngx_ivschat_str_t value)
{
    ngx_int_t  duration;
    ngx_str_t  s;

    s.data = (u_char *) value.data;
    s.len = value.len;

    duration = ngx_parse_time(&s, 1);

    return duration == NGX_ERROR
           ? "it must be a time such as \"1h\""
           : ngx_ivschat_sts_check_duration((unsigned) duration);
}


ngx_int_t
ngx_ivschat_find(ngx_conf_t *cf, ngx_ivschat_spec_t *line, ngx_str_t *region,
    ngx_ivschat_found_t *found)
{
    ngx_int_t              rc;
    ngx_ivschat_find_t     find;
    ngx_ivschat_source_t  *source;

    ngx_memzero(found, sizeof(ngx_ivschat_found_t));
    ngx_memzero(&find, sizeof(ngx_ivschat_find_t));

    find.cf = cf;
    find.params = line->params;
    find.room_region = region;
    find.found = found;

    found->name = line->name;

    source = &found->source;
    source->creds = &found->creds;
    source->ca_file = ngx_ivschat_find_getenv(&find, "AWS_CA_BUNDLE");
    source->imds_timeout = ngx_ivschat_find_number(&find,
                               "AWS_METADATA_SERVICE_TIMEOUT", 1000, 10000,
                               1000);
    source->imds_attempts = ngx_ivschat_find_number(&find,
                                "AWS_METADATA_SERVICE_NUM_ATTEMPTS", 1, 10, 2);

    rc = ngx_ivschat_try(&find, line->kind);

    if (rc == NGX_ERROR) {
        ngx_ivschat_find_log(&find, line, NGX_LOG_EMERG, "cannot be used");
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {

        /* a shell may not have the environment of the service */

        ngx_ivschat_find_log(&find, line,
                             find.named && found->tried.len ? NGX_LOG_ERR
                                                            : NGX_LOG_WARN,
                             "finds no credentials");
    }

    return NGX_OK;
}


/* Finds a source, and completes its roles. */

static ngx_int_t
ngx_ivschat_try(ngx_ivschat_find_t *find, const ngx_ivschat_kind_t *kind)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;

    rc = kind->find(find);

    if (rc == NGX_OK && source->base == NGX_IVSCHAT_BASE_WEB_IDENTITY) {
        rc = ngx_ivschat_sts_role(find, &source->web_identity);
    }

    for (i = 0; i < source->nroles && rc == NGX_OK; i++) {
        rc = ngx_ivschat_sts_role(find, &source->roles[i]);
    }

    if (find->nomem) {
        rc = ngx_ivschat_find_fail(find, NGX_ERROR, "out of memory");
    }

    if (rc != NGX_OK) {
        source->base = NGX_IVSCHAT_BASE_NONE;
        source->nroles = 0;
        find->found->keys = 0;

        ngx_memzero(source->roles, sizeof(source->roles));
        ngx_memzero(&source->web_identity, sizeof(ngx_ivschat_role_t));
    }

    return rc;
}


/*
 * The first source that is there.  What is set explicitly ends the search: a
 * container must not get the rights of its instance.
 */

static ngx_int_t
ngx_ivschat_find_auto(ngx_ivschat_find_t *find)
{
    u_char                    *p, *last;
    ngx_int_t                  rc;
    ngx_ivschat_found_t       *found;
    const ngx_ivschat_kind_t  *kind;

    found = find->found;

    p = ngx_pnalloc(find->cf->pool,
                    NGX_IVSCHAT_TRIED_LEN + NGX_IVSCHAT_NAME_LEN);
    if (p == NULL) {
        find->nomem = 1;
        return NGX_ERROR;
    }

    found->tried.data = p;
    last = p + NGX_IVSCHAT_TRIED_LEN;

    for (kind = ngx_ivschat_kinds; kind->name.len; kind++) {

        if (!(kind->flags & NGX_IVSCHAT_AUTO)) {
            continue;
        }

        find->named = 0;
        rc = ngx_ivschat_try(find, kind);

        if (rc == NGX_OK) {
            found->name.data = last;
            found->name.len = ngx_snprintf(last, NGX_IVSCHAT_NAME_LEN,
                                           "auto: %V", &kind->name)
                              - last;
            return NGX_OK;
        }

        p = ngx_slprintf(p, last, "%s%V: %s", found->tried.len ? "; " : "",
                         &kind->name, find->reason);
        found->tried.len = p - found->tried.data;

        if (find->named) {
            break;
        }

        if (rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_WARN, find->cf->log, 0,
                          "\"ivschat_token_credentials auto\" skips \"%V\": "
                          "%s", &kind->name, find->reason);
        }
    }

    return ngx_ivschat_find_fail(find, NGX_DECLINED, "%V", &found->tried);
}


static ngx_int_t
ngx_ivschat_find_static(ngx_ivschat_find_t *find)
{
    ngx_ivschat_credentials_field_e  field;

    /* checked when the line was read */

    (void) ngx_ivschat_static_keys(find->params, &find->found->creds, &field);

    find->found->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


/* A role, after those of the source that it is assumed with. */

static ngx_int_t
ngx_ivschat_find_assumed(ngx_ivschat_find_t *find)
{
    ngx_int_t                  rc;
    ngx_str_t                  name, *params;
    ngx_ivschat_role_t        *role;
    const ngx_ivschat_kind_t  *base;

    params = find->params;
    name = find->found->name;

    base = ngx_ivschat_find_kind(
               ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_SOURCE]));
    rc = ngx_ivschat_try(find, base ? base : &ngx_ivschat_kinds[0]);

    find->found->name = name;

    if (rc != NGX_OK) {
        return rc;
    }

    role = &find->found->source.roles[find->found->source.nroles++];

    /* the arguments of a directive have a NUL */

    role->role_arn = (char *) params[NGX_IVSCHAT_PARAM_ROLE].data;
    role->session_name = (char *) params[NGX_IVSCHAT_PARAM_SESSION_NAME].data;
    role->external_id = (char *) params[NGX_IVSCHAT_PARAM_EXTERNAL_ID].data;

    if (params[NGX_IVSCHAT_PARAM_DURATION].len) {
        role->duration = ngx_parse_time(&params[NGX_IVSCHAT_PARAM_DURATION],
                                        1);
    }

    return NGX_OK;
}


/* Adds what STS needs to a role: once. */

static ngx_int_t
ngx_ivschat_sts_role(ngx_ivschat_find_t *find, ngx_ivschat_role_t *role)
{
    char  name[NGX_IVSCHAT_SESSION_NAME_MAX + 1];

    if (role->url) {
        return NGX_OK;
    }

    if (role->session_name == NULL) {
        ngx_ivschat_sts_session_name(
            ngx_ivschat_pure(&find->cf->cycle->hostname), name);
        role->session_name = ngx_ivschat_find_dup(find, ngx_ivschat_str(name));
    }

    role->region = ngx_ivschat_sts_region(find);

    if (role->region == NULL
        || !ngx_ivschat_region_valid(ngx_ivschat_str(role->region)))
    {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "%s: add \"region=\", "
                                     "or set AWS_REGION",
                                     role->region ? "invalid region of STS"
                                                  : "STS needs a region");
    }

    return ngx_ivschat_sts_endpoint(find, role);
}


/* The region of the room is the last resort. */

static const char *
ngx_ivschat_sts_region(ngx_ivschat_find_t *find)
{
    const char  *region;

    region = (char *) find->params[NGX_IVSCHAT_PARAM_REGION].data;

    if (region == NULL) {
        region = ngx_ivschat_find_getenv(find, "AWS_REGION");
    }

    if (region == NULL) {
        region = ngx_ivschat_find_getenv(find, "AWS_DEFAULT_REGION");
    }

    if (region == NULL) {
        ngx_ivschat_find_settings(find);
        region = find->profile_region;
    }

    if (region == NULL && find->room_region->len) {
        region = ngx_ivschat_find_dup(find,
                                      ngx_ivschat_pure(find->room_region));
    }

    return region;
}


static ngx_int_t
ngx_ivschat_sts_endpoint(ngx_ivschat_find_t *find, ngx_ivschat_role_t *role)
{
    char                host[NGX_IVSCHAT_HOST_MAX + 1];
    char                aws[NGX_IVSCHAT_HOST_MAX + sizeof("https://")];
    size_t              len;
    const char         *url, *ignore, *port;
    ngx_ivschat_str_t   s, service = ngx_ivschat_string("sts");

    ignore = ngx_ivschat_getenv(find->cf,
                                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    url = ngx_ivschat_getenv(find->cf, "AWS_ENDPOINT_URL_STS");

    if (url == NULL) {
        url = ngx_ivschat_getenv(find->cf, "AWS_ENDPOINT_URL");
    }

    if (url == NULL) {
        url = find->profile_sts;
    }

    if (url == NULL || (ignore && strcasecmp(ignore, "true") == 0)) {
        (void) ngx_ivschat_host(service, ngx_ivschat_str(role->region), host,
                                sizeof(host), &len);
        (void) ngx_snprintf((u_char *) aws, sizeof(aws), "https://%*s%Z", len,
                            host);
        url = aws;
    }

    if (!(ngx_ivschat_url(url)
          & (NGX_IVSCHAT_URL_HTTPS|NGX_IVSCHAT_URL_LOOPBACK))
        || strstr(url, "://") == NULL)
    {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "the endpoint of STS "
                                     "must be https, or http to this host");
    }

    s = ngx_ivschat_str(url);

    if (s.data[s.len - 1] == '/') {
        s.len--;
    }

    role->url = ngx_ivschat_find_dup(find, s);

    s.data = strstr(url, "://") + 3;
    s.len -= s.data - url;

    if (memchr(s.data, '/', s.len) || memchr(s.data, '?', s.len)) {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "the endpoint of STS "
                                     "must not have a path");
    }

    /* libcurl leaves the default port out of the Host header */

    port = strncasecmp(url, "https", 5) == 0 ? ":443" : ":80";
    len = ngx_strlen(port);

    if (s.len > len && ngx_strncmp(s.data + s.len - len, port, len) == 0) {
        s.len -= len;
    }

    role->host = ngx_ivschat_find_dup(find, s);

    return NGX_OK;
}


/* A positive number of the environment, or else the preset one. */

static ngx_uint_t
ngx_ivschat_find_number(ngx_ivschat_find_t *find, const char *name,
    double unit, ngx_uint_t max, ngx_uint_t preset)
{
    double       n;
    const char  *value;

    value = ngx_ivschat_getenv(find->cf, name);
    n = value ? atof(value) * unit : 0;

    return (n >= 1 && n < max + 1) ? (ngx_uint_t) n : preset;
}


static void
ngx_ivschat_find_log(ngx_ivschat_find_t *find, ngx_ivschat_spec_t *line,
    ngx_uint_t level, const char *what)
{
    if (line->conf_file.len) {
        ngx_log_error(level, find->cf->log, 0,
                      "\"ivschat_token_credentials %V\" %s: %s in %V:%ui",
                      &line->name, what, find->reason, &line->conf_file,
                      line->line);
        return;
    }

    ngx_log_error(level, find->cf->log, 0,
                  "\"ivschat_token_credentials %V\", the default, %s: %s",
                  &line->name, what, find->reason);
}
