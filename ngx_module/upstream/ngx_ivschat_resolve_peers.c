
/*
 * ivschat_token_resolve: the addresses, and the requests that use them.
 *
 * All the addresses that are good at one time are a generation: a pool of its
 * own, with the peers that nginx's round robin itself has made in it.  When an
 * answer differs from what there is, a new generation takes the place of the
 * current one, and what round robin knows of the addresses that stay (failures,
 * connections, weights, TLS sessions) goes with them.  A request holds each
 * generation that it has used to its end, since $upstream_addr and others
 * point there, but it chooses an address in the current one only.
 */


#include "ngx_ivschat_resolve.h"


/* An address of a peer, which peer->sockaddr points to. */

typedef struct {
    ngx_sockaddr_t                           sockaddr;   /* must be first */

    /*
     * The same in each generation that the address is in; another one when it
     * comes back after it was withdrawn.
     */
    ngx_uint_t                               serial;

    ngx_ssl_t                               *ssl;        /* the location's
                                                            that has made
                                                            ssl_session */

    u_char                                   text[NGX_SOCKADDR_STRLEN];
} ngx_ivschat_resolve_addr_t;


/* The peer data of a request. */

typedef struct {
    ngx_http_upstream_rr_peer_data_t         rrp;        /* must be first */

    ngx_http_request_t                      *request;
    ngx_ivschat_resolve_conf_t              *conf;
    ngx_ivschat_generation_t                *generation; /* that of rrp */
    ngx_uint_t                               attempts;
} ngx_ivschat_resolve_peer_t;


static ngx_ivschat_generation_t *
    ngx_ivschat_resolve_create(ngx_ivschat_resolve_conf_t *rcf);
static ngx_int_t ngx_ivschat_resolve_copy(ngx_ivschat_resolve_conf_t *rcf,
    ngx_pool_t *pool, ngx_http_upstream_server_t *server,
    ngx_http_upstream_server_t *from);
static ngx_int_t ngx_ivschat_resolve_fill(ngx_ivschat_resolve_conf_t *rcf,
    ngx_pool_t *pool, ngx_http_upstream_server_t *server,
    ngx_resolver_ctx_t *ctx, in_port_t port);
static ngx_int_t ngx_ivschat_resolve_add(ngx_ivschat_resolve_conf_t *rcf,
    ngx_pool_t *pool, ngx_http_upstream_server_t *server,
    struct sockaddr *sockaddr, socklen_t socklen, in_port_t port);
static void ngx_ivschat_resolve_inherit(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peers_t *old);

static ngx_int_t ngx_ivschat_resolve_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_ivschat_resolve_revive(ngx_http_upstream_rr_peer_data_t *rrp);
static ngx_uint_t ngx_ivschat_resolve_failed(
    ngx_http_upstream_rr_peer_t *peer);
static void ngx_ivschat_resolve_free_peer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_uint_t ngx_ivschat_resolve_follow(ngx_ivschat_resolve_peer_t *rp);
static ngx_int_t ngx_ivschat_resolve_move(ngx_ivschat_resolve_peer_t *rp,
    ngx_http_upstream_rr_peers_t *peers);
static ngx_int_t ngx_ivschat_resolve_hold(ngx_ivschat_resolve_peer_t *rp);
static ngx_int_t ngx_ivschat_resolve_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_ivschat_resolve_save_session(ngx_peer_connection_t *pc,
    void *data);
static ngx_http_upstream_rr_peer_t *ngx_ivschat_resolve_find(
    ngx_http_upstream_rr_peers_t *peers, ngx_http_upstream_rr_peer_t *peer,
    ngx_uint_t *index);


#define ngx_ivschat_resolve_addr(peer)                                        \
    ((ngx_ivschat_resolve_addr_t *) (peer)->sockaddr)

#define NGX_IVSCHAT_WORD  (8 * sizeof(uintptr_t))

