
/*
 * ivschat_token_credentials: its parameters, one slot for each distinct line,
 * and the shared zone for those that are fetched.
 */


#include "ngx_ivschat_creds.h"
#include "ngx_ivschat_nginx.h"
#include "ngx_ivschat_refresh.h"
#include "ngx_ivschat_sources.h"
#include "../aws/ngx_ivschat_api.h"
#include "../aws/ngx_ivschat_sigv4.h"
#include "../aws/ngx_ivschat_sts.h"


typedef struct {
    ngx_str_t    name;                 /* with "=" */
    size_t       offset;               /* in ngx_ivschat_line_t */
    ngx_uint_t   sources;              /* bits of those that take it */
} ngx_ivschat_parameter_t;


#define NGX_IVSCHAT_OF_STATIC         0x01
#define NGX_IVSCHAT_OF_PROFILE        0x02
#define NGX_IVSCHAT_OF_WEB_IDENTITY   0x04
#define NGX_IVSCHAT_OF_ASSUME_ROLE    0x08
#define NGX_IVSCHAT_OF_NONE           0x10


static char *ngx_ivschat_unknown_source(ngx_conf_t *cf, ngx_str_t *value,
    const char *reason);
static ngx_uint_t ngx_ivschat_source_bit(ngx_str_t *source);
static char *ngx_ivschat_parameter(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_uint_t source, ngx_str_t *value);
static char *ngx_ivschat_parameter_error(ngx_conf_t *cf, ngx_str_t *name,
    const char *reason);
static char *ngx_ivschat_check_line(ngx_conf_t *cf, ngx_ivschat_line_t *line);
static char *ngx_ivschat_check_static(ngx_conf_t *cf,
    ngx_ivschat_line_t *line);
static char *ngx_ivschat_check_role(ngx_conf_t *cf, ngx_ivschat_line_t *line);
static char *ngx_ivschat_check_base(ngx_conf_t *cf, ngx_ivschat_line_t *line);
static ngx_ivschat_slot_t *ngx_ivschat_add_slot(ngx_conf_t *cf,
    ngx_ivschat_creds_conf_t *ccf, ngx_ivschat_line_t *line);
static void ngx_ivschat_wipe_slot(void *data);
static void ngx_ivschat_wipe_line(ngx_ivschat_line_t *line);
static ngx_uint_t ngx_ivschat_same_line(ngx_ivschat_line_t *a,
    ngx_ivschat_line_t *b);
static ngx_int_t ngx_ivschat_resolve_slot(ngx_conf_t *cf,
    ngx_ivschat_slot_t *slot);
static ngx_int_t ngx_ivschat_fingerprint(ngx_conf_t *cf,
    ngx_ivschat_slot_t *slot);
static u_char *ngx_ivschat_print_role(u_char *p, u_char *last,
    ngx_ivschat_role_t *role);
static u_char *ngx_ivschat_print_field(u_char *p, u_char *last,
    const char *text);
static void ngx_ivschat_warn_endpoints(ngx_conf_t *cf);


#define ngx_ivschat_line_offset(field)                             \
    offsetof(ngx_ivschat_line_t, field)


static ngx_ivschat_parameter_t
                                      ngx_ivschat_parameters[] = {

    { ngx_string("key="), ngx_ivschat_line_offset(key),
      NGX_IVSCHAT_OF_STATIC },

    { ngx_string("secret="), ngx_ivschat_line_offset(secret),
      NGX_IVSCHAT_OF_STATIC },

    { ngx_string("token="), ngx_ivschat_line_offset(token),
      NGX_IVSCHAT_OF_STATIC },

    { ngx_string("name="), ngx_ivschat_line_offset(name),
      NGX_IVSCHAT_OF_PROFILE },

    { ngx_string("file="), ngx_ivschat_line_offset(file),
      NGX_IVSCHAT_OF_PROFILE },

    { ngx_string("role="), ngx_ivschat_line_offset(role),
      NGX_IVSCHAT_OF_ASSUME_ROLE },

    { ngx_string("source="), ngx_ivschat_line_offset(base),
      NGX_IVSCHAT_OF_ASSUME_ROLE },

    { ngx_string("region="), ngx_ivschat_line_offset(region),
      NGX_IVSCHAT_OF_ASSUME_ROLE
      |NGX_IVSCHAT_OF_WEB_IDENTITY },

    { ngx_string("external_id="),
      ngx_ivschat_line_offset(external_id),
      NGX_IVSCHAT_OF_ASSUME_ROLE },

    { ngx_string("session_name="),
      ngx_ivschat_line_offset(session_name),
      NGX_IVSCHAT_OF_ASSUME_ROLE },

    { ngx_string("duration="), ngx_ivschat_line_offset(duration),
      NGX_IVSCHAT_OF_ASSUME_ROLE },

    { ngx_null_string, 0, 0 }
};


