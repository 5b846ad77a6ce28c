
/*
 * ivschat_token_resolve: the directive, and lookups in the background.
 */


#include "ngx_ivschat_resolve_peers.h"


#define NGX_IVSCHAT_RESOLV_CONF       "/etc/resolv.conf"
#define NGX_IVSCHAT_NAME_SERVERS      3      /* libc's MAXNS */
#define NGX_IVSCHAT_RESOLVE_RETRY_MAX 30     /* seconds */
#define NGX_IVSCHAT_TTL_MAX           86400


typedef struct {
    ngx_ivschat_resolve_peers_t              peers;
    ngx_array_t                              names;      /* of _name_t */

    ngx_resolver_t                          *resolver;
    ngx_msec_t                               resolver_timeout;
} ngx_ivschat_resolve_conf_t;


/* The name of a server. */

typedef struct {
    ngx_ivschat_resolve_conf_t              *conf;
    ngx_resolver_ctx_t                      *ctx;        /* NULL: no lookup */
    ngx_uint_t                               failures;   /* in a row */

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                                ident;

    ngx_event_t                              event;
    ngx_str_t                                host;
    ngx_uint_t                               server;     /* its number */
} ngx_ivschat_resolve_name_t;


static void *ngx_ivschat_resolve_create_main_conf(ngx_conf_t *cf);
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
static ngx_int_t ngx_ivschat_resolve_resolver(ngx_conf_t *cf,
    ngx_ivschat_resolve_conf_t *rcf);
static ngx_int_t ngx_ivschat_resolve_system(ngx_conf_t *cf,
    ngx_ivschat_resolve_conf_t *rcf);
static void ngx_ivschat_resolve_cleanup(void *data);
static ngx_int_t ngx_ivschat_resolve_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);

static ngx_int_t ngx_ivschat_resolve_init(ngx_cycle_t *cycle);
static void ngx_ivschat_resolve_timer(ngx_event_t *ev);
static void ngx_ivschat_resolve_handler(ngx_resolver_ctx_t *ctx);
static void ngx_ivschat_resolve_retry(ngx_ivschat_resolve_name_t *name);
static ngx_int_t ngx_ivschat_resolve_update(ngx_ivschat_resolve_name_t *name,
    ngx_resolver_ctx_t *ctx);
static ngx_uint_t ngx_ivschat_resolve_same(ngx_http_upstream_server_t *server,
    ngx_resolver_ctx_t *ctx);


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

    ngx_ivschat_resolve_create_main_conf,  /* create main configuration */
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
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* The configuration */


static void *
ngx_ivschat_resolve_create_main_conf(ngx_conf_t *cf)
{
    return ngx_array_create(cf->pool, 4, sizeof(ngx_ivschat_resolve_conf_t *));
}


static void *
ngx_ivschat_resolve_create_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_resolve_conf_t));
}


static char *
ngx_ivschat_resolve(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_resolve_conf_t  *rcf = conf;

    ngx_array_t                   *all;
    ngx_ivschat_resolve_conf_t   **one;
    ngx_http_upstream_srv_conf_t  *us;

    if (rcf->peers.upstream) {
        return "is duplicate";
    }

    us = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (us->peer.init_upstream) {
        return
#if (nginx_version < 1029007)
               "must precede \"keepalive\", and "
#endif
               "cannot be used with another load balancing method";
    }

    us->peer.init_upstream = ngx_ivschat_resolve_init_upstream;

    rcf->peers.upstream = us;
    rcf->peers.log = &cf->cycle->new_log;

    all = ngx_http_conf_get_module_main_conf(cf,
                                       ngx_http_ivschat_token_resolve_module);

    one = ngx_array_push(all);
    if (one == NULL) {
        return NGX_CONF_ERROR;
    }

    *one = rcf;

    return NGX_CONF_OK;
}


/*
 * Rejects an upstream if another method has taken over its balancing, which
 * is known only after all upstreams are initialized.
 */

