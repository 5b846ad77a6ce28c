
/*
 * ivschat_token_resolve: round robin over addresses that follow DNS.
 */


#ifndef _NGX_HTTP_IVSCHAT_TOKEN_RESOLVE_H_INCLUDED_
#define _NGX_HTTP_IVSCHAT_TOKEN_RESOLVE_H_INCLUDED_


#include "ngx_http_ivschat_token_module.h"


void *ngx_http_ivschat_token_resolve_create_conf(ngx_conf_t *cf);

/* The setter of the directive. */
char *ngx_http_ivschat_token_resolve(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Refuses the upstreams whose balancing another method has taken over, which
 * is known only when all of them are set up: in postconfiguration.
 */
ngx_int_t ngx_http_ivschat_token_resolve_check(ngx_conf_t *cf);

/*
 * Start and stop the lookups of this process; nothing is done in processes
 * that serve no requests.
 */
ngx_int_t ngx_http_ivschat_token_resolve_init(ngx_cycle_t *cycle);
void ngx_http_ivschat_token_resolve_exit(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_IVSCHAT_TOKEN_RESOLVE_H_INCLUDED_ */