ngx_int_t
ngx_ivschat_creds_create(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf)
{
    if (ngx_array_init(&ccf->slots, cf->pool, 4, sizeof(ngx_ivschat_slot_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_ivschat_keep_environment(cf);
}


char *
ngx_ivschat_creds_line(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_ivschat_slot_t **slot)
{
    ngx_str_t          *value;
    ngx_uint_t          i, source;
    ngx_ivschat_line_t  line;

    if (*slot != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ngx_memzero(&line, sizeof(ngx_ivschat_line_t));

    line.source = value[1];
    line.conf_file = cf->conf_file->file.name;
    line.line = cf->conf_file->line;

    source = ngx_ivschat_source_bit(&value[1]);

    if (source == 0) {
        return ngx_ivschat_unknown_source(cf, &value[1],
                    "the sources are \"auto\", \"env\", \"static\", "
                    "\"profile\", \"container\", \"web_identity\", \"imds\" "
                    "and \"assume_role\"; credential_process and SSO are no "
                    "sources, since they would block, or need a browser");
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_ivschat_parameter(cf, &line, source, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_ivschat_check_line(cf, &line) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    *slot = ngx_ivschat_add_slot(cf, ccf, &line);
    if (*slot == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* It may be a secret that has got to the wrong place: only a word is shown. */

static char *
ngx_ivschat_unknown_source(ngx_conf_t *cf, ngx_str_t *value,
    const char *reason)
{
    size_t     i;
    ngx_str_t  shown;

    shown = *value;

    for (i = 0; i < value->len; i++) {
        if (!((value->data[i] >= 'a' && value->data[i] <= 'z')
              || (value->data[i] >= 'A' && value->data[i] <= 'Z')
              || value->data[i] == '_' || value->data[i] == '-')
            || i == 20)
        {
            ngx_str_set(&shown, "…");
            break;
        }
    }

    return ngx_ivschat_invalid(cf, &shown, reason);
}


static ngx_uint_t
ngx_ivschat_source_bit(ngx_str_t *source)
{
    ngx_uint_t  i;

    static const struct {
        const char   *name;
        ngx_uint_t    bit;
    } sources[] = {
        { "auto", NGX_IVSCHAT_OF_NONE },
        { "env", NGX_IVSCHAT_OF_NONE },
        { "static", NGX_IVSCHAT_OF_STATIC },
        { "profile", NGX_IVSCHAT_OF_PROFILE },
        { "container", NGX_IVSCHAT_OF_NONE },
        { "web_identity", NGX_IVSCHAT_OF_WEB_IDENTITY },
        { "imds", NGX_IVSCHAT_OF_NONE },
        { "assume_role", NGX_IVSCHAT_OF_ASSUME_ROLE },
        { NULL, 0 }
    };

    for (i = 0; sources[i].name; i++) {
        if (ngx_strcmp(source->data, sources[i].name) == 0) {
            break;
        }
    }

    return sources[i].bit;
}


static char *
ngx_ivschat_parameter(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_uint_t source, ngx_str_t *value)
{
    ngx_str_t                *target, name;
    ngx_ivschat_parameter_t  *p;

    for (p = ngx_ivschat_parameters; p->name.len; p++) {
        if (ngx_strncmp(value->data, p->name.data, p->name.len) == 0) {
            break;
        }
    }

    if (p->name.len == 0 || !(p->sources & source)) {

        /* what is unknown, or misspelt, may be a secret: only its name */

        name.data = value->data;
        name.len = strcspn((char *) value->data, "=");

        if (name.len == value->len) {
            ngx_str_set(&name, "…");
        }

        return ngx_ivschat_parameter_error(cf, &name,
                                    "this source has no such parameter");
    }

    name.data = p->name.data;
    name.len = p->name.len - 1;

    target = (ngx_str_t *) ((char *) line + p->offset);

    if (target->data) {
        return ngx_ivschat_parameter_error(cf, &name, "it is there twice");
    }

    target->data = value->data + p->name.len;
    target->len = value->len - p->name.len;

    if (target->len == 0) {
        return ngx_ivschat_parameter_error(cf, &name, "it is empty");
    }

    return NGX_CONF_OK;
}


/* Names the parameter, never its value, which may be secret. */

static char *
ngx_ivschat_parameter_error(ngx_conf_t *cf, ngx_str_t *name,
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
ngx_ivschat_check_line(ngx_conf_t *cf, ngx_ivschat_line_t *line)
{
    if (line->region.len
        && !ngx_ivschat_region_valid(
                                     ngx_ivschat_pure(&line->region)))
    {
        return ngx_ivschat_invalid(cf, &line->region,
                               "it is no region's name like \"us-west-2\"");
    }

    if (line->file.len
        && ngx_conf_full_name(cf->cycle, &line->file, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    switch (ngx_ivschat_source_bit(&line->source)) {

    case NGX_IVSCHAT_OF_STATIC:
        return ngx_ivschat_check_static(cf, line);

    case NGX_IVSCHAT_OF_ASSUME_ROLE:
        return ngx_ivschat_check_role(cf, line);

    default:
        return NGX_CONF_OK;
    }
}


static char *
ngx_ivschat_check_static(ngx_conf_t *cf, ngx_ivschat_line_t *line)
{
    const char                      *reason;
    struct stat                      st;
    ngx_ivschat_credentials_field_e  field;

    static ngx_str_t  names[] = {
        ngx_string("key"), ngx_string("secret"), ngx_string("token")
    };

    if (line->key.len == 0 || line->secret.len == 0) {
        return ngx_ivschat_parameter_error(cf,
                                           &names[line->key.len == 0 ? 0 : 1],
                                           "it is missing");
    }

    reason = ngx_ivschat_credentials_check(ngx_ivschat_pure(&line->key),
                                           ngx_ivschat_pure(&line->secret),
                                           ngx_ivschat_pure(&line->token),
                                           &field);

    if (reason) {
        return ngx_ivschat_parameter_error(cf, &names[field], reason);
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


static char *
ngx_ivschat_check_role(ngx_conf_t *cf, ngx_ivschat_line_t *line)
{
    ngx_int_t    duration;
    ngx_str_t   *value;
    const char  *reason;

    static ngx_str_t  role = ngx_string("role");

    if (line->role.len == 0) {
        return ngx_ivschat_parameter_error(cf, &role, "it is missing");
    }

    value = &line->role;
    reason = ngx_ivschat_sts_check_role(ngx_ivschat_pure(value));

    if (reason == NULL && line->session_name.len) {
        value = &line->session_name;
        reason = ngx_ivschat_sts_check_session_name(ngx_ivschat_pure(value));
    }

    if (reason == NULL && line->external_id.len) {
        value = &line->external_id;
        reason = ngx_ivschat_sts_check_external_id(ngx_ivschat_pure(value));
    }

    if (reason == NULL && line->duration.len) {
        value = &line->duration;
        duration = ngx_parse_time(value, 1);
        reason = (duration == NGX_ERROR)
                 ? "it is no time like \"1h\""
                 : ngx_ivschat_sts_check_duration((unsigned) duration);
    }

    if (reason) {
        return ngx_ivschat_invalid(cf, value, reason);
    }

    return ngx_ivschat_check_base(cf, line);
}


static char *
ngx_ivschat_check_base(ngx_conf_t *cf, ngx_ivschat_line_t *line)
{
    if (line->base.len == 0) {
        return NGX_CONF_OK;
    }

    switch (ngx_ivschat_source_bit(&line->base)) {

    case 0:
    case NGX_IVSCHAT_OF_STATIC:
    case NGX_IVSCHAT_OF_ASSUME_ROLE:
        return ngx_ivschat_invalid(cf, &line->base,
                    "\"source=\" is one of \"auto\", \"env\", \"profile\", "
                    "\"container\", \"web_identity\" and \"imds\"");

    default:
        return NGX_CONF_OK;
    }
}


/* Equal lines share a slot, wherever they stand. */

static ngx_ivschat_slot_t *
ngx_ivschat_add_slot(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_ivschat_line_t *line)
{
    ngx_uint_t            i;
    ngx_pool_cleanup_t   *cln;
    ngx_ivschat_slot_t   *slot, **slots, **p;

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        if (ngx_ivschat_same_line(&slots[i]->line, line)) {
            ngx_ivschat_wipe_line(line);
            return slots[i];
        }
    }

    slot = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_slot_t));
    if (slot == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    p = ngx_array_push(&ccf->slots);
    if (p == NULL) {
        return NULL;
    }

    slot->line = *line;
    slot->index = ccf->slots.nelts;

    cln->handler = ngx_ivschat_wipe_slot;
    cln->data = slot;

    *p = slot;

    return slot;
}


static void
ngx_ivschat_wipe_slot(void *data)
{
    ngx_ivschat_slot_t  *slot = data;

    ngx_ivschat_credentials_wipe(&slot->creds);
    ngx_ivschat_credentials_wipe(&slot->resolved.creds);

    ngx_ivschat_wipe_line(&slot->line);
}


static void
ngx_ivschat_wipe_line(ngx_ivschat_line_t *line)
{
    if (line->secret.len) {
        ngx_explicit_memzero(line->secret.data, line->secret.len);
    }

    if (line->token.len) {
        ngx_explicit_memzero(line->token.data, line->token.len);
    }
}


static ngx_uint_t
ngx_ivschat_same_line(ngx_ivschat_line_t *a, ngx_ivschat_line_t *b)
{
    ngx_str_t                *x, *y;
    ngx_ivschat_parameter_t  *p;

    if (a->source.len != b->source.len
        || ngx_memcmp(a->source.data, b->source.data, a->source.len) != 0)
    {
        return 0;
    }

    for (p = ngx_ivschat_parameters; p->name.len; p++) {
        x = (ngx_str_t *) ((char *) a + p->offset);
        y = (ngx_str_t *) ((char *) b + p->offset);

        if (x->len != y->len
            || (x->len && ngx_memcmp(x->data, y->data, x->len) != 0))
        {
            return 0;
        }
    }

    return 1;
}


ngx_ivschat_slot_t *
ngx_ivschat_creds_auto(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_ivschat_line_t  line;

    ngx_memzero(&line, sizeof(ngx_ivschat_line_t));
    ngx_str_set(&line.source, "auto");

    return ngx_ivschat_add_slot(cf, ccf, &line);
}


void
ngx_ivschat_creds_use(ngx_ivschat_slot_t *slot, ngx_str_t *region)
{
    slot->used = 1;

    if (slot->region.len == 0) {
        slot->region = *region;
    }
}


ngx_int_t
ngx_ivschat_creds_init(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_uint_t *fetched, ngx_uint_t *used)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots;

    slots = ccf->slots.elts;
    *fetched = 0;
    *used = 0;

    for (i = 0; i < ccf->slots.nelts; i++) {

        if (!slots[i]->used) {
            continue;
        }

        (*used)++;

        if (ngx_ivschat_resolve_slot(cf, slots[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        if (slots[i]->fetched) {
            (*fetched)++;
        }
    }

    if (*used) {
        ngx_ivschat_warn_endpoints(cf);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_slot(ngx_conf_t *cf, ngx_ivschat_slot_t *slot)
{
    ngx_ivschat_source_t  *source;

    if (ngx_ivschat_resolve_line(cf, &slot->line, &slot->region,
                                 &slot->resolved)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    source = &slot->resolved.source;

    if (source->base == NGX_IVSCHAT_BASE_NONE) {
        return NGX_OK;
    }

    if (source->base == NGX_IVSCHAT_BASE_STATIC && source->nroles == 0) {
        slot->creds = slot->resolved.creds;
        slot->generation = 1;
        return NGX_OK;
    }

    slot->fetched = 1;

    return ngx_ivschat_fingerprint(cf, slot);
}


/* Over all that could make the credentials other ones. */

static ngx_int_t
ngx_ivschat_fingerprint(ngx_conf_t *cf, ngx_ivschat_slot_t *slot)
{
    int                    rc;
    char                   hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
    u_char                *buf, *p, *last;
    ngx_uint_t             i;
    ngx_ivschat_source_t  *source;

    const size_t  size = 65536;

    buf = ngx_alloc(size, cf->log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    source = &slot->resolved.source;
    last = buf + size;

    p = ngx_slprintf(buf, last, "%d %ui\n", source->base, source->nroles);
    p = ngx_ivschat_print_field(p, last, source->url);
    p = ngx_ivschat_print_field(p, last, source->token);
    p = ngx_ivschat_print_field(p, last, source->token_file);
    p = ngx_ivschat_print_field(p, last, source->ca_file);
    p = ngx_ivschat_print_field(p, last, source->creds->access_key);
    p = ngx_ivschat_print_field(p, last, source->creds->secret_key);
    p = ngx_ivschat_print_field(p, last, source->creds->session_token);
    p = ngx_ivschat_print_role(p, last, &source->web_identity);

    for (i = 0; i < source->nroles; i++) {
        p = ngx_ivschat_print_role(p, last, &source->roles[i]);
    }

    rc = ngx_ivschat_sigv4_hash(buf, p - buf, hex);

    ngx_explicit_memzero(buf, size);
    ngx_free(buf);

    if (rc != 0) {
        return NGX_ERROR;
    }

    ngx_memcpy(slot->fingerprint, hex, NGX_IVSCHAT_FINGERPRINT_LEN);

    return NGX_OK;
}


static u_char *
ngx_ivschat_print_role(u_char *p, u_char *last, ngx_ivschat_role_t *role)
{
    p = ngx_ivschat_print_field(p, last, role->role_arn);
    p = ngx_ivschat_print_field(p, last, role->session_name);
    p = ngx_ivschat_print_field(p, last, role->external_id);
    p = ngx_ivschat_print_field(p, last, role->region);
    p = ngx_ivschat_print_field(p, last, role->url);

    return ngx_slprintf(p, last, "%ui\n", role->duration);
}


static u_char *
ngx_ivschat_print_field(u_char *p, u_char *last, const char *text)
{
    return ngx_slprintf(p, last, "%s\n", text ? text : "");
}


ngx_int_t
ngx_ivschat_creds_init_zone(ngx_ivschat_creds_conf_t *ccf,
    ngx_slab_pool_t *shpool, ngx_ivschat_creds_root_t *root,
    ngx_shm_zone_t *zone)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots;

    ccf->shpool = shpool;
    ccf->root = root;
    slots = ccf->slots.elts;

    ngx_ivschat_zone_sweep(shpool, &root->first);

    for (i = 0; i < ccf->slots.nelts; i++) {

        if (!slots[i]->fetched) {
            continue;
        }

        slots[i]->shpool = shpool;
        slots[i]->skew = &root->skew;
        slots[i]->shared = ngx_ivschat_zone_slot(shpool, &root->first,
                                                 slots[i]->fingerprint);
        if (slots[i]->shared == NULL) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "the %uz bytes of \"ivschat_token_zone\" do not "
                          "suffice", zone->shm.size);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* These would lead AWS's SDKs elsewhere, and do not lead us. */

static void
ngx_ivschat_warn_endpoints(ngx_conf_t *cf)
{
    ngx_uint_t   i;
    const char  *value;

    static const char *const  names[] = {
        "AWS_ENDPOINT_URL_IVSCHAT", "AWS_ENDPOINT_URL",
        "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", NULL
    };

    for (i = 0; names[i]; i++) {
        value = ngx_ivschat_getenv(cf->cycle, names[i]);

        if (value
            && ngx_strcasecmp((u_char *) value, (u_char *) "false") != 0)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "%s of the environment is not followed: use "
                          "\"ivschat_token_endpoint\"", names[i]);
        }
    }
}


void
ngx_ivschat_creds_commit(ngx_cycle_t *cycle, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots, *slot;

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        slot = slots[i];

        if (slot->shared) {
            ngx_ivschat_zone_use(slot->shpool, slot->shared);

        } else if (slot->used && slot->generation) {
            ngx_ivschat_creds_notice(cycle->log, slot, &slot->creds);
        }
    }

    if (ccf->shpool) {
        ngx_ivschat_zone_age(ccf->shpool, &ccf->root->first);
    }
}


void
ngx_ivschat_creds_notice(ngx_log_t *log, ngx_ivschat_slot_t *slot,
    ngx_ivschat_credentials_t *creds)
{
    size_t  n;

    n = ngx_min(creds->access_key_len, 4);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "AWS credentials from \"%V\": access key \"…%*s\"",
                  &slot->resolved.name, n,
                  creds->access_key + creds->access_key_len - n);
}


ngx_str_t *
ngx_ivschat_creds_name(ngx_ivschat_slot_t *slot)
{
    return &slot->line.source;
}
