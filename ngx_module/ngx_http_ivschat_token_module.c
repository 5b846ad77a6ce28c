
/*
 * The module: its directives, how they are inherited, and its life.  All
 * hooks of nginx are here, and call the concerns.
 */


#include "creds/ngx_ivschat_dumpable.h"
#include "token/ngx_ivschat_request.h"
#include "token/ngx_ivschat_variables.h"


#define NGX_IVSCHAT_FETCHED   16    /* sources, that the zone has room for */


/* The root of the shared zone. */

typedef struct {
    ngx_ivschat_creds_root_t     creds;
    ngx_ivschat_accounts_t      *accounts;
} ngx_ivschat_root_t;


static void *ngx_ivschat_create_main_conf(ngx_conf_t *cf);
static char *ngx_ivschat_init_main_conf(ngx_conf_t *cf, void *conf);
static void ngx_ivschat_cleanup(void *data);
static void *ngx_ivschat_create_loc_conf(ngx_conf_t *cf);
static char *ngx_ivschat_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_ivschat_merge_pass(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *prev, ngx_ivschat_loc_conf_t *conf);
static char *ngx_ivschat_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf);
static char *ngx_ivschat_use(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf);

static char *ngx_ivschat_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_ivschat_credentials(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

static ngx_int_t ngx_ivschat_init(ngx_conf_t *cf);
static ngx_int_t ngx_ivschat_add_zone(ngx_conf_t *cf,
    ngx_ivschat_main_conf_t *mcf, ngx_uint_t fetched);
static ngx_int_t ngx_ivschat_init_zone(ngx_shm_zone_t *zone, void *data);
static ngx_int_t ngx_ivschat_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_ivschat_init_process(ngx_cycle_t *cycle);
static void ngx_ivschat_exit_process(ngx_cycle_t *cycle);


#define NGX_IVSCHAT_ANYWHERE                                       \
    NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF


static ngx_command_t  ngx_http_ivschat_token_commands[] = {

    { ngx_string("ivschat_token"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_ivschat_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ivschat_token_user"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE12,
      ngx_ivschat_line_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, user),
      &ngx_ivschat_user_rule },

    { ngx_string("ivschat_token_room"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1234,
      ngx_ivschat_lines_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, rooms),
      &ngx_ivschat_room_rule },

    { ngx_string("ivschat_token_room_name"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1,
      ngx_ivschat_room_name,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, room_name),
      NULL },

    { ngx_string("ivschat_token_capabilities"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_1MORE,
      ngx_ivschat_lines_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, capabilities),
      &ngx_ivschat_capabilities_rule },

    { ngx_string("ivschat_token_attribute"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1234,
      ngx_ivschat_lines_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, attributes),
      &ngx_ivschat_attribute_rule },

    { ngx_string("ivschat_token_session_duration"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE12,
      ngx_ivschat_line_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, session_duration),
      &ngx_ivschat_duration_rule },

    { ngx_string("ivschat_token_methods"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_1MORE,
      ngx_ivschat_methods,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ivschat_token_client_body"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, client_body),
      NULL },

    { ngx_string("ivschat_token_client_attributes"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_1MORE,
      ngx_ivschat_client_attributes,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ivschat_token_endpoint"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1,
      ngx_ivschat_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ivschat_token_region"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE12,
      ngx_ivschat_line_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, region),
      &ngx_ivschat_region_rule },

    { ngx_string("ivschat_token_timeout"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1,
      ngx_ivschat_timeout,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, timeout),
      NULL },

    { ngx_string("ivschat_token_tries"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1,
      ngx_ivschat_number_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, tries),
      &ngx_ivschat_tries_rule },

    { ngx_string("ivschat_token_rate"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1234,
      ngx_ivschat_rate,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_ivschat_main_conf_t, rate),
      NULL },

    { ngx_string("ivschat_token_refresh_spread"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_TAKE1,
      ngx_ivschat_number_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, refresh_spread),
      &ngx_ivschat_spread_rule },

    { ngx_string("ivschat_token_credentials"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_1MORE,
      ngx_ivschat_credentials,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("ivschat_token_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_ivschat_main_conf_t, zone_size),
      NULL },

    { ngx_string("ivschat_token_require_tls"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, require_tls),
      NULL },

    { ngx_string("ivschat_token_intercept_errors"),
      NGX_IVSCHAT_ANYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_ivschat_loc_conf_t, intercept_errors),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_ivschat_token_module_ctx = {
    ngx_ivschat_variables_add,                /* preconfiguration */
    ngx_ivschat_init,                         /* postconfiguration */

    ngx_ivschat_create_main_conf,             /* create main conf */
    ngx_ivschat_init_main_conf,               /* init main conf */

    NULL,                                     /* create server conf */
    NULL,                                     /* merge server conf */

    ngx_ivschat_create_loc_conf,              /* create location conf */
    ngx_ivschat_merge_loc_conf                /* merge location conf */
};


ngx_module_t  ngx_http_ivschat_token_module = {
    NGX_MODULE_V1,
    &ngx_http_ivschat_token_module_ctx,       /* module context */
    ngx_http_ivschat_token_commands,          /* module directives */
    NGX_HTTP_MODULE,                          /* module type */
    NULL,                                     /* init master */
    ngx_ivschat_init_module,                  /* init module */
    ngx_ivschat_init_process,                 /* init process */
    NULL,                                     /* init thread */
    NULL,                                     /* exit thread */
    ngx_ivschat_exit_process,                 /* exit process */
    NULL,                                     /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_ivschat_create_main_conf(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t       *cln;
    ngx_ivschat_main_conf_t  *mcf;

    cln = ngx_pool_cleanup_add(cf->pool, sizeof(ngx_ivschat_main_conf_t));
    if (cln == NULL) {
        return NULL;
    }

    mcf = cln->data;
    ngx_memzero(mcf, sizeof(ngx_ivschat_main_conf_t));

    mcf->zone_size = NGX_CONF_UNSET_SIZE;

    if (ngx_ivschat_creds_create(cf, &mcf->creds) != NGX_OK
        || ngx_ivschat_rate_create(cf, &mcf->rate) != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_ivschat_cleanup;

    return mcf;
}


static char *
ngx_ivschat_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_ivschat_main_conf_t  *mcf = conf;

    ngx_ivschat_rate_defaults(&mcf->rate);

    return NGX_CONF_OK;
}


static void
ngx_ivschat_cleanup(void *data)
{
    ngx_ivschat_main_conf_t  *mcf = data;

    /* with "master_process off", a reload ends no process */

    ngx_ivschat_creds_stop(&mcf->creds);
    ngx_ivschat_sigv4_cache_wipe(&mcf->keys);
}


static void *
ngx_ivschat_create_loc_conf(ngx_conf_t *cf)
{
    ngx_ivschat_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->user = NGX_CONF_UNSET_PTR;
    conf->rooms = NGX_CONF_UNSET_PTR;
    conf->room_name = NGX_CONF_UNSET_PTR;
    conf->capabilities = NGX_CONF_UNSET_PTR;
    conf->attributes = NGX_CONF_UNSET_PTR;
    conf->session_duration = NGX_CONF_UNSET_PTR;
    conf->region = NGX_CONF_UNSET_PTR;
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->client_body = NGX_CONF_UNSET;
    conf->client_attributes = NGX_CONF_UNSET_PTR;
    conf->require_tls = NGX_CONF_UNSET;
    conf->intercept_errors = NGX_CONF_UNSET;
    conf->refresh_spread = NGX_CONF_UNSET_UINT;
    conf->tries = NGX_CONF_UNSET_UINT;
    conf->credentials = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_ivschat_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_ivschat_loc_conf_t  *prev = parent;
    ngx_ivschat_loc_conf_t  *conf = child;

    ngx_conf_merge_ptr_value(conf->user, prev->user, NULL);
    ngx_conf_merge_ptr_value(conf->rooms, prev->rooms, NULL);
    ngx_conf_merge_ptr_value(conf->room_name, prev->room_name, NULL);
    ngx_conf_merge_ptr_value(conf->capabilities, prev->capabilities, NULL);
    ngx_conf_merge_ptr_value(conf->attributes, prev->attributes, NULL);
    ngx_conf_merge_ptr_value(conf->session_duration, prev->session_duration,
                             NULL);
    ngx_conf_merge_ptr_value(conf->region, prev->region, NULL);
    ngx_conf_merge_str_value(conf->endpoint, prev->endpoint, "");
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, 5000);
    ngx_conf_merge_value(conf->client_body, prev->client_body, 0);
    ngx_conf_merge_ptr_value(conf->client_attributes, prev->client_attributes,
                             NULL);
    ngx_conf_merge_value(conf->require_tls, prev->require_tls, 1);
    ngx_conf_merge_value(conf->intercept_errors, prev->intercept_errors, 0);
    ngx_conf_merge_uint_value(conf->refresh_spread, prev->refresh_spread, 0);
    ngx_conf_merge_uint_value(conf->tries, prev->tries, 3);
    ngx_conf_merge_ptr_value(conf->credentials, prev->credentials, NULL);

    if (conf->methods == 0) {
        conf->methods = prev->methods ? prev->methods : NGX_HTTP_POST;
    }

    return ngx_ivschat_merge_pass(cf, prev, conf);
}


static char *
ngx_ivschat_merge_pass(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *prev,
    ngx_ivschat_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    /*
     * "if" and "limit_except" are locations of their own, which inherit the
     * directive unless another module handles them.
     */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    conf->outer = prev;
#if (NGX_PCRE)
    conf->regex = clcf->regex;
#endif

    if (clcf->noname && conf->uri.len == 0) {
        conf->uri = prev->uri;
    }

    if (conf->uri.len == 0) {
        return NGX_CONF_OK;
    }

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = ngx_ivschat_handler;
    }

    if (ngx_ivschat_check(cf, conf, clcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_use(cf, conf);
}


static char *
ngx_ivschat_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf,
    ngx_http_core_loc_conf_t *clcf)
{
    const char               *missing;
    ngx_ivschat_main_conf_t  *mcf;

    if (!clcf->noname && clcf->handler != ngx_ivschat_handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" has no "
                           "effect: another directive handles the requests "
                           "of the location",
                           &conf->uri, &clcf->name);
        return NGX_CONF_ERROR;
    }

    missing = NULL;

    if (conf->user == NULL) {
        missing = "ivschat_token_user";

    } else if (conf->rooms == NULL || conf->rooms->nelts == 0) {
        missing = "ivschat_token_room";
    }

    if (missing) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" "
                           "requires \"%s\"", &conf->uri, &clcf->name, missing);
        return NGX_CONF_ERROR;
    }

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);

    if (ngx_test_config && mcf->rate.user
        && ngx_ivschat_literal(&conf->user->value))
    {
        ngx_conf_log_error(NGX_LOG_NOTICE, cf, 0,
                           "\"ivschat_token_user\" in location \"%V\" is the "
                           "same for all clients, so \"user\" of "
                           "\"ivschat_token_rate\" does not limit it",
                           &clcf->name);
    }

    if (conf->own_client_attributes && !conf->client_body) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"ivschat_token_client_attributes\" in location "
                           "\"%V\" has no effect without "
                           "\"ivschat_token_client_body on\"",
                           &clcf->name);
    }

    if (!clcf->noname) {
        ngx_ivschat_check_internal(cf, conf);
    }

    return ngx_ivschat_policy_check(cf, conf);
}


