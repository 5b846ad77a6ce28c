
/*
 * ivschat_token_resolve: the directive, and the lookups in the background.
 */


#include "ngx_ivschat_resolve.h"


#define NGX_IVSCHAT_RESOLV_CONF       "/etc/resolv.conf"
#define NGX_IVSCHAT_RESOLV_CONF_SIZE  16384
#define NGX_IVSCHAT_NAME_SERVERS      3      /* libc's MAXNS */
#define NGX_IVSCHAT_RESOLVE_RETRY_MAX 30     /* seconds */
#define NGX_IVSCHAT_TTL_MAX           86400


static void *ngx_ivschat_resolve_create_conf(ngx_conf_t *cf);
static char *ngx_ivschat_resolve(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_ivschat_resolve_check(ngx_conf_t *cf);
static ngx_int_t ngx_ivschat_resolve_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_ivschat_resolve_refuse(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_ivschat_resolve_names(ngx_conf_t *cf,
    ngx_ivschat_resolve_conf_t *rcf);
static ngx_ivschat_resolve_name_t *
    ngx_ivschat_resolve_name(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf,
                             ngx_str_t *host);
static ngx_int_t ngx_ivschat_resolve_resolver(ngx_conf_t *cf,
    ngx_ivschat_resolve_conf_t *rcf);
static ngx_int_t ngx_ivschat_resolve_system(ngx_conf_t *cf,
    ngx_ivschat_resolve_conf_t *rcf);
static ngx_int_t ngx_ivschat_resolve_read_system(ngx_conf_t *cf,
    ngx_str_t *text);
static ngx_int_t ngx_ivschat_resolve_name_server(ngx_conf_t *cf,
    ngx_str_t *line, ngx_str_t *server);
static void ngx_ivschat_resolve_cleanup(void *data);

static ngx_int_t ngx_ivschat_resolve_init(ngx_cycle_t *cycle);
static void ngx_ivschat_resolve_exit(ngx_cycle_t *cycle);
static void ngx_ivschat_resolve_start(ngx_ivschat_resolve_conf_t *rcf);
static void ngx_ivschat_resolve_stop(ngx_ivschat_resolve_conf_t *rcf);
static ngx_ivschat_resolve_conf_t *
    ngx_ivschat_resolve_conf(ngx_http_upstream_srv_conf_t *us);
static void ngx_ivschat_resolve_timer(ngx_event_t *ev);
static void ngx_ivschat_resolve_handler(ngx_resolver_ctx_t *ctx);
static void ngx_ivschat_resolve_retry(ngx_ivschat_resolve_name_t *name);
static ngx_int_t ngx_ivschat_resolve_update(ngx_ivschat_resolve_name_t *name,
    ngx_resolver_ctx_t *ctx);
static ngx_http_upstream_server_t *ngx_ivschat_resolve_server(
    ngx_ivschat_resolve_name_t *name);
static ngx_uint_t ngx_ivschat_resolve_same(ngx_http_upstream_server_t *server,
    ngx_resolver_ctx_t *ctx);
static void ngx_ivschat_resolve_log(ngx_ivschat_resolve_name_t *name);


static ngx_command_t  ngx_ivschat_resolve_commands[] = {

    { ngx_string("ivschat_token_resolve"),
      NGX_HTTP_UPS_CONF|NGX_CONF_NOARGS,
      ngx_ivschat_resolve,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_ivschat_resolve_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_ivschat_resolve_check,             /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_ivschat_resolve_create_conf,       /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_ivschat_token_resolve_module = {
    NGX_MODULE_V1,
    &ngx_ivschat_resolve_module_ctx,       /* module context */
    ngx_ivschat_resolve_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_ivschat_resolve_init,              /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_ivschat_resolve_exit,              /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* The configuration */


static void *
ngx_ivschat_resolve_create_conf(ngx_conf_t *cf)
{
    /* all of it is set by ngx_pcalloc(), or by the directive */

    return ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_resolve_conf_t));
}


static char *
ngx_ivschat_resolve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_resolve_conf_t  *rcf = conf;

    ngx_http_upstream_srv_conf_t  *us;

    if (rcf->upstream) {
        return "is duplicate";
    }

    us = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (us->peer.init_upstream) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token_resolve\" in upstream \"%V\" "
#if (nginx_version < 1029007)
                           "must stand before \"keepalive\", and "
#endif
                           "cannot be used with another load balancing "
                           "method", &us->host);
        return NGX_CONF_ERROR;
    }

    us->peer.init_upstream = ngx_ivschat_resolve_init_upstream;

    rcf->upstream = us;

    return NGX_CONF_OK;
}


