
/*
 * The table of sources, the lines that name them, and the search for what a
 * line means.
 */


#include "ngx_ivschat_sources.h"
#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_sts.h"


#define NGX_IVSCHAT_TRIED_LEN   2048
#define NGX_IVSCHAT_NAME_LEN    32      /* of "auto: web_identity" */
#define NGX_IVSCHAT_WORD_MAX    20

#define ngx_ivschat_bit(param)   (1 << NGX_IVSCHAT_PARAM_##param)


/* check: NULL, or a function that returns NULL or what is wrong. */

typedef struct {
    ngx_str_t             name;
    const char         *(*check)(ngx_ivschat_str_t value);
} ngx_ivschat_param_t;


static ngx_ivschat_kind_t *ngx_ivschat_find_kind(ngx_ivschat_str_t name);
static char *ngx_ivschat_read_param(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_str_t *value);
static char *ngx_ivschat_param_error(ngx_conf_t *cf, ngx_str_t *name,
    const char *reason);
static char *ngx_ivschat_check_static(ngx_conf_t *cf,
    ngx_ivschat_line_t *line);
static const char *ngx_ivschat_static_keys(ngx_ivschat_line_t *line,
    ngx_ivschat_credentials_t *creds, ngx_ivschat_credentials_field_e *field);
static const char *ngx_ivschat_check_source(ngx_ivschat_str_t value);
static const char *ngx_ivschat_check_region(ngx_ivschat_str_t value);
static const char *ngx_ivschat_check_duration(ngx_ivschat_str_t value);

