
/*
 * The addresses of an upstream that follow DNS, and round robin over them.
 *
 * A generation is a set of addresses in a pool of its own, with the peers that
 * nginx's round robin has created from them.  If DNS returns other addresses,
 * a new generation replaces the current one.  A request holds the generations
 * that it has used until it ends, since $upstream_addr and others point there,
 * but it chooses an address in the current one only.
 */


#include "ngx_ivschat_resolve_peers.h"


/* An address of a peer, which peer->sockaddr points to. */

typedef struct {
    ngx_sockaddr_t                           sockaddr;   /* must be first */

    /*
     * The same in all generations while the address is in use; another one
     * if the address was withdrawn and has come back.
     */
    ngx_uint_t                               serial;

    /* of the location that has made peer->ssl_session */
    ngx_ssl_t                               *ssl;

    u_char                                   text[NGX_SOCKADDR_STRLEN];
} ngx_ivschat_resolve_addr_t;


/* The peer data of a request. */

typedef struct {
    ngx_http_upstream_rr_peer_data_t         rrp;        /* must be first */

    ngx_http_request_t                      *request;
    ngx_ivschat_resolve_peers_t             *rps;
    ngx_ivschat_generation_t                *generation; /* that of rrp */
    ngx_uint_t                               attempts;
} ngx_ivschat_resolve_peer_t;


static ngx_ivschat_generation_t *
    ngx_ivschat_resolve_create(ngx_ivschat_resolve_peers_t *rps,
                               ngx_uint_t n, ngx_resolver_ctx_t *ctx);
static ngx_int_t ngx_ivschat_resolve_fill(ngx_ivschat_resolve_peers_t *rps,
    ngx_pool_t *pool, ngx_http_upstream_server_t *server,
    ngx_http_upstream_server_t *from, ngx_resolver_ctx_t *ctx);
static ngx_ivschat_resolve_addr_t *
    ngx_ivschat_resolve_known(ngx_http_upstream_server_t *server,
                              struct sockaddr *sockaddr, socklen_t socklen);
static void ngx_ivschat_resolve_inherit(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peers_t *old);

static ngx_int_t ngx_ivschat_resolve_get_peer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_ivschat_resolve_revive(ngx_http_upstream_rr_peer_data_t *rrp);
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
ngx_ivschat_resolve_replace(ngx_ivschat_resolve_peers_t *rps, ngx_uint_t n,
    ngx_resolver_ctx_t *ctx, ngx_log_t *log)
{
    ngx_conf_t                 cf;
    ngx_ivschat_generation_t  *g, *old;

    g = ngx_ivschat_resolve_create(rps, n, ctx);
    if (g == NULL) {
        return NGX_ERROR;
    }

    /* round robin creates its peers as it does for a configuration */

    ngx_memzero(&cf, sizeof(ngx_conf_t));

    cf.pool = g->pool;
    cf.log = log;

    if (ngx_http_upstream_init_round_robin(&cf, &g->upstream) != NGX_OK) {
        ngx_destroy_pool(g->pool);
        return NGX_ERROR;
    }

    old = rps->current;

    if (old) {
        ngx_ivschat_resolve_inherit(g->upstream.peer.data,
                                    old->upstream.peer.data);
        ngx_ivschat_resolve_release(old);
    }

    rps->current = g;

    /* for modules that read the peers of an upstream */

    rps->upstream->peer.data = g->upstream.peer.data;

    return NGX_OK;
}