/*
 * Refuses the upstreams whose balancing another method has taken over, which
 * is known only when all of them are set up.
 */

static ngx_int_t
ngx_ivschat_resolve_check(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_ivschat_resolve_conf_t     *rcf;
    ngx_http_upstream_srv_conf_t  **us;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);

    us = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        rcf = ngx_ivschat_resolve_conf(us[i]);

        if (rcf && rcf->current == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"ivschat_token_resolve\" cannot be used with "
                          "another load balancing method in upstream \"%V\" "
                          "in %s:%ui",
                          &us[i]->host, us[i]->file_name, us[i]->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_ivschat_resolve_conf_t *
ngx_ivschat_resolve_conf(ngx_http_upstream_srv_conf_t *us)
{
    ngx_ivschat_resolve_conf_t  *rcf;

    if (us->srv_conf == NULL) {
        return NULL;                   /* made by proxy_pass and the like */
    }

    rcf = ngx_http_conf_upstream_srv_conf(us,
                                   ngx_http_ivschat_token_resolve_module);

    return rcf->upstream ? rcf : NULL;
}


static ngx_int_t
ngx_ivschat_resolve_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_pool_cleanup_t          *cln;
    ngx_ivschat_resolve_conf_t  *rcf;

    rcf = ngx_http_conf_upstream_srv_conf(us,
                                   ngx_http_ivschat_token_resolve_module);

    rcf->log = &cf->cycle->new_log;

    if (ngx_ivschat_resolve_refuse(cf, us) != NGX_OK
        || ngx_ivschat_resolve_names(cf, rcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rcf->names.nelts && ngx_ivschat_resolve_resolver(cf, rcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /*
     * After the resolver's own cleanup, and so called before it, while there
     * still are lookups to cancel.
     */

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ivschat_resolve_cleanup;
    cln->data = rcf;

    if (ngx_ivschat_resolve_replace(rcf, NULL, NULL, cf->log) != NGX_OK) {
        return NGX_ERROR;
    }

    us->peer.init = ngx_ivschat_resolve_init_peer;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_refuse(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
#if (NGX_IVSCHAT_SERVER_RESOLVE)
    ngx_uint_t                   i;
    ngx_http_upstream_server_t  *server;

    server = us->servers->elts;

    for (i = 0; i < us->servers->nelts; i++) {
        if (server[i].host.len) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"ivschat_token_resolve\" cannot be used with "
                          "\"server %V resolve\", which does the same, in "
                          "upstream \"%V\" in %s:%ui", &server[i].name,
                          &us->host, us->file_name, us->line);
            return NGX_ERROR;
        }
    }
#endif

#if (NGX_HTTP_UPSTREAM_ZONE)
    if (us->shm_zone) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ivschat_token_resolve\" cannot be used with "
                      "\"zone\", since each worker has its own addresses, in "
                      "upstream \"%V\" in %s:%ui",
                      &us->host, us->file_name, us->line);
        return NGX_ERROR;
    }
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_names(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_url_t                      u;
    ngx_uint_t                     i, n;
    ngx_http_upstream_server_t    *server;
    ngx_ivschat_resolve_server_t  *rs;

    server = rcf->upstream->servers->elts;
    n = rcf->upstream->servers->nelts;

    rs = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_resolve_server_t) * n);
    if (rs == NULL) {
        return NGX_ERROR;
    }

    rcf->servers = rs;

    /* there is room for all: the names must not move */

    if (ngx_array_init(&rcf->names, cf->pool, n,
                       sizeof(ngx_ivschat_resolve_name_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = server[i].name;
        u.default_port = 80;           /* as "server" has it */
        u.no_resolve = 1;

        if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
            return NGX_ERROR;
        }

        if (u.naddrs) {
            continue;
        }

        rs[i].port = u.port;

        rs[i].name = ngx_ivschat_resolve_name(cf, rcf, &u.host);
        if (rs[i].name == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_ivschat_resolve_name_t *
ngx_ivschat_resolve_name(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf,
    ngx_str_t *host)
{
    ngx_uint_t                   i;
    ngx_ivschat_resolve_name_t  *name;

    name = rcf->names.elts;

    for (i = 0; i < rcf->names.nelts; i++) {
        if (name[i].host.len == host->len
            && ngx_strncasecmp(name[i].host.data, host->data, host->len) == 0)
        {
            return &name[i];
        }
    }

    name = ngx_array_push(&rcf->names);
    if (name == NULL) {
        return NULL;
    }

    ngx_memzero(name, sizeof(ngx_ivschat_resolve_name_t));

    name->conf = rcf;
    name->ident = -1;

    /* the resolver writes to it */

    name->host.len = host->len;
    name->host.data = ngx_pstrdup(cf->pool, host);
    if (name->host.data == NULL) {
        return NULL;
    }

    name->event.handler = ngx_ivschat_resolve_timer;
    name->event.data = name;
    name->event.log = rcf->log;
    name->event.cancelable = 1;        /* a worker can exit */

    return name;
}


static ngx_int_t
ngx_ivschat_resolve_resolver(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    /* of the http level, since no server is being read */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    rcf->resolver = clcf->resolver;
    rcf->resolver_timeout = clcf->resolver_timeout;

#if (NGX_IVSCHAT_SERVER_RESOLVE)

    if (rcf->upstream->resolver) {
        rcf->resolver = rcf->upstream->resolver;
    }

    ngx_conf_merge_msec_value(rcf->resolver_timeout,
                              rcf->upstream->resolver_timeout,
                              NGX_CONF_UNSET_MSEC);
#endif

    ngx_conf_init_msec_value(rcf->resolver_timeout, 30000);

    /* without a "resolver" there is one that has nobody to ask */

    if (rcf->resolver && rcf->resolver->connections.nelts) {
        return NGX_OK;
    }

    return ngx_ivschat_resolve_system(cf, rcf);
}


static ngx_int_t
ngx_ivschat_resolve_system(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf)
{
    u_char                        *end, *last;
    ngx_str_t                      text, line;
    ngx_str_t                      servers[NGX_IVSCHAT_NAME_SERVERS];
    ngx_uint_t                     n;
    ngx_http_upstream_srv_conf_t  *us;

    if (ngx_ivschat_resolve_read_system(cf, &text) != NGX_OK) {
        return NGX_ERROR;
    }

    n = 0;
    last = text.data + text.len;

    for (line.data = text.data;
         line.data < last && n < NGX_IVSCHAT_NAME_SERVERS;
         line.data = end + 1)
    {
        end = ngx_strlchr(line.data, last, '\n');
        if (end == NULL) {
            end = last;
        }

        line.len = end - line.data;

        switch (ngx_ivschat_resolve_name_server(cf, &line, &servers[n])) {
        case NGX_OK:
            n++;
            break;

        case NGX_ERROR:
            return NGX_ERROR;
        }
    }

    if (n == 0) {
        us = rcf->upstream;

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ivschat_token_resolve\" has no name server to ask: "
                      "there is neither a \"resolver\" at the http level nor "
                      "a \"nameserver\" in "
                      NGX_IVSCHAT_RESOLV_CONF
                      ", for upstream \"%V\" in %s:%ui",
                      &us->host, us->file_name, us->line);
        return NGX_ERROR;
    }

    rcf->resolver = ngx_resolver_create(cf, servers, n);

    return rcf->resolver ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_ivschat_resolve_read_system(ngx_conf_t *cf, ngx_str_t *text)
{
    ssize_t   n;
    ngx_fd_t  fd;

    /* no file is an empty one */

    text->len = 0;

    text->data = ngx_pnalloc(cf->temp_pool, NGX_IVSCHAT_RESOLV_CONF_SIZE);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(NGX_IVSCHAT_RESOLV_CONF, NGX_FILE_RDONLY, NGX_FILE_OPEN,
                       0);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_WARN, cf->log, ngx_errno,
                      ngx_open_file_n " \"%s\" failed",
                      NGX_IVSCHAT_RESOLV_CONF);
        return NGX_OK;
    }

    n = ngx_read_fd(fd, text->data, NGX_IVSCHAT_RESOLV_CONF_SIZE);

    if (n == -1) {
        ngx_log_error(NGX_LOG_WARN, cf->log, ngx_errno,
                      ngx_read_fd_n " \"%s\" failed", NGX_IVSCHAT_RESOLV_CONF);

    } else {
        text->len = n;
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno,
                      ngx_close_file_n " \"%s\" failed",
                      NGX_IVSCHAT_RESOLV_CONF);
    }

    return NGX_OK;
}