/* Notes the credentials of a location, and the accounts of its rooms. */

static char *
ngx_ivschat_use(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_str_t                 region;
    ngx_uint_t                i;
    ngx_ivschat_line_t       *room;
    ngx_ivschat_room_arn_t    arn;
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);

    if (conf->credentials == NULL) {
        conf->credentials = ngx_ivschat_creds_auto(cf, &mcf->creds);
        if (conf->credentials == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    ngx_str_null(&region);
    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        if (ngx_ivschat_rate_room(&mcf->rate, &room[i].value.value)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (region.len == 0
            && ngx_ivschat_room_arn_parse(
                               ngx_ivschat_pure(&room[i].value.value), &arn)
               == 0)
        {
            region.data = (u_char *) arn.region.data;
            region.len = arn.region.len;
        }
    }

    ngx_ivschat_creds_use(conf->credentials, &region);

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t                 *uri;
    ngx_http_core_loc_conf_t  *clcf;

    if (ilcf->uri.len) {
        return "is duplicate";
    }

    uri = (ngx_str_t *) cf->args->elts + 1;

    if (uri->len == 0 || uri->data[0] != '/') {
        return ngx_ivschat_invalid(cf, uri,
                       "a URI that begins with \"/\" is expected");
    }

    if (ngx_strchr(uri->data, '$')) {
        return ngx_ivschat_invalid(cf, uri,
                                   "the URI must not contain variables");
    }

    if (strpbrk((char *) uri->data, "?#")) {
        return ngx_ivschat_invalid(cf, uri,
                           "the URI must not contain arguments or a fragment");
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (ngx_ivschat_equal(&clcf->name, uri)) {
        return ngx_ivschat_invalid(cf, uri,
                         "this is the location itself; an internal one is "
                         "expected");
    }

    ilcf->uri = *uri;
    clcf->handler = ngx_ivschat_handler;

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_credentials(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t   *ilcf = conf;
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);

    return ngx_ivschat_creds_line(cf, &mcf->creds, &ilcf->credentials);
}


static ngx_int_t
ngx_ivschat_init(ngx_conf_t *cf)
{
    ngx_uint_t                used, fetched;
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_conf_get_module_main_conf(cf,
                                             ngx_http_ivschat_token_module);

    ngx_ivschat_subrequest_init();

    if (ngx_ivschat_user_init(cf, ngx_ivschat_access_handler) != NGX_OK
        || ngx_ivschat_creds_init(cf, &mcf->creds, &fetched, &used) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return used ? ngx_ivschat_add_zone(cf, mcf, fetched) : NGX_OK;
}


static ngx_int_t
ngx_ivschat_add_zone(ngx_conf_t *cf, ngx_ivschat_main_conf_t *mcf,
    ngx_uint_t fetched)
{
    size_t           least, roomy;
    ngx_uint_t       n;
    ngx_shm_zone_t  *zone;

    static ngx_str_t  name = ngx_string("ivschat_token");

    n = ngx_ivschat_accounts_number(mcf->rate.names.nelts);

    /*
     * Eight pages are the least that nginx accepts, one more is for the root.
     * The slab takes a few bytes of its own for each page.
     */

    least = ngx_ivschat_accounts_size(n) / ngx_pagesize + 10;
    roomy = least;

    /* a reload keeps the zone while its size is the same */

    for (n = NGX_IVSCHAT_FETCHED; n < fetched; n *= 2) { /* void */ }

    least += ngx_ivschat_zone_pages(fetched);
    roomy += ngx_ivschat_zone_pages(n);

    least = (least + least / 64) * ngx_pagesize;
    roomy = (roomy + roomy / 64) * ngx_pagesize;

    ngx_conf_init_size_value(mcf->zone_size, roomy);

    if (mcf->zone_size < least) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid value \"%uz\" in \"ivschat_token_zone\" "
                      "directive: this configuration needs %uz bytes",
                      mcf->zone_size, least);
        return NGX_ERROR;
    }

    zone = ngx_shared_memory_add(cf, &name, mcf->zone_size,
                                 &ngx_http_ivschat_token_module);
    if (zone == NULL) {
        return NGX_ERROR;
    }

    zone->init = ngx_ivschat_init_zone;
    zone->data = mcf;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_uint_t                n;
    ngx_slab_pool_t          *shpool;
    ngx_ivschat_root_t       *root;
    ngx_ivschat_main_conf_t  *mcf;

    mcf = zone->data;
    n = ngx_ivschat_accounts_number(mcf->rate.names.nelts);
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (shpool->data == NULL) {
        shpool->data = ngx_slab_calloc(shpool, sizeof(ngx_ivschat_root_t));
        if (shpool->data == NULL) {
            return NGX_ERROR;
        }

        root = shpool->data;
        root->accounts = ngx_ivschat_accounts_create(shpool, n);
    }

    root = shpool->data;

    if (root->accounts == NULL || root->accounts->n < n) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                      "\"ivschat_token_zone\" has no room for rooms of %ui "
                      "AWS accounts and regions: change its size",
                      mcf->rate.names.nelts);
        return NGX_ERROR;
    }

    mcf->rate.shpool = shpool;
    mcf->rate.table = root->accounts;

    return ngx_ivschat_creds_init_zone(&mcf->creds, shpool, &root->creds,
                                       zone);
}