#define ngx_ivschat_resolve_tried(rrp, i)                                     \
    ((rrp)->tried[(i) / NGX_IVSCHAT_WORD]                                     \
     & ((uintptr_t) 1 << (i) % NGX_IVSCHAT_WORD))


/* The generations */


ngx_int_t
ngx_ivschat_resolve_replace(ngx_ivschat_resolve_conf_t *rcf,
    ngx_ivschat_resolve_name_t *name, ngx_resolver_ctx_t *ctx, ngx_log_t *log)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_conf_t                   cf;
    ngx_ivschat_generation_t    *g, *old;
    ngx_http_upstream_server_t  *server, *from;

    g = ngx_ivschat_resolve_create(rcf);
    if (g == NULL) {
        return NGX_ERROR;
    }

    old = rcf->current;

    server = g->upstream.servers->elts;
    from = old ? old->upstream.servers->elts : rcf->upstream->servers->elts;

    for (i = 0; i < g->upstream.servers->nelts; i++) {

        if (name && rcf->servers[i].name == name) {
            rc = ngx_ivschat_resolve_fill(rcf, g->pool, &server[i], ctx,
                                          rcf->servers[i].port);
        } else {
            rc = ngx_ivschat_resolve_copy(rcf, g->pool, &server[i], &from[i]);
        }

        if (rc != NGX_OK) {
            goto failed;
        }
    }

    /* round robin makes its peers as it does for a configuration */

    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.pool = g->pool;
    cf.log = log;

    if (ngx_http_upstream_init_round_robin(&cf, &g->upstream) != NGX_OK) {
        goto failed;
    }

    if (old) {
        ngx_ivschat_resolve_inherit(g->upstream.peer.data,
                                    old->upstream.peer.data);
        ngx_ivschat_resolve_release(old);
    }

    rcf->current = g;

    /* for those who only look at it */

    rcf->upstream->peer.data = g->upstream.peer.data;

    return NGX_OK;

failed:

    ngx_destroy_pool(g->pool);

    return NGX_ERROR;
}


