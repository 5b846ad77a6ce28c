
/*
 * The slots of a configuration.
 */


#include "ngx_ivschat_creds.h"
#include "../aws/ngx_ivschat_sigv4.h"


#define NGX_IVSCHAT_SOURCE_MAX   65536    /* bytes of all that identifies it */


static ngx_ivschat_slot_t *ngx_ivschat_add_slot(ngx_conf_t *cf,
    ngx_ivschat_creds_conf_t *ccf, ngx_ivschat_line_t *line);
static void ngx_ivschat_wipe_slot(void *data);
static ngx_int_t ngx_ivschat_find_slot(ngx_conf_t *cf,
    ngx_ivschat_slot_t *slot);
static ngx_int_t ngx_ivschat_fingerprint(ngx_conf_t *cf,
    ngx_ivschat_slot_t *slot);
static void ngx_ivschat_print_role(ngx_ivschat_out_t *out,
    ngx_ivschat_role_t *role);
static void ngx_ivschat_print(ngx_ivschat_out_t *out, ngx_uint_t n, ...);
static void ngx_ivschat_warn_endpoints(ngx_conf_t *cf);


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
    ngx_ivschat_line_t  line;

    if (*slot != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (ngx_ivschat_line_read(cf, &line) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    *slot = ngx_ivschat_add_slot(cf, ccf, &line);

    return *slot ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_ivschat_slot_t *
ngx_ivschat_creds_auto(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_ivschat_line_t  line;

    ngx_ivschat_line_auto(&line);

    return ngx_ivschat_add_slot(cf, ccf, &line);
}


/* Equal lines share a slot, wherever they are. */

static ngx_ivschat_slot_t *
ngx_ivschat_add_slot(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_ivschat_line_t *line)
{
    ngx_uint_t            i;
    ngx_pool_cleanup_t   *cln;
    ngx_ivschat_slot_t   *slot, **slots, **p;

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        if (ngx_ivschat_line_same(&slots[i]->line, line)) {
            ngx_ivschat_line_wipe(line);
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
    ngx_ivschat_credentials_wipe(&slot->found.creds);

    ngx_ivschat_line_wipe(&slot->line);
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

        if (ngx_ivschat_find_slot(cf, slots[i]) != NGX_OK) {
            return NGX_ERROR;
        }

        *fetched += slots[i]->fetched;
    }

    if (*used) {
        ngx_ivschat_warn_endpoints(cf);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_find_slot(ngx_conf_t *cf, ngx_ivschat_slot_t *slot)
{
    ngx_ivschat_source_t  *source;

    if (ngx_ivschat_find(cf, &slot->line, &slot->region, &slot->found)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    source = &slot->found.source;

    if (source->base == NGX_IVSCHAT_BASE_NONE) {
        return NGX_OK;
    }

    if (source->base == NGX_IVSCHAT_BASE_STATIC && source->nroles == 0) {
        slot->creds = slot->found.creds;
        slot->generation = 1;
        return NGX_OK;
    }

    slot->fetched = 1;

    return ngx_ivschat_fingerprint(cf, slot);
}


/* Of all that could make the credentials different. */

static ngx_int_t
ngx_ivschat_fingerprint(ngx_conf_t *cf, ngx_ivschat_slot_t *slot)
{
    int                         rc;
    char                        hex[NGX_IVSCHAT_SIGV4_HEX_LEN + 1];
    ngx_uint_t                  i;
    ngx_ivschat_out_t           out;
    ngx_ivschat_source_t       *source;
    ngx_ivschat_credentials_t  *creds;

    out.len = 0;
    out.size = NGX_IVSCHAT_SOURCE_MAX;
    out.data = ngx_alloc(out.size, cf->log);

    if (out.data == NULL) {
        return NGX_ERROR;
    }

    source = &slot->found.source;
    creds = source->creds;

    ngx_ivschat_out_write(&out, &source->base, sizeof(source->base));
    ngx_ivschat_print(&out, 7, source->url, source->token, source->token_file,
                      source->ca_file, creds->access_key, creds->secret_key,
                      creds->session_token);
    ngx_ivschat_print_role(&out, &source->web_identity);

    for (i = 0; i < source->nroles; i++) {
        ngx_ivschat_print_role(&out, &source->roles[i]);
    }

    rc = ngx_ivschat_sigv4_hash(out.data, ngx_min(out.len, out.size), hex);

    ngx_explicit_memzero(out.data, out.size);
    ngx_free(out.data);

    ngx_memcpy(slot->entry.fingerprint, hex, NGX_IVSCHAT_FINGERPRINT_LEN);

    return rc == 0 ? NGX_OK : NGX_ERROR;
}


static void
ngx_ivschat_print_role(ngx_ivschat_out_t *out, ngx_ivschat_role_t *role)
{
    ngx_ivschat_print(out, 5, role->role_arn, role->session_name,
                      role->external_id, role->region, role->url);
    ngx_ivschat_out_write(out, &role->duration, sizeof(role->duration));
}


static void
ngx_ivschat_print(ngx_ivschat_out_t *out, ngx_uint_t n, ...)
{
    va_list      args;
    const char  *text;

    va_start(args, n);

    while (n--) {
        text = va_arg(args, const char *);
        ngx_ivschat_out_text(out, text ? text : "");
        ngx_ivschat_out_text(out, "\n");
    }

    va_end(args);
}


/* These lead AWS's SDKs elsewhere, but not this module. */

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
        value = ngx_ivschat_getenv(cf, names[i]);

        if (value && strcasecmp(value, "false") != 0) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "%s of the environment is not followed: use "
                          "\"ivschat_token_endpoint\"", names[i]);
        }
    }
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

    ngx_ivschat_zone_sweep(shpool, root);

    for (i = 0; i < ccf->slots.nelts; i++) {

        if (!slots[i]->fetched) {
            continue;
        }

        slots[i]->skew = &root->skew;

        if (ngx_ivschat_zone_enter(&slots[i]->entry, shpool, root) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "the %uz bytes of \"ivschat_token_zone\" do not "
                          "suffice", zone->shm.size);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_ivschat_creds_commit(ngx_cycle_t *cycle, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots, *slot;

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        slot = slots[i];

        if (slot->entry.shared) {
            ngx_ivschat_zone_use(&slot->entry);

        } else if (slot->used && slot->generation) {
            ngx_ivschat_slot_notice(slot, cycle->log, &slot->creds);
        }
    }

    if (ccf->shpool) {
        ngx_ivschat_zone_age(ccf->shpool, ccf->root);
    }
}


void
ngx_ivschat_creds_start(ngx_cycle_t *cycle, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {

        /*
         * An error here would leave nginx without workers; without libcurl
         * only the locations with these credentials do not work.
         */

        if (slots[i]->entry.shared && ccf->http == NULL) {
            ccf->http = ngx_ivschat_curl_create(cycle->log);
        }

        ngx_ivschat_slot_start(slots[i], ccf->http, cycle->log);
    }
}


void
ngx_ivschat_creds_stop(ngx_ivschat_creds_conf_t *ccf)
{
    ngx_uint_t            i;
    ngx_ivschat_slot_t  **slots;

    slots = ccf->slots.elts;

    for (i = 0; i < ccf->slots.nelts; i++) {
        ngx_ivschat_slot_stop(slots[i]);
    }

    if (ccf->http) {
        ngx_ivschat_curl_destroy(ccf->http);
        ccf->http = NULL;
    }
}


time_t
ngx_ivschat_creds_time(ngx_ivschat_creds_conf_t *ccf)
{
    return ngx_time() + (time_t) ccf->root->skew;
}


ngx_str_t *
ngx_ivschat_creds_name(ngx_ivschat_slot_t *slot)
{
    return &slot->line.name;
}