static ngx_ivschat_generation_t *
ngx_ivschat_resolve_create(ngx_ivschat_resolve_peers_t *rps, ngx_uint_t n,
    ngx_resolver_ctx_t *ctx)
{
    size_t                       size;
    ngx_uint_t                   i;
    ngx_pool_t                  *pool;
    ngx_array_t                 *servers;
    ngx_ivschat_generation_t    *g;
    ngx_http_upstream_server_t  *server, *from;

    pool = ngx_create_pool(4096, rps->log);
    if (pool == NULL) {
        return NULL;
    }

    servers = rps->upstream->servers;
    size = servers->nelts * sizeof(ngx_http_upstream_server_t);

    g = ngx_palloc(pool, sizeof(ngx_ivschat_generation_t));
    server = ngx_palloc(pool, size);

    if (g == NULL || server == NULL) {
        goto failed;
    }

    ngx_memcpy(server, servers->elts, size);

    g->pool = pool;
    g->refs = 1;
    g->servers = *servers;
    g->servers.elts = server;
    g->upstream = *rps->upstream;
    g->upstream.servers = &g->servers;

    from = rps->current ? rps->current->servers.elts : servers->elts;

    for (i = 0; i < servers->nelts; i++) {
        if (ngx_ivschat_resolve_fill(rps, pool, &server[i], &from[i],
                                     i == n ? ctx : NULL)
            != NGX_OK)
        {
            goto failed;
        }
    }

    return g;

failed:

    ngx_destroy_pool(pool);

    return NULL;
}


/* Sets the addresses of a server to those of ctx, or else to those of from. */

static ngx_int_t
ngx_ivschat_resolve_fill(ngx_ivschat_resolve_peers_t *rps, ngx_pool_t *pool,
    ngx_http_upstream_server_t *server, ngx_http_upstream_server_t *from,
    ngx_resolver_ctx_t *ctx)
{
    socklen_t                    socklen;
    ngx_uint_t                   i, n;
    ngx_addr_t                  *addr;
    struct sockaddr             *sockaddr;
    ngx_ivschat_resolve_addr_t  *ra, *known;

    n = ctx ? ctx->naddrs : from->naddrs;

    addr = ngx_pcalloc(pool, n * sizeof(ngx_addr_t));
    ra = ngx_pcalloc(pool, n * sizeof(ngx_ivschat_resolve_addr_t));

    if (addr == NULL || ra == NULL) {
        return NGX_ERROR;
    }

    server->addrs = addr;
    server->naddrs = 0;

    for (i = 0; i < n; i++) {
        sockaddr = ctx ? ctx->addrs[i].sockaddr : from->addrs[i].sockaddr;
        socklen = ctx ? ctx->addrs[i].socklen : from->addrs[i].socklen;

        ngx_memcpy(&ra->sockaddr, sockaddr, socklen);

        sockaddr = &ra->sockaddr.sockaddr;
        ngx_inet_set_port(sockaddr, ngx_inet_get_port(from->addrs->sockaddr));

        if (ngx_ivschat_resolve_known(server, sockaddr, socklen)) {
            continue;                  /* a duplicate in the answer */
        }

        known = rps->current ? ngx_ivschat_resolve_known(from, sockaddr,
                                                         socklen) : NULL;

        ra->serial = known ? known->serial : ++rps->serial;
        ra->ssl = known ? known->ssl : NULL;

        addr->sockaddr = sockaddr;
        addr->socklen = socklen;
        addr->name.data = ra->text;
        addr->name.len = ngx_sock_ntop(sockaddr, socklen, ra->text,
                                       NGX_SOCKADDR_STRLEN, 1);
        addr++;
        ra++;
        server->naddrs++;
    }

    return NGX_OK;
}


static ngx_ivschat_resolve_addr_t *
ngx_ivschat_resolve_known(ngx_http_upstream_server_t *server,
    struct sockaddr *sockaddr, socklen_t socklen)
{
    ngx_uint_t   i;
    ngx_addr_t  *addr;

    addr = server->addrs;

    for (i = 0; i < server->naddrs; i++) {
        if (ngx_cmp_sockaddr(addr[i].sockaddr, addr[i].socklen, sockaddr,
                             socklen, 1)
            == NGX_OK)
        {
            return ngx_ivschat_resolve_addr(&addr[i]);
        }
    }

    return NULL;
}


/*
 * Takes over the state of unchanged addresses.  Requests that still use the
 * old peers will account for them at the new ones.
 */

