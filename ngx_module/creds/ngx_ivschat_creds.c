
/*
 * The slots of a configuration.
 */


#include "ngx_ivschat_creds.h"

#include <ngx_sha1.h>


static ngx_ivschat_slot_t *ngx_ivschat_add_slot(ngx_conf_t *cf,
    ngx_ivschat_creds_conf_t *ccf, ngx_ivschat_spec_t *line);
static void ngx_ivschat_wipe_slots(void *data);
static ngx_int_t ngx_ivschat_find_slot(ngx_conf_t *cf,
    ngx_ivschat_slot_t *slot);
static void ngx_ivschat_fingerprint(ngx_ivschat_slot_t *slot);
static void ngx_ivschat_print_role(ngx_sha1_t *sha1, ngx_ivschat_role_t *role);
static void ngx_ivschat_print(ngx_sha1_t *sha1, const char *text);
static void ngx_ivschat_warn_endpoints(ngx_conf_t *cf);


ngx_int_t
ngx_ivschat_creds_create(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ivschat_wipe_slots;
    cln->data = ccf;

    return ngx_ivschat_keep_environment(cf);
}


char *
ngx_ivschat_creds_line(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_ivschat_slot_t **slot)
{
    ngx_ivschat_spec_t  line;

    if (*slot != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    if (ngx_ivschat_spec_read(cf, &line) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    *slot = ngx_ivschat_add_slot(cf, ccf, &line);

    return *slot ? NGX_CONF_OK : NGX_CONF_ERROR;
}


ngx_ivschat_slot_t *
ngx_ivschat_creds_auto(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_ivschat_spec_t  line;

    ngx_ivschat_spec_auto(&line);

    return ngx_ivschat_add_slot(cf, ccf, &line);
}


/* Equal lines share a slot, wherever they are. */

static ngx_ivschat_slot_t *
ngx_ivschat_add_slot(ngx_conf_t *cf, ngx_ivschat_creds_conf_t *ccf,
    ngx_ivschat_spec_t *line)
{
    ngx_ivschat_slot_t  *slot;

    for (slot = ccf->slots; slot; slot = slot->next) {
        if (ngx_ivschat_spec_same(&slot->line, line)) {
            ngx_ivschat_spec_wipe(line);
            return slot;
        }
    }

    slot = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_slot_t));
    if (slot == NULL) {
        return NULL;
    }

    slot->line = *line;
    slot->index = ccf->slots ? ccf->slots->index + 1 : 1;

    slot->next = ccf->slots;
    ccf->slots = slot;

    return slot;
}


static void
ngx_ivschat_wipe_slots(void *data)
{
    ngx_ivschat_creds_conf_t  *ccf = data;

    ngx_ivschat_slot_t  *slot;

    for (slot = ccf->slots; slot; slot = slot->next) {
        ngx_ivschat_credentials_wipe(&slot->creds);
        ngx_ivschat_credentials_wipe(&slot->found.creds);
        ngx_ivschat_spec_wipe(&slot->line);
    }
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
    ngx_ivschat_slot_t  *slot;

    *fetched = 0;
    *used = 0;

    for (slot = ccf->slots; slot; slot = slot->next) {

        if (!slot->used) {
            continue;
        }

        (*used)++;

        if (ngx_ivschat_find_slot(cf, slot) != NGX_OK) {
            return NGX_ERROR;
        }

        *fetched += slot->fetched;
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

    if (source->base == NGX_IVSCHAT_BASE_STATIC && source->nroles == 0) {
        slot->creds = slot->found.creds;
        slot->generation = 1;

    } else if (source->base != NGX_IVSCHAT_BASE_NONE) {
        slot->fetched = 1;
        ngx_ivschat_fingerprint(slot);
    }

    return NGX_OK;
}


/* Covers all that could make the credentials different. */

static void
ngx_ivschat_fingerprint(ngx_ivschat_slot_t *slot)
{
    ngx_uint_t             i;
    ngx_sha1_t             sha1;
    ngx_ivschat_source_t  *source;

    source = &slot->found.source;

    ngx_sha1_init(&sha1);

    ngx_sha1_update(&sha1, &source->base, sizeof(source->base));
    ngx_ivschat_print(&sha1, source->url);
    ngx_ivschat_print(&sha1, source->token);
    ngx_ivschat_print(&sha1, source->token_file);
    ngx_ivschat_print(&sha1, source->ca_file);
    ngx_ivschat_print(&sha1, source->creds->access_key);
    ngx_ivschat_print(&sha1, source->creds->secret_key);
    ngx_ivschat_print(&sha1, source->creds->session_token);
    ngx_ivschat_print_role(&sha1, &source->web_identity);

    for (i = 0; i < source->nroles; i++) {
        ngx_ivschat_print_role(&sha1, &source->roles[i]);
    }

    ngx_sha1_final(slot->entry.fingerprint, &sha1);
    ngx_explicit_memzero(&sha1, sizeof(ngx_sha1_t));
}


static void
ngx_ivschat_print_role(ngx_sha1_t *sha1, ngx_ivschat_role_t *role)
{
    ngx_ivschat_print(sha1, role->role_arn);
    ngx_ivschat_print(sha1, role->session_name);
    ngx_ivschat_print(sha1, role->external_id);
    ngx_ivschat_print(sha1, role->region);
    ngx_ivschat_print(sha1, role->url);
    ngx_sha1_update(sha1, &role->duration, sizeof(role->duration));
}


static void
ngx_ivschat_print(ngx_sha1_t *sha1, const char *text)
{
    if (text == NULL) {
        text = "";
    }

    ngx_sha1_update(sha1, text, ngx_strlen(text) + 1);
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
    ngx_ivschat_slot_t  *slot;

    ccf->shpool = shpool;
    ccf->root = root;

    ngx_ivschat_zone_sweep(shpool, root);

    for (slot = ccf->slots; slot; slot = slot->next) {

        if (!slot->fetched) {
            continue;
        }

        slot->skew = &root->skew;

        if (ngx_ivschat_zone_enter(&slot->entry, shpool, root) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "\"ivschat_token_zone\" of %uz bytes is too small",
                          zone->shm.size);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_ivschat_creds_commit(ngx_cycle_t *cycle, ngx_ivschat_creds_conf_t *ccf)
{
    ngx_ivschat_slot_t  *slot;

    for (slot = ccf->slots; slot; slot = slot->next) {

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
    ngx_ivschat_slot_t  *slot;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    for (slot = ccf->slots; slot; slot = slot->next) {

        /*
         * An error here would leave nginx without workers; without libcurl
         * only the locations with these credentials do not work.
         */

        if (slot->entry.shared && ccf->http == NULL) {
            ccf->http = ngx_ivschat_curl_create(cycle->log);
        }

        ngx_ivschat_slot_start(slot, ccf->http, cycle->log);
    }
}


void
ngx_ivschat_creds_stop(ngx_ivschat_creds_conf_t *ccf)
{
    ngx_ivschat_slot_t  *slot;

    for (slot = ccf->slots; slot; slot = slot->next) {
        ngx_ivschat_slot_stop(slot);
    }

    if (ccf->http) {
        ngx_ivschat_curl_destroy(ccf->http);
        ccf->http = NULL;
    }
}


time_t
ngx_ivschat_creds_time(ngx_ivschat_creds_conf_t *ccf)
{
    return ngx_time() + (ngx_atomic_int_t) ccf->root->skew;
}


ngx_str_t *
ngx_ivschat_creds_name(ngx_ivschat_slot_t *slot)
{
    return &slot->line.name;
}