/* As libc reads it: the word stands at the beginning of the line. */

static ngx_int_t
ngx_ivschat_resolve_name_server(ngx_conf_t *cf, ngx_str_t *line,
    ngx_str_t *server)
{
    size_t      n;
    u_char     *p, *last;
    ngx_addr_t  addr;

    p = line->data;
    last = line->data + line->len;
    n = sizeof("nameserver") - 1;

    if (line->len <= n
        || ngx_strncmp(p, "nameserver", n) != 0
        || (p[n] != ' ' && p[n] != '\t'))
    {
        return NGX_DECLINED;
    }

    for (p += n; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

    for (n = 0; p + n < last; n++) {
        if (ngx_strchr(" \t\r;#", p[n])) {
            break;
        }
    }

    /* "fe80::1%eth0", with the name of an interface, is none for nginx */

    if (ngx_parse_addr(cf->temp_pool, &addr, p, n) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "name server \"%*s\" in "
                           NGX_IVSCHAT_RESOLV_CONF
                           " is skipped: no address that nginx can use",
                           n, p);
        return NGX_DECLINED;
    }

    server->data = ngx_pnalloc(cf->pool, n + 2);
    if (server->data == NULL) {
        return NGX_ERROR;
    }

    server->len = ngx_sprintf(server->data,
                              addr.sockaddr->sa_family == AF_INET ? "%*s"
                              : "[%*s]",
                              n, p)
                  - server->data;

    return NGX_OK;
}


