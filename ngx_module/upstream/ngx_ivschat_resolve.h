
/*
 * ivschat_token_resolve: round robin over addresses that follow DNS.
 */


#ifndef _NGX_IVSCHAT_RESOLVE_H_INCLUDED_
#define _NGX_IVSCHAT_RESOLVE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#if (NGX_HTTP_UPSTREAM_ZONE && nginx_version >= 1027003)
#define NGX_IVSCHAT_SERVER_RESOLVE    1
#endif


typedef struct ngx_ivschat_resolve_conf_s
                                        ngx_ivschat_resolve_conf_t;


typedef struct {
    ngx_pool_t                              *pool;
    ngx_uint_t                               refs;       /* requests, and the
                                                            configuration */

    /* a copy, whose servers have the addresses of this generation */
    ngx_http_upstream_srv_conf_t             upstream;
} ngx_ivschat_generation_t;


/* A name that is looked up; it may stand in several servers. */

typedef struct {
    ngx_ivschat_resolve_conf_t              *conf;
    ngx_resolver_ctx_t                      *ctx;        /* NULL: no lookup */
    ngx_uint_t                               failures;   /* in a row */

    /* event ident must be after 3 pointers as in ngx_connection_t */
    ngx_int_t                                ident;

    ngx_event_t                              event;
    ngx_str_t                                host;
} ngx_ivschat_resolve_name_t;


/* What a server of the upstream is, by its number. */

typedef struct {
    ngx_ivschat_resolve_name_t              *name;       /* NULL: literal */
    in_port_t                                port;
} ngx_ivschat_resolve_server_t;


struct ngx_ivschat_resolve_conf_s {
    ngx_http_upstream_srv_conf_t             *upstream;  /* NULL: not here */
    ngx_ivschat_resolve_server_t             *servers;
    ngx_array_t                               names;     /* of _name_t */

    ngx_resolver_t                           *resolver;
    ngx_msec_t                                resolver_timeout;
    ngx_log_t                                *log;

    ngx_ivschat_generation_t                 *current;   /* NULL: another
                                                            method balances */
    ngx_uint_t                                serial;    /* the last one */
};


extern ngx_module_t  ngx_http_ivschat_token_resolve_module;


/* _resolve_peers.c */

/*
 * Makes the next generation: with the addresses of ctx for the name, and all
 * others as they are.  Without a name it is the first one.
 */
ngx_int_t ngx_ivschat_resolve_replace(ngx_ivschat_resolve_conf_t *rcf,
    ngx_ivschat_resolve_name_t *name, ngx_resolver_ctx_t *ctx, ngx_log_t *log);

/* Lets go of a generation; the last one to do so frees it. */
void ngx_ivschat_resolve_release(void *data);

ngx_int_t ngx_ivschat_resolve_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);


#endif /* _NGX_IVSCHAT_RESOLVE_H_INCLUDED_ */