static ngx_int_t
ngx_ivschat_resolve_check(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_array_t                    *all;
    ngx_ivschat_resolve_conf_t    **rcf;
    ngx_http_upstream_srv_conf_t   *us;

    all = ngx_http_conf_get_module_main_conf(cf,
                                       ngx_http_ivschat_token_resolve_module);
    rcf = all->elts;

    for (i = 0; i < all->nelts; i++) {
        if (rcf[i]->peers.current == NULL) {
            us = rcf[i]->peers.upstream;

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"ivschat_token_resolve\" cannot be used with "
                          "another load balancing method in upstream \"%V\" "
                          "in %s:%ui", &us->host, us->file_name, us->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_pool_cleanup_t          *cln;
    ngx_ivschat_resolve_conf_t  *rcf;

    rcf = ngx_http_conf_upstream_srv_conf(us,
                                   ngx_http_ivschat_token_resolve_module);

    if (ngx_ivschat_resolve_refuse(cf, us) != NGX_OK
        || ngx_ivschat_resolve_names(cf, rcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rcf->names.nelts && ngx_ivschat_resolve_resolver(cf, rcf) != NGX_OK) {
        return NGX_ERROR;
    }

    /* is called before the resolver's own cleanup, to cancel the lookups */

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ivschat_resolve_cleanup;
    cln->data = rcf;

    us->peer.init = ngx_ivschat_resolve_init_peer;

    return ngx_ivschat_resolve_replace(&rcf->peers, 0, NULL, cf->log);
}


static ngx_int_t
ngx_ivschat_resolve_refuse(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
#if (NGX_HTTP_UPSTREAM_ZONE)
    ngx_uint_t                   refuse;
#if (NGX_IVSCHAT_SERVER_RESOLVE)
    ngx_uint_t                   i;
    ngx_http_upstream_server_t  *server;
#endif

    refuse = us->shm_zone != NULL;

#if (NGX_IVSCHAT_SERVER_RESOLVE)
    server = us->servers->elts;

    for (i = 0; i < us->servers->nelts; i++) {
        refuse |= server[i].host.len != 0;
    }
#endif

    if (refuse) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"ivschat_token_resolve\" cannot be used with \"zone\" "
                      "or \"server ... resolve\" in upstream \"%V\" in %s:%ui",
                      &us->host, us->file_name, us->line);
        return NGX_ERROR;
    }
#endif

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_names(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_url_t                    u;
    ngx_uint_t                   i, n;
    ngx_http_upstream_server_t  *server;
    ngx_ivschat_resolve_name_t  *name;

    server = rcf->peers.upstream->servers->elts;
    n = rcf->peers.upstream->servers->nelts;

    /* the names must not move, so there is space for all */

    if (ngx_array_init(&rcf->names, cf->pool, n,
                       sizeof(ngx_ivschat_resolve_name_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = server[i].name;
        u.no_resolve = 1;

        if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
            return NGX_ERROR;
        }

        if (u.naddrs) {
            continue;
        }

        name = ngx_array_push(&rcf->names);
        ngx_memzero(name, sizeof(ngx_ivschat_resolve_name_t));

        name->conf = rcf;
        name->server = i;
        name->ident = -1;
        name->event.handler = ngx_ivschat_resolve_timer;
        name->event.data = name;
        name->event.log = rcf->peers.log;
        name->event.cancelable = 1;

        /* a copy, since the resolver changes it to lower case */

        name->host.len = u.host.len;
        name->host.data = ngx_pstrdup(cf->pool, &u.host);
        if (name->host.data == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_resolver(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    /* of the http level, since the configuration has been read */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    rcf->resolver = clcf->resolver;
    rcf->resolver_timeout = clcf->resolver_timeout;

#if (NGX_IVSCHAT_SERVER_RESOLVE)

    if (rcf->peers.upstream->resolver) {
        rcf->resolver = rcf->peers.upstream->resolver;
    }

    ngx_conf_merge_msec_value(rcf->resolver_timeout,
                              rcf->peers.upstream->resolver_timeout,
                              NGX_CONF_UNSET_MSEC);
#endif

    ngx_conf_init_msec_value(rcf->resolver_timeout, 30000);

    /* the default resolver has no name servers */

    if (rcf->resolver && rcf->resolver->connections.nelts) {
        return NGX_OK;
    }

    return ngx_ivschat_resolve_system(cf, rcf);
}


static ngx_int_t
ngx_ivschat_resolve_system(ngx_conf_t *cf, ngx_ivschat_resolve_conf_t *rcf)
{
    char                           line[1024], word[64];
    FILE                          *file;
    u_char                         text[NGX_IVSCHAT_NAME_SERVERS]
                                       [NGX_SOCKADDR_STRLEN];
    ngx_str_t                      server[NGX_IVSCHAT_NAME_SERVERS];
    ngx_err_t                      err;
    ngx_uint_t                     n;
    ngx_addr_t                     addr;
    ngx_http_upstream_srv_conf_t  *us;

    n = 0;

    file = fopen(NGX_IVSCHAT_RESOLV_CONF, "r");
    err = file ? 0 : ngx_errno;

    while (file && n < NGX_IVSCHAT_NAME_SERVERS
           && fgets(line, sizeof(line), file))
    {
        /* libc as well ignores the word if it does not begin the line */

        if (sscanf(line, "nameserver%*[ \t]%63[^ \t\r\n;#]", word) != 1) {
            continue;
        }

        if (ngx_parse_addr(cf->temp_pool, &addr, (u_char *) word,
                           ngx_strlen(word))
            != NGX_OK)
        {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "name server \"%s\" in " NGX_IVSCHAT_RESOLV_CONF
                          " ignored: nginx does not support this address",
                          word);
            continue;
        }

        ngx_inet_set_port(addr.sockaddr, 53);

        server[n].data = text[n];
        server[n].len = ngx_sock_ntop(addr.sockaddr, addr.socklen, text[n],
                                      NGX_SOCKADDR_STRLEN, 1);
        n++;
    }

    if (file) {
        fclose(file);
    }

    if (n) {
        rcf->resolver = ngx_resolver_create(cf, server, n);
        return rcf->resolver ? NGX_OK : NGX_ERROR;
    }

    us = rcf->peers.upstream;

    ngx_log_error(NGX_LOG_EMERG, cf->log, err,
                  "no resolver defined for \"ivschat_token_resolve\" in "
                  "upstream \"%V\" in %s:%ui: neither \"resolver\" at the "
                  "http level, nor \"nameserver\" in " NGX_IVSCHAT_RESOLV_CONF,
                  &us->host, us->file_name, us->line);

    return NGX_ERROR;
}


/* Called when the configuration is freed, and when a worker exits. */

static void
ngx_ivschat_resolve_cleanup(void *data)
{
    ngx_ivschat_resolve_conf_t  *rcf = data;

    ngx_uint_t                   i;
    ngx_ivschat_resolve_name_t  *name;

    name = rcf->names.elts;

    for (i = 0; i < rcf->names.nelts; i++) {

        if (name[i].event.timer_set) {
            ngx_del_timer(&name[i].event);
        }

        if (name[i].ctx) {
            ngx_resolve_name_done(name[i].ctx);
        }
    }

    if (rcf->peers.current) {
        ngx_ivschat_resolve_release(rcf->peers.current);
    }
}


static ngx_int_t
ngx_ivschat_resolve_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_ivschat_resolve_conf_t  *rcf;

    rcf = ngx_http_conf_upstream_srv_conf(us,
                                   ngx_http_ivschat_token_resolve_module);

    return ngx_ivschat_resolve_init_request(r, &rcf->peers);
}


/* The lookups */


static ngx_int_t
ngx_ivschat_resolve_init(ngx_cycle_t *cycle)
{
    ngx_uint_t                    i, n;
    ngx_array_t                  *all;
    ngx_ivschat_resolve_conf_t  **rcf;
    ngx_ivschat_resolve_name_t   *name;

    all = ngx_http_cycle_get_module_main_conf(cycle,
                                       ngx_http_ivschat_token_resolve_module);

    if (all == NULL
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    rcf = all->elts;

    for (i = 0; i < all->nelts; i++) {
        name = rcf[i]->names.elts;

        for (n = 0; n < rcf[i]->names.nelts; n++) {
            ngx_add_timer(&name[n].event, 1);
        }
    }

    return NGX_OK;
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
        return;
    }

    ctx = ngx_resolve_start(rcf->resolver, NULL);

    if (ctx == NULL) {
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
        name->ctx = NULL;              /* it has been freed */
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

        ngx_log_error(level, name->conf->peers.log, 0,
                      "\"%V\" in upstream \"%V\" could not be resolved "
                      "(%i: %s), the last known addresses are used",
                      &name->host, &name->conf->peers.upstream->host,
                      ctx->state, ngx_resolver_strerror(ctx->state));
        rc = NGX_ERROR;

    } else {
        rc = ngx_ivschat_resolve_update(name, ctx);
    }

    /* one second more, or else the resolver may answer from its cache */

    ttl = ctx->valid - ngx_time() + 1;

    ngx_resolve_name_done(ctx);

    if (rc != NGX_OK) {
        ngx_ivschat_resolve_retry(name);
        return;
    }

    if (name->failures) {
        ngx_log_error(NGX_LOG_NOTICE, name->conf->peers.log, 0,
                      "\"%V\" in upstream \"%V\" is resolved again",
                      &name->host, &name->conf->peers.upstream->host);
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
    u_char                       *p, *last, text[NGX_MAX_ERROR_STR / 4];
    ngx_uint_t                    i;
    ngx_http_upstream_server_t   *server;
    ngx_ivschat_resolve_peers_t  *peers;

    peers = &name->conf->peers;
    server = peers->current->servers.elts;

    if (ngx_ivschat_resolve_same(&server[name->server], ctx)) {
        return NGX_OK;
    }

    if (ctx->naddrs == 0
        || ngx_ivschat_resolve_replace(peers, name->server, ctx, peers->log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    server = peers->current->servers.elts;
    server += name->server;

    p = text;
    last = text + sizeof(text);

    for (i = 0; i < server->naddrs; i++) {
        p = ngx_slprintf(p, last, "%s%V", i ? ", " : "",
                         &server->addrs[i].name);
    }

    ngx_log_error(NGX_LOG_INFO, peers->log, 0,
                  "\"%V\" in upstream \"%V\" is resolved to %*s",
                  &name->host, &peers->upstream->host,
                  (size_t) (p - text), text);

    return NGX_OK;
}


/*
 * Compares addresses in any order, since the resolver rotates its answers.
 * Those of the server are different from each other.
 */

static ngx_uint_t
ngx_ivschat_resolve_same(ngx_http_upstream_server_t *server,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t            i, n, found, before;
    ngx_addr_t           *addr;
    ngx_resolver_addr_t  *new;

    addr = server->addrs;
    new = ctx->addrs;
    found = 0;

    for (i = 0; i < server->naddrs; i++) {
        before = found;

        for (n = 0; n < ctx->naddrs; n++) {
            found += ngx_cmp_sockaddr(addr[i].sockaddr, addr[i].socklen,
                                      new[n].sockaddr, new[n].socklen, 0)
                     == NGX_OK;
        }

        if (found == before) {
            return 0;
        }
    }

    return found == ctx->naddrs;
}