static ngx_ivschat_generation_t *
ngx_ivschat_resolve_create(ngx_ivschat_resolve_conf_t *rcf)
{
    ngx_pool_t                  *pool;
    ngx_uint_t                   n;
    ngx_ivschat_generation_t    *g;
    ngx_http_upstream_server_t  *server;

    pool = ngx_create_pool(4096, rcf->log);
    if (pool == NULL) {
        return NULL;
    }

    g = ngx_palloc(pool, sizeof(ngx_ivschat_generation_t));
    if (g == NULL) {
        goto failed;
    }

    g->pool = pool;
    g->refs = 1;
    g->upstream = *rcf->upstream;
    g->upstream.peer.data = NULL;

    n = rcf->upstream->servers->nelts;

    g->upstream.servers = ngx_array_create(pool, n,
                                           sizeof(ngx_http_upstream_server_t));
    if (g->upstream.servers == NULL) {
        goto failed;
    }

    server = ngx_array_push_n(g->upstream.servers, n);
    if (server == NULL) {
        goto failed;
    }

    ngx_memcpy(server, rcf->upstream->servers->elts,
               sizeof(ngx_http_upstream_server_t) * n);

    return g;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


static ngx_int_t
ngx_ivschat_resolve_copy(ngx_ivschat_resolve_conf_t *rcf, ngx_pool_t *pool,
    ngx_http_upstream_server_t *server, ngx_http_upstream_server_t *from)
{
    ngx_uint_t  i;

    server->naddrs = 0;

    server->addrs = ngx_pcalloc(pool, sizeof(ngx_addr_t) * from->naddrs);
    if (server->addrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < from->naddrs; i++) {
        if (ngx_ivschat_resolve_add(rcf, pool, server,
                                    from->addrs[i].sockaddr,
                                    from->addrs[i].socklen, 0)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_fill(ngx_ivschat_resolve_conf_t *rcf, ngx_pool_t *pool,
    ngx_http_upstream_server_t *server, ngx_resolver_ctx_t *ctx,
    in_port_t port)
{
    ngx_uint_t  i;

    server->naddrs = 0;

    server->addrs = ngx_pcalloc(pool, sizeof(ngx_addr_t) * ctx->naddrs);
    if (server->addrs == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        if (ngx_ivschat_resolve_add(rcf, pool, server,
                                    ctx->addrs[i].sockaddr,
                                    ctx->addrs[i].socklen, port)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Adds an address, once, to a server that has room for it; port 0: its own. */

static ngx_int_t
ngx_ivschat_resolve_add(ngx_ivschat_resolve_conf_t *rcf, ngx_pool_t *pool,
    ngx_http_upstream_server_t *server, struct sockaddr *sockaddr,
    socklen_t socklen, in_port_t port)
{
    ngx_uint_t                   i;
    ngx_addr_t                  *addr;
    ngx_ivschat_resolve_addr_t  *ra;

    ra = ngx_pcalloc(pool, sizeof(ngx_ivschat_resolve_addr_t));
    if (ra == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(&ra->sockaddr, sockaddr, socklen);

    if (port) {
        ngx_inet_set_port(&ra->sockaddr.sockaddr, port);
    }

    for (i = 0; i < server->naddrs; i++) {
        if (ngx_cmp_sockaddr(server->addrs[i].sockaddr,
                             server->addrs[i].socklen,
                             &ra->sockaddr.sockaddr, socklen, 1)
            == NGX_OK)
        {
            return NGX_OK;
        }
    }

    ra->serial = ++rcf->serial;

    addr = &server->addrs[server->naddrs++];

    addr->sockaddr = &ra->sockaddr.sockaddr;
    addr->socklen = socklen;
    addr->name.data = ra->text;
    addr->name.len = ngx_sock_ntop(addr->sockaddr, socklen, ra->text,
                                   NGX_SOCKADDR_STRLEN, 1);

    return NGX_OK;
}


/*
 * What is known of the addresses that stay.  Requests that still use the old
 * peers will account for them at the new ones.
 */

static void
ngx_ivschat_resolve_inherit(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peers_t *old)
{
    ngx_http_upstream_rr_peer_t  *peer, *from;

    for ( /* void */ ; peers && old; peers = peers->next, old = old->next) {

        for (peer = peers->peer; peer; peer = peer->next) {

            for (from = old->peer; from; from = from->next) {
                if (from->server.data == peer->server.data
                    && ngx_cmp_sockaddr(from->sockaddr, from->socklen,
                                        peer->sockaddr, peer->socklen, 1)
                    == NGX_OK)
                {
                    break;
                }
            }

            if (from == NULL) {
                continue;
            }

            ngx_ivschat_resolve_addr(peer)->serial =
                                   ngx_ivschat_resolve_addr(from)->serial;
            ngx_ivschat_resolve_addr(peer)->ssl =
                                   ngx_ivschat_resolve_addr(from)->ssl;

            peer->current_weight = from->current_weight;
            peer->effective_weight = from->effective_weight;
            peer->conns = from->conns;
            peer->fails = from->fails;
            peer->accessed = from->accessed;
            peer->checked = from->checked;
#if (NGX_IVSCHAT_SERVER_RESOLVE)
            peer->refs = from->refs;
#endif
            peer->ssl_session = from->ssl_session;
            from->ssl_session = NULL;
        }
    }
}


void
ngx_ivschat_resolve_release(void *data)
{
    ngx_ivschat_generation_t  *g = data;

    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    if (--g->refs) {
        return;
    }

    for (peers = g->upstream.peer.data; peers; peers = peers->next) {
        for (peer = peers->peer; peer; peer = peer->next) {
            if (peer->ssl_session) {
                ngx_ssl_free_session(peer->ssl_session);
            }
        }
    }

    ngx_destroy_pool(g->pool);
}


/* The requests */


ngx_int_t
ngx_ivschat_resolve_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_ivschat_resolve_conf_t  *rcf;
    ngx_ivschat_resolve_peer_t  *rp;

    rcf = ngx_http_conf_upstream_srv_conf(us,
                                   ngx_http_ivschat_token_resolve_module);

    rp = ngx_pcalloc(r->pool, sizeof(ngx_ivschat_resolve_peer_t));
    if (rp == NULL) {
        return NGX_ERROR;
    }

    rp->request = r;
    rp->conf = rcf;

    if (ngx_ivschat_resolve_hold(rp) != NGX_OK) {
        return NGX_ERROR;
    }

    r->upstream->peer.data = &rp->rrp;

    if (ngx_http_upstream_init_round_robin_peer(r, &rcf->current->upstream)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->upstream->peer.get = ngx_ivschat_resolve_get_peer;
    r->upstream->peer.free = ngx_ivschat_resolve_free_peer;
    r->upstream->peer.set_session = ngx_ivschat_resolve_set_session;
    r->upstream->peer.save_session = ngx_ivschat_resolve_save_session;

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_resolve_get_peer(ngx_peer_connection_t *pc, void *data)
{
    ngx_ivschat_resolve_peer_t  *rp = data;

    ngx_int_t  rc;

    if (rp->generation != rp->conf->current) {

        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                       "ivschat resolve: the addresses have changed");

        rc = ngx_ivschat_resolve_move(rp,
                                      rp->conf->current->upstream.peer.data);
        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    rp->attempts++;

    ngx_ivschat_resolve_revive(&rp->rrp);

    return ngx_http_upstream_get_round_robin_peer(pc, &rp->rrp);
}


/*
 * If all the addresses left for a request are marked as failed, round robin
 * is made to try them as it does after "fail_timeout".
 */

static void
ngx_ivschat_resolve_revive(ngx_http_upstream_rr_peer_data_t *rrp)
{
    ngx_uint_t                     i;
    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    for (peers = rrp->peers; peers; peers = peers->next) {
        for (peer = peers->peer, i = 0; peer; peer = peer->next, i++) {

            if ((peers != rrp->peers || !ngx_ivschat_resolve_tried(rrp, i))
                && !peer->down
                && !ngx_ivschat_resolve_failed(peer))
            {
                return;
            }
        }
    }

    for (peers = rrp->peers; peers; peers = peers->next) {
        for (peer = peers->peer, i = 0; peer; peer = peer->next, i++) {

            if (peers != rrp->peers || !ngx_ivschat_resolve_tried(rrp, i)) {
                peer->accessed = 0;
                peer->checked = 0;
            }
        }
    }
}


static ngx_uint_t
ngx_ivschat_resolve_failed(ngx_http_upstream_rr_peer_t *peer)
{
    return peer->max_fails
           && peer->fails >= peer->max_fails
           && ngx_time() - peer->checked <= peer->fail_timeout;
}


static void
ngx_ivschat_resolve_free_peer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_ivschat_resolve_peer_t  *rp = data;

    ngx_uint_t  withdrawn, limit;

    withdrawn = !ngx_ivschat_resolve_follow(rp);

    ngx_http_upstream_free_round_robin_peer(pc, &rp->rrp, state);

    if (!withdrawn || !(state & NGX_PEER_FAILED) || pc->tries) {
        return;
    }

    /* all that was known has failed, and has meanwhile been replaced */

    limit = rp->request->upstream->conf->next_upstream_tries;

    if (limit == 0 || rp->attempts < limit) {
        pc->tries = 1;
    }
}


/*
 * Whether the address in use is in the current generation, where it is to be
 * accounted for; then rp is moved there.
 */

static ngx_uint_t
ngx_ivschat_resolve_follow(ngx_ivschat_resolve_peer_t *rp)
{
    ngx_uint_t                     i;
    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    if (rp->generation == rp->conf->current) {
        return 1;
    }

    for (peers = rp->conf->current->upstream.peer.data;
         peers;
         peers = peers->next)
    {
        peer = ngx_ivschat_resolve_find(peers, rp->rrp.current, &i);

        if (peer) {
            if (ngx_ivschat_resolve_move(rp, peers) != NGX_OK) {
                return 0;
            }

            rp->rrp.current = peer;
            return 1;
        }
    }

    return 0;
}


/*
 * To these peers of the current generation; those that the request has tried
 * already stay so.
 */

static ngx_int_t
ngx_ivschat_resolve_move(ngx_ivschat_resolve_peer_t *rp,
    ngx_http_upstream_rr_peers_t *peers)
{
    uintptr_t                          data, *tried;
    ngx_uint_t                         i, n;
    ngx_http_upstream_rr_peer_t       *peer;
    ngx_http_upstream_rr_peers_t      *all;
    ngx_http_upstream_rr_peer_data_t  *rrp;

    rrp = &rp->rrp;

    all = rp->conf->current->upstream.peer.data;
    n = all->number;

    if (all->next && all->next->number > n) {
        n = all->next->number;
    }

    data = 0;
    tried = &data;

    if (n > NGX_IVSCHAT_WORD) {
        n = (n + NGX_IVSCHAT_WORD - 1) / NGX_IVSCHAT_WORD;

        tried = ngx_pcalloc(rp->request->pool, n * sizeof(uintptr_t));
        if (tried == NULL) {
            return NGX_ERROR;
        }
    }

    for (peer = rrp->peers->peer, i = 0; peer; peer = peer->next, i++) {

        if (ngx_ivschat_resolve_tried(rrp, i)
            && ngx_ivschat_resolve_find(peers, peer, &n))
        {
            tried[n / NGX_IVSCHAT_WORD] |=
                        (uintptr_t) 1 << n % NGX_IVSCHAT_WORD;
        }
    }

    if (ngx_ivschat_resolve_hold(rp) != NGX_OK) {
        return NGX_ERROR;
    }

    rrp->peers = peers;
    rrp->current = NULL;
    rrp->data = data;
    rrp->tried = (tried == &data) ? &rrp->data : tried;

    return NGX_OK;
}


/* The current generation stays to the end of the request. */

static ngx_int_t
ngx_ivschat_resolve_hold(ngx_ivschat_resolve_peer_t *rp)
{
    ngx_pool_cleanup_t        *cln;
    ngx_ivschat_generation_t  *g;

    cln = ngx_pool_cleanup_add(rp->request->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    g = rp->conf->current;
    g->refs++;

    cln->handler = ngx_ivschat_resolve_release;
    cln->data = g;

    rp->generation = g;

    return NGX_OK;
}


/*
 * nginx does not verify a resumed session anew, but takes over the result.
 * Another location may verify nothing or have other authorities or a client
 * certificate of its own, so that each resumes its own sessions only.
 */

static ngx_int_t
ngx_ivschat_resolve_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_ivschat_resolve_peer_t  *rp = data;

    if (ngx_ivschat_resolve_addr(rp->rrp.current)->ssl
        != rp->request->upstream->conf->ssl)
    {
        return NGX_OK;
    }

    return ngx_http_upstream_set_round_robin_peer_session(pc, &rp->rrp);
}


static void
ngx_ivschat_resolve_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_ivschat_resolve_peer_t  *rp = data;

    if (SSL_get_verify_result(pc->connection->ssl->connection) != X509_V_OK) {
        return;
    }

    ngx_ivschat_resolve_addr(rp->rrp.current)->ssl =
                                             rp->request->upstream->conf->ssl;

    ngx_http_upstream_save_round_robin_peer_session(pc, &rp->rrp);
}


static ngx_http_upstream_rr_peer_t *
ngx_ivschat_resolve_find(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peer_t *peer, ngx_uint_t *index)
{
    ngx_uint_t                    i;
    ngx_http_upstream_rr_peer_t  *found;

    for (found = peers->peer, i = 0; found; found = found->next, i++) {

        if (ngx_ivschat_resolve_addr(found)->serial
            == ngx_ivschat_resolve_addr(peer)->serial)
        {
            *index = i;
            return found;
        }
    }

    return NULL;
}