static ngx_int_t ngx_ivschat_find_auto(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_find_static(ngx_ivschat_find_t *find);
static ngx_int_t ngx_ivschat_find_assumed(ngx_ivschat_find_t *find);
static ngx_uint_t ngx_ivschat_find_number(ngx_ivschat_find_t *find,
    const char *name, double unit, ngx_uint_t max, ngx_uint_t preset);
static void ngx_ivschat_find_log(ngx_ivschat_find_t *find, ngx_uint_t level,
    const char *what);


static ngx_ivschat_param_t  ngx_ivschat_params[] = {
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
 * with AWS_PROFILE set as well, as in AWS's SDKs for Python and C
 * (JavaScript's skips them).
 */

static ngx_ivschat_kind_t  ngx_ivschat_kinds[] = {

    { ngx_string("auto"), NULL, NGX_IVSCHAT_BASE, 0, 0,
      NULL, ngx_ivschat_find_auto },

    { ngx_string("env"), "Environment",
      NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO, 0, 0,
      NULL, ngx_ivschat_find_keys },

    { ngx_string("static"), NULL, 0,
      ngx_ivschat_bit(KEY)|ngx_ivschat_bit(SECRET)
      |ngx_ivschat_bit(SESSION_TOKEN),
      ngx_ivschat_bit(KEY)|ngx_ivschat_bit(SECRET),
      ngx_ivschat_check_static, ngx_ivschat_find_static },

    { ngx_string("profile"), NULL, NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO,
      ngx_ivschat_bit(NAME)|ngx_ivschat_bit(FILE), 0,
      NULL, ngx_ivschat_find_profile },

    { ngx_string("web_identity"), NULL, NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO,
      ngx_ivschat_bit(REGION), 0,
      NULL, ngx_ivschat_find_web_identity },

    { ngx_string("container"), "EcsContainer",
      NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO, 0, 0,
      NULL, ngx_ivschat_find_container },

    { ngx_string("imds"), "Ec2InstanceMetadata",
      NGX_IVSCHAT_BASE|NGX_IVSCHAT_AUTO, 0, 0,
      NULL, ngx_ivschat_find_imds },

    { ngx_string("assume_role"), NULL, 0,
      ngx_ivschat_bit(ROLE)|ngx_ivschat_bit(SOURCE)|ngx_ivschat_bit(REGION)
      |ngx_ivschat_bit(EXTERNAL_ID)|ngx_ivschat_bit(SESSION_NAME)
      |ngx_ivschat_bit(DURATION),
      ngx_ivschat_bit(ROLE),
      NULL, ngx_ivschat_find_assumed },

    { ngx_null_string, NULL, 0, 0, 0, NULL, NULL }
};


/* The names of the table, for messages. */

#define NGX_IVSCHAT_KINDS                                                     \
    "the sources are \"auto\", \"env\", \"static\", \"profile\", "            \
    "\"container\", \"web_identity\", \"imds\" and \"assume_role\"; "         \
    "credential_process and SSO are no sources, since they would block, or "  \
    "need a browser"

#define NGX_IVSCHAT_BASES                                                     \
    "\"source=\" is one of \"auto\", \"env\", \"profile\", \"container\", "   \
    "\"web_identity\" and \"imds\""

#define NGX_IVSCHAT_PROFILE_NAMES                                             \
    "credential_source must be Environment, Ec2InstanceMetadata or "          \
    "EcsContainer"


char *
ngx_ivschat_line_read(ngx_conf_t *cf, ngx_ivschat_line_t *line)
{
    ngx_str_t   *value, *file;
    ngx_uint_t   i;
    const char  *reason;

    ngx_memzero(line, sizeof(ngx_ivschat_line_t));

    value = cf->args->elts;

    line->conf_file = cf->conf_file->file.name;
    line->line = cf->conf_file->line;
    line->kind = ngx_ivschat_find_kind(ngx_ivschat_pure(&value[1]));

    if (line->kind == NULL) {

        /* what is not a word may be a misplaced secret, and is not shown */

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

    return line->kind->check ? line->kind->check(cf, line) : NGX_CONF_OK;
}


void
ngx_ivschat_line_auto(ngx_ivschat_line_t *line)
{
    ngx_memzero(line, sizeof(ngx_ivschat_line_t));

    line->kind = &ngx_ivschat_kinds[0];
}


ngx_uint_t
ngx_ivschat_line_same(ngx_ivschat_line_t *a, ngx_ivschat_line_t *b)
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
ngx_ivschat_line_wipe(ngx_ivschat_line_t *line)
{
    ngx_uint_t  i;

    for (i = NGX_IVSCHAT_PARAM_SECRET; i <= NGX_IVSCHAT_PARAM_SESSION_TOKEN;
         i++)
    {
        if (line->params[i].len) {
            ngx_explicit_memzero(line->params[i].data, line->params[i].len);
        }
    }
}


static ngx_ivschat_kind_t *
ngx_ivschat_find_kind(ngx_ivschat_str_t name)
{
    ngx_ivschat_kind_t  *kind;

    for (kind = ngx_ivschat_kinds; kind->name.len; kind++) {
        if (ngx_ivschat_str_equal(ngx_ivschat_pure(&kind->name), name)) {
            return kind;
        }
    }

    return NULL;
}


static char *
ngx_ivschat_read_param(ngx_conf_t *cf, ngx_ivschat_line_t *line,
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
        return ngx_ivschat_param_error(cf, &name, "it is there twice");
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
ngx_ivschat_param_error(ngx_conf_t *cf, ngx_str_t *name, const char *reason)
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
ngx_ivschat_check_static(ngx_conf_t *cf, ngx_ivschat_line_t *line)
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

    reason = ngx_ivschat_static_keys(line, &creds, &field);

    ngx_ivschat_credentials_wipe(&creds);

    if (reason) {
        return ngx_ivschat_param_error(cf,
                                       &ngx_ivschat_params[params[field]].name,
                                       reason);
    }

    if (fstat(cf->conf_file->file.fd, &st) == 0 && (st.st_mode & S_IROTH)) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"%V\" holds secrets and can be read by "
                           "everyone: chmod 600 it, or move this line into a "
                           "file of its own that is included",
                           &cf->conf_file->file.name);
    }

    return NGX_CONF_OK;
}


static const char *
ngx_ivschat_static_keys(ngx_ivschat_line_t *line,
    ngx_ivschat_credentials_t *creds, ngx_ivschat_credentials_field_e *field)
{
    ngx_str_t  *params;

    params = line->params;

    return ngx_ivschat_credentials_set(creds,
                  ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_KEY]),
                  ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_SECRET]),
                  ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_SESSION_TOKEN]),
                  field);
}


static const char *
ngx_ivschat_check_source(ngx_ivschat_str_t value)
{
    ngx_ivschat_kind_t  *kind;

    kind = ngx_ivschat_find_kind(value);

    return (kind && (kind->flags & NGX_IVSCHAT_BASE)) ? NULL
                                                      : NGX_IVSCHAT_BASES;
}