static ngx_int_t
ngx_ivschat_init_module(ngx_cycle_t *cycle)
{
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_ivschat_token_module);

    if (mcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    ngx_ivschat_subrequest_top();

    ngx_ivschat_creds_commit(cycle, &mcf->creds);

    /* only root can read the memory of root's master */

    if (mcf->zone_size != NGX_CONF_UNSET_SIZE && geteuid() != 0) {
        ngx_ivschat_not_dumpable(cycle);
    }

    return ngx_ivschat_rate_commit(cycle, &mcf->rate);
}


static ngx_int_t
ngx_ivschat_init_process(ngx_cycle_t *cycle)
{
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_ivschat_token_module);

    if (mcf == NULL) {
        return NGX_OK;
    }

    if (mcf->zone_size != NGX_CONF_UNSET_SIZE) {
        ngx_ivschat_not_dumpable(cycle);
    }

    ngx_ivschat_creds_start(cycle, &mcf->creds);
    ngx_ivschat_rate_start(&mcf->rate);

    return NGX_OK;
}


static void
ngx_ivschat_exit_process(ngx_cycle_t *cycle)
{
    ngx_ivschat_main_conf_t  *mcf;

    mcf = ngx_http_cycle_get_module_main_conf(cycle,
                                              ngx_http_ivschat_token_module);

    if (mcf) {
        ngx_ivschat_creds_stop(&mcf->creds);
        ngx_ivschat_rate_stop(&mcf->rate);
    }
}