static void
ngx_ivschat_resolve_cleanup(void *data)
{
    ngx_ivschat_resolve_conf_t  *rcf = data;

    ngx_ivschat_resolve_stop(rcf);

    if (rcf->current) {
        ngx_ivschat_resolve_release(rcf->current);
        rcf->current = NULL;
    }
}


/* The lookups */


static ngx_int_t
ngx_ivschat_resolve_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_ivschat_resolve_conf_t     *rcf;
    ngx_http_upstream_srv_conf_t  **us;
    ngx_http_upstream_main_conf_t  *umcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    umcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_upstream_module);
    if (umcf == NULL) {
        return NGX_OK;                 /* there is no "http" */
    }

    us = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        rcf = ngx_ivschat_resolve_conf(us[i]);

        if (rcf) {
            ngx_ivschat_resolve_start(rcf);
        }
    }

    return NGX_OK;
}


static void
ngx_ivschat_resolve_exit(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_ivschat_resolve_conf_t     *rcf;
    ngx_http_upstream_srv_conf_t  **us;
    ngx_http_upstream_main_conf_t  *umcf;

    umcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_upstream_module);
    if (umcf == NULL) {
        return;
    }

    us = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {
        rcf = ngx_ivschat_resolve_conf(us[i]);

        if (rcf) {
            ngx_ivschat_resolve_stop(rcf);
        }
    }
}


static void
ngx_ivschat_resolve_start(ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_uint_t                   i;
    ngx_ivschat_resolve_name_t  *name;

    name = rcf->names.elts;

    for (i = 0; i < rcf->names.nelts; i++) {
        ngx_add_timer(&name[i].event, 1);
    }
}


static void
ngx_ivschat_resolve_stop(ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_uint_t                   i;
    ngx_ivschat_resolve_name_t  *name;

    name = rcf->names.elts;

    for (i = 0; i < rcf->names.nelts; i++) {

        if (name[i].event.timer_set) {
            ngx_del_timer(&name[i].event);
        }

        if (name[i].ctx) {
            ngx_resolve_name_done(name[i].ctx);
            name[i].ctx = NULL;
        }
    }
}


static void
ngx_ivschat_resolve_timer(ngx_event_t *ev)
{
    ngx_resolver_ctx_t          *ctx;
    ngx_ivschat_resolve_conf_t  *rcf;
    ngx_ivschat_resolve_name_t  *name;

    name = ev->data;
    rcf = name->conf;

    if (ngx_exiting) {
        return;                        /* the addresses will do to the end */
    }

    ctx = ngx_resolve_start(rcf->resolver, NULL);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_ivschat_resolve_retry(name);
        return;
    }

    ctx->name = name->host;
    ctx->handler = ngx_ivschat_resolve_handler;
    ctx->data = name;
    ctx->timeout = rcf->resolver_timeout;
    ctx->cancelable = 1;

    /* the handler may be called before ngx_resolve_name() returns */

    name->ctx = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        name->ctx = NULL;              /* freed already */
        ngx_ivschat_resolve_retry(name);
    }
}