static const char *
ngx_ivschat_check_region(ngx_ivschat_str_t value)
{
    return ngx_ivschat_region_valid(value)
           ? NULL : "it is no region's name like \"us-west-2\"";
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
           ? "it is no time like \"1h\""
           : ngx_ivschat_sts_check_duration((unsigned) duration);
}


ngx_int_t
ngx_ivschat_find(ngx_conf_t *cf, ngx_ivschat_line_t *line, ngx_str_t *region,
    ngx_ivschat_found_t *found)
{
    ngx_int_t              rc;
    ngx_ivschat_find_t     find;
    ngx_ivschat_source_t  *source;

    ngx_memzero(found, sizeof(ngx_ivschat_found_t));
    ngx_memzero(&find, sizeof(ngx_ivschat_find_t));

    find.cf = cf;
    find.line = line;
    find.room_region = region;
    find.found = found;

    found->name = line->kind->name;

    source = &found->source;
    source->creds = &found->creds;
    source->ca_file = ngx_ivschat_find_env(&find, "AWS_CA_BUNDLE");
    source->imds_timeout = ngx_ivschat_find_number(&find,
                               "AWS_METADATA_SERVICE_TIMEOUT", 1000, 10000,
                               1000);
    source->imds_attempts = ngx_ivschat_find_number(&find,
                                "AWS_METADATA_SERVICE_NUM_ATTEMPTS", 1, 10, 2);

    rc = line->kind->find(&find);

    if (rc == NGX_ERROR) {
        ngx_ivschat_find_log(&find, NGX_LOG_EMERG, "cannot be used");
        return NGX_ERROR;
    }

    if (rc == NGX_DECLINED) {

        /* a shell may not have the environment that the service has */

        ngx_ivschat_find_log(&find, NGX_LOG_WARN, "has no credentials");
        source->base = NGX_IVSCHAT_BASE_NONE;
    }

    return NGX_OK;
}


/* The first source that is there; the others and their reasons are kept. */

