
/*
 * Where the AWS credentials of a location come from.
 */


#ifndef _NGX_HTTP_IVSCHAT_TOKEN_CREDENTIALS_H_INCLUDED_
#define _NGX_HTTP_IVSCHAT_TOKEN_CREDENTIALS_H_INCLUDED_


#include "ngx_http_ivschat_token_module.h"


/* The strings belong to the slot, and live as long as this event is handled. */

typedef struct {
    ngx_str_t    access_key;
    ngx_str_t    secret_key;
    ngx_str_t    session_token;          /* empty: none */
    uint64_t     id;                     /* another one for other secrets */
} ngx_http_ivschat_token_credentials_t;


/* ivschat_token_credentials */

char *ngx_http_ivschat_token_credentials(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* The slot of "ivschat_token_credentials auto", or NULL without memory. */

ngx_http_ivschat_token_slot_t *ngx_http_ivschat_token_credentials_default(
    ngx_conf_t *cf);

/*
 * NGX_OK with what the slot holds now; NGX_DECLINED if it holds nothing that
 * could be used (the caller logs).
 */

ngx_int_t ngx_http_ivschat_token_credentials_get(
    ngx_http_ivschat_token_slot_t *slot,
    ngx_http_ivschat_token_credentials_t *creds);

/* What the slot is called in the log, "env" say. */

ngx_str_t *ngx_http_ivschat_token_credentials_name(
    ngx_http_ivschat_token_slot_t *slot);

/*
 * Adds the names of AWS's variables and HOME, as far as they are set, to the
 * list of the "env" directive, so that workers and a new binary keep them.
 */

ngx_int_t ngx_http_ivschat_token_keep_environment(ngx_conf_t *cf);


#endif /* _NGX_HTTP_IVSCHAT_TOKEN_CREDENTIALS_H_INCLUDED_ */