static void
ngx_ivschat_resolve_inherit(ngx_http_upstream_rr_peers_t *peers,
    ngx_http_upstream_rr_peers_t *old)
{
    ngx_uint_t                    n;
    ngx_http_upstream_rr_peer_t  *peer, *from;

    for ( /* void */ ; peers && old; peers = peers->next, old = old->next) {

        for (peer = peers->peer; peer; peer = peer->next) {

            from = ngx_ivschat_resolve_find(old, peer, &n);
            if (from == NULL) {
                continue;
            }

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
ngx_ivschat_resolve_init_request(ngx_http_request_t *r,
    ngx_ivschat_resolve_peers_t *rps)
{
    ngx_ivschat_resolve_peer_t  *rp;

    rp = ngx_pcalloc(r->pool, sizeof(ngx_ivschat_resolve_peer_t));
    if (rp == NULL) {
        return NGX_ERROR;
    }

    rp->request = r;
    rp->rps = rps;

    if (ngx_ivschat_resolve_hold(rp) != NGX_OK) {
        return NGX_ERROR;
    }

    r->upstream->peer.data = &rp->rrp;

    if (ngx_http_upstream_init_round_robin_peer(r, &rps->current->upstream)
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

    if (rp->generation != rp->rps->current) {

        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                       "ivschat resolve: the addresses have changed");

        rc = ngx_ivschat_resolve_move(rp,
                                      rp->rps->current->upstream.peer.data);
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
 * tries them as it does after "fail_timeout".
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
                && (peer->max_fails == 0
                    || peer->fails < peer->max_fails
                    || ngx_time() - peer->checked > peer->fail_timeout))
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

    /* all the addresses have failed, and there are new ones */

    limit = rp->request->upstream->conf->next_upstream_tries;

    if (limit == 0 || rp->attempts < limit) {
        pc->tries = 1;
    }
}


/*
 * Moves the request to the current generation, if the address in use is still
 * there; connections and failures are then counted there.
 */

static ngx_uint_t
ngx_ivschat_resolve_follow(ngx_ivschat_resolve_peer_t *rp)
{
    ngx_uint_t                     i;
    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    if (rp->generation == rp->rps->current) {
        return 1;
    }

    for (peers = rp->rps->current->upstream.peer.data;
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
 * Moves the request to these peers of the current generation, together with
 * the list of addresses that it has tried.
 */

static ngx_int_t
ngx_ivschat_resolve_move(ngx_ivschat_resolve_peer_t *rp,
    ngx_http_upstream_rr_peers_t *peers)
{
    uintptr_t                         *tried;
    ngx_uint_t                         i, n;
    ngx_http_upstream_rr_peer_t       *peer;
    ngx_http_upstream_rr_peers_t      *all;
    ngx_http_upstream_rr_peer_data_t  *rrp;

    rrp = &rp->rrp;

    all = rp->rps->current->upstream.peer.data;
    n = all->next ? ngx_max(all->number, all->next->number) : all->number;
    n = (n + NGX_IVSCHAT_WORD - 1) / NGX_IVSCHAT_WORD;

    tried = ngx_pcalloc(rp->request->pool, n * sizeof(uintptr_t));
    if (tried == NULL) {
        return NGX_ERROR;
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
    rrp->tried = tried;

    return NGX_OK;
}


/* Keeps the current generation until the end of the request. */

static ngx_int_t
ngx_ivschat_resolve_hold(ngx_ivschat_resolve_peer_t *rp)
{
    ngx_pool_cleanup_t        *cln;
    ngx_ivschat_generation_t  *g;

    cln = ngx_pool_cleanup_add(rp->request->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    g = rp->rps->current;
    g->refs++;

    cln->handler = ngx_ivschat_resolve_release;
    cln->data = g;

    rp->generation = g;

    return NGX_OK;
}


/*
 * nginx does not verify a resumed session anew, but takes the session's
 * result.  Another location may not verify certificates, or use other
 * authorities or a client certificate, so that a location resumes its own
 * sessions only.
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