static ngx_int_t
ngx_ivschat_find_auto(ngx_ivschat_find_t *find)
{
    u_char               *p, *last;
    ngx_int_t             rc;
    ngx_ivschat_kind_t   *kind;
    ngx_ivschat_found_t  *found;

    found = find->found;

    p = ngx_pnalloc(find->cf->pool,
                    NGX_IVSCHAT_TRIED_LEN + NGX_IVSCHAT_NAME_LEN);
    if (p == NULL) {
        return ngx_ivschat_find_fail(find, NGX_ERROR, "out of memory");
    }

    found->tried.data = p;
    last = p + NGX_IVSCHAT_TRIED_LEN;

    for (kind = ngx_ivschat_kinds; kind->name.len; kind++) {

        if (!(kind->flags & NGX_IVSCHAT_AUTO)) {
            continue;
        }

        rc = kind->find(find);

        if (rc == NGX_OK) {
            found->name.data = last;
            found->name.len = ngx_snprintf(last, NGX_IVSCHAT_NAME_LEN,
                                           "auto: %V", &kind->name)
                              - last;
            return NGX_OK;
        }

        if (rc == NGX_ERROR) {
            ngx_ivschat_find_log(find, NGX_LOG_WARN, "passes over a source");
        }

        p = ngx_slprintf(p, last, "%s%V: %s", found->tried.len ? "; " : "",
                         &kind->name, find->reason);
        found->tried.len = p - found->tried.data;

        if (rc == NGX_ERROR && kind->find == ngx_ivschat_find_container) {

            /* a container must not get the rights of its instance */

            found->source.base = NGX_IVSCHAT_BASE_NONE;
            return NGX_OK;
        }
    }

    (void) ngx_ivschat_find_fail(find, NGX_DECLINED, "%V", &found->tried);
    ngx_ivschat_find_log(find, NGX_LOG_WARN, "finds no credentials");

    found->source.base = NGX_IVSCHAT_BASE_NONE;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_find_static(ngx_ivschat_find_t *find)
{
    ngx_ivschat_credentials_field_e  field;

    /* checked when the line was read */

    (void) ngx_ivschat_static_keys(find->line, &find->found->creds, &field);

    find->found->source.base = NGX_IVSCHAT_BASE_STATIC;

    return NGX_OK;
}


/* A role, after those of the source that it is assumed with. */

static ngx_int_t
ngx_ivschat_find_assumed(ngx_ivschat_find_t *find)
{
    ngx_int_t              rc;
    ngx_str_t             *params;
    ngx_ivschat_kind_t    *base;
    ngx_ivschat_role_t     role;
    ngx_ivschat_source_t  *source;

    params = find->line->params;
    source = &find->found->source;

    base = ngx_ivschat_find_kind(
               ngx_ivschat_pure(&params[NGX_IVSCHAT_PARAM_SOURCE]));
    rc = base ? base->find(find) : ngx_ivschat_find_auto(find);

    find->found->name = find->line->kind->name;

    if (rc != NGX_OK || source->base == NGX_IVSCHAT_BASE_NONE) {
        return rc;
    }

    ngx_memzero(&role, sizeof(ngx_ivschat_role_t));

    /* the arguments of a directive have a NUL */

    role.role_arn = (char *) params[NGX_IVSCHAT_PARAM_ROLE].data;
    role.session_name = (char *) params[NGX_IVSCHAT_PARAM_SESSION_NAME].data;
    role.external_id = (char *) params[NGX_IVSCHAT_PARAM_EXTERNAL_ID].data;

    if (params[NGX_IVSCHAT_PARAM_DURATION].len) {
        role.duration = ngx_parse_time(&params[NGX_IVSCHAT_PARAM_DURATION], 1);
    }

    return ngx_ivschat_find_role(find, &source->roles[source->nroles++],
                                 &role);
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


ngx_int_t
ngx_ivschat_find_named(ngx_ivschat_find_t *find,
    const ngx_ivschat_property_t *property)
{
    ngx_ivschat_kind_t  *kind;

    for (kind = ngx_ivschat_kinds; kind->name.len; kind++) {
        if (kind->profile_name
            && ngx_strcmp(kind->profile_name, property->value.data) == 0)
        {
            return kind->find(find);
        }
    }

    return ngx_ivschat_find_fail(find, NGX_ERROR, "%V:%ud: "
                                 NGX_IVSCHAT_PROFILE_NAMES,
                                 &find->found->files[property->file],
                                 property->line);
}


static void
ngx_ivschat_find_log(ngx_ivschat_find_t *find, ngx_uint_t level,
    const char *what)
{
    ngx_ivschat_line_t  *line;

    line = find->line;

    if (line->conf_file.len) {
        ngx_log_error(level, find->cf->log, 0,
                      "\"ivschat_token_credentials %V\" %s: %s in %V:%ui",
                      &line->kind->name, what, find->reason, &line->conf_file,
                      line->line);
        return;
    }

    ngx_log_error(level, find->cf->log, 0,
                  "\"ivschat_token_credentials %V\", the default, %s: %s",
                  &line->kind->name, what, find->reason);
}


ngx_int_t
ngx_ivschat_find_fail(ngx_ivschat_find_t *find, ngx_int_t rc, const char *fmt,
    ...)
{
    u_char  *p;
    va_list  args;

    va_start(args, fmt);
    p = ngx_vslprintf((u_char *) find->reason,
                      (u_char *) find->reason + sizeof(find->reason) - 1, fmt,
                      args);
    va_end(args);

    *p = '\0';

    return rc;
}


const char *
ngx_ivschat_find_dup(ngx_ivschat_find_t *find, ngx_ivschat_str_t s)
{
    char  *p;

    p = ngx_pnalloc(find->cf->pool, s.len + 1);

    if (p == NULL) {
        (void) ngx_ivschat_find_fail(find, NGX_ERROR, "out of memory");
        return NULL;
    }

    (void) ngx_ivschat_str_copy(p, s);

    return p;
}


const char *
ngx_ivschat_find_env(ngx_ivschat_find_t *find, const char *name)
{
    const char  *value;

    value = ngx_ivschat_getenv(find->cf, name);

    return value ? ngx_ivschat_find_dup(find, ngx_ivschat_str(value)) : NULL;
}