static void
ngx_ivschat_resolve_handler(ngx_resolver_ctx_t *ctx)
{
    time_t                       ttl;
    ngx_int_t                    rc;
    ngx_uint_t                   level;
    ngx_ivschat_resolve_name_t  *name;

    name = ctx->data;
    name->ctx = NULL;

    if (ctx->state) {
        level = name->failures ? NGX_LOG_INFO : NGX_LOG_ERR;

        ngx_log_error(level, name->conf->log, 0,
                      "\"%V\" in upstream \"%V\" could not be resolved "
                      "(%i: %s), the addresses known stay in use",
                      &name->host, &name->conf->upstream->host, ctx->state,
                      ngx_resolver_strerror(ctx->state));
        rc = NGX_ERROR;

    } else {
        rc = ngx_ivschat_resolve_update(name, ctx);
    }

    /* in the last second the resolver would still answer from its cache */

    ttl = ctx->valid - ngx_time() + 1;

    ngx_resolve_name_done(ctx);

    if (rc != NGX_OK) {
        ngx_ivschat_resolve_retry(name);
        return;
    }

    if (name->failures) {
        ngx_log_error(NGX_LOG_NOTICE, name->conf->log, 0,
                      "\"%V\" in upstream \"%V\" is resolved again",
                      &name->host, &name->conf->upstream->host);
        name->failures = 0;
    }

    ttl = ngx_max(ttl, 1);
    ttl = ngx_min(ttl, NGX_IVSCHAT_TTL_MAX);

    ngx_add_timer(&name->event, (ngx_msec_t) ttl * 1000);
}


static void
ngx_ivschat_resolve_retry(ngx_ivschat_resolve_name_t *name)
{
    ngx_uint_t  seconds;

    /* 1, 2, 4, … seconds */

    seconds = (ngx_uint_t) 1 << ngx_min(name->failures, 5);
    seconds = ngx_min(seconds, NGX_IVSCHAT_RESOLVE_RETRY_MAX);

    name->failures++;

    ngx_add_timer(&name->event, (ngx_msec_t) seconds * 1000);
}


static ngx_int_t
ngx_ivschat_resolve_update(ngx_ivschat_resolve_name_t *name,
    ngx_resolver_ctx_t *ctx)
{
    ngx_ivschat_resolve_conf_t  *rcf;

    if (ctx->naddrs == 0) {
        return NGX_ERROR;
    }

    if (ngx_ivschat_resolve_same(ngx_ivschat_resolve_server(name), ctx)) {
        return NGX_OK;
    }

    rcf = name->conf;

    if (ngx_ivschat_resolve_replace(rcf, name, ctx, rcf->log) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_ivschat_resolve_log(name);

    return NGX_OK;
}


/* One server with this name, as it is now: they differ in the port only. */

static ngx_http_upstream_server_t *
ngx_ivschat_resolve_server(ngx_ivschat_resolve_name_t *name)
{
    ngx_uint_t                   i;
    ngx_http_upstream_server_t  *server;
    ngx_ivschat_resolve_conf_t  *rcf;

    rcf = name->conf;
    server = rcf->current->upstream.servers->elts;

    for (i = 0; rcf->servers[i].name != name; i++) { /* void */ }

    return &server[i];
}


/* Without order: the resolver turns its answers around. */

static ngx_uint_t
ngx_ivschat_resolve_same(ngx_http_upstream_server_t *server,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t            i, n;
    ngx_addr_t           *addr;
    ngx_resolver_addr_t  *new;

    addr = server->addrs;
    new = ctx->addrs;

    for (i = 0; i < server->naddrs; i++) {
        for (n = 0; n < ctx->naddrs; n++) {
            if (ngx_cmp_sockaddr(addr[i].sockaddr, addr[i].socklen,
                                 new[n].sockaddr, new[n].socklen, 0)
                == NGX_OK)
            {
                break;
            }
        }

        if (n == ctx->naddrs) {
            return 0;
        }
    }

    for (n = 0; n < ctx->naddrs; n++) {
        for (i = 0; i < server->naddrs; i++) {
            if (ngx_cmp_sockaddr(addr[i].sockaddr, addr[i].socklen,
                                 new[n].sockaddr, new[n].socklen, 0)
                == NGX_OK)
            {
                break;
            }
        }

        if (i == server->naddrs) {
            return 0;
        }
    }

    return 1;
}


static void
ngx_ivschat_resolve_log(ngx_ivschat_resolve_name_t *name)
{
    u_char                      *p, *last;
    u_char                       text[NGX_MAX_ERROR_STR / 4];
    ngx_uint_t                   i;
    ngx_http_upstream_server_t  *server;

    server = ngx_ivschat_resolve_server(name);

    p = text;
    last = text + sizeof(text);

    for (i = 0; i < server->naddrs; i++) {
        p = ngx_slprintf(p, last, "%s%V", i ? ", " : "",
                         &server->addrs[i].name);
    }

    ngx_log_error(NGX_LOG_INFO, name->conf->log, 0,
                  "\"%V\" in upstream \"%V\" is resolved to %*s",
                  &name->host, &name->conf->upstream->host,
                  (size_t) (p - text), text);
}
