
/*
 * The addresses of an upstream that follow DNS, and round robin over them.
 */


#ifndef _NGX_IVSCHAT_RESOLVE_PEERS_H_INCLUDED_
#define _NGX_IVSCHAT_RESOLVE_PEERS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#if (NGX_HTTP_UPSTREAM_ZONE && nginx_version >= 1027003)
#define NGX_IVSCHAT_SERVER_RESOLVE    1
#endif


typedef struct {
    ngx_pool_t                              *pool;
    ngx_uint_t                               refs;       /* requests, and the
                                                            configuration */

    /* a copy, whose servers have the addresses of this generation */
    ngx_http_upstream_srv_conf_t             upstream;
    ngx_array_t                              servers;
} ngx_ivschat_generation_t;


typedef struct {
    ngx_http_upstream_srv_conf_t            *upstream;
    ngx_log_t                               *log;

    ngx_ivschat_generation_t                *current;    /* NULL: none yet */
    ngx_uint_t                               serial;     /* the last one */
} ngx_ivschat_resolve_peers_t;


/*
 * Makes the next generation: the n-th server gets the addresses of ctx, and
 * the others keep theirs.  Without ctx all servers keep their addresses.
 */
ngx_int_t ngx_ivschat_resolve_replace(ngx_ivschat_resolve_peers_t *rps,
    ngx_uint_t n, ngx_resolver_ctx_t *ctx, ngx_log_t *log);

/* Releases a generation, and frees it if it is not used any more. */
void ngx_ivschat_resolve_release(void *data);

ngx_int_t ngx_ivschat_resolve_init_request(ngx_http_request_t *r,
    ngx_ivschat_resolve_peers_t *rps);


#endif /* _NGX_IVSCHAT_RESOLVE_PEERS_H_INCLUDED_ */
