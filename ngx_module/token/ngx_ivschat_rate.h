
/*
 * ivschat_token_rate: places in the rate of an AWS account and region, shared
 * by all workers.
 */


#ifndef _NGX_IVSCHAT_RATE_H_INCLUDED_
#define _NGX_IVSCHAT_RATE_H_INCLUDED_


#include "ngx_ivschat_token.h"
#include "../aws/ngx_ivschat_bucket.h"
#include "../aws/ngx_ivschat_retry.h"


#define NGX_IVSCHAT_ACCOUNTS   16

/* 12 digits, "/", and the region of a room's ARN */

#define NGX_IVSCHAT_PAIR_MAX  (32 + 1 + NGX_IVSCHAT_SIGV4_REGION_MAX)


/* One account and region, in the shared zone. */

struct ngx_ivschat_account_s {
    u_char                       pair[NGX_IVSCHAT_PAIR_MAX];
    size_t                       len;        /* 0: free */
    ngx_msec_t                   used;       /* last */
    ngx_uint_t                   configured; /* a literal room is of it */
    ngx_ivschat_bucket_t         rate;
    ngx_ivschat_retry_quota_t    quota;
};


/* ivschat_token_rate */

char *ngx_ivschat_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Notes the account and region of a literal room; NGX_ERROR, and a message, if
 * there are more of them than buckets.
 */

ngx_int_t ngx_ivschat_rate_pair(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf,
    ngx_str_t *arn);

/* init_module: literal rooms have buckets, and all have these limits. */

void ngx_ivschat_rate_commit(ngx_ivschat_rate_conf_t *rcf);

/* init_process */

ngx_int_t ngx_ivschat_rate_init(ngx_cycle_t *cycle,
    ngx_ivschat_rate_conf_t *rcf);

/*
 * The bucket of the request's room, into ctx->bucket; NGX_DECLINED if there
 * are too many (the log says so).
 */

ngx_int_t ngx_ivschat_rate_find(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx);

/*
 * A place for one attempt.  NGX_OK: go; NGX_AGAIN: the request waits, and
 * ngx_ivschat_granted() will be called; NGX_BUSY: there is no room
 * to wait in.
 */

ngx_int_t ngx_ivschat_rate_take(ngx_http_request_t *r, ngx_ivschat_ctx_t *ctx,
    ngx_msec_t wait);

/* Gives up the place of a request that waits; harmless if it does not. */

void ngx_ivschat_rate_leave(ngx_ivschat_ctx_t *ctx);

/* What AWS made of the attempt that was granted. */

void ngx_ivschat_rate_tell(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_call_e outcome);

/* AWS was not asked after all: the place may be another's. */

void ngx_ivschat_rate_give_back(ngx_ivschat_ctx_t *ctx);

/* Seconds, for a client that is sent away. */

ngx_uint_t ngx_ivschat_rate_retry_after(ngx_ivschat_ctx_t *ctx);

/* The retry quota: what ngx_ivschat_retry_take() and _success() say. */

ngx_uint_t ngx_ivschat_rate_retry(ngx_ivschat_ctx_t *ctx,
    ngx_ivschat_retry_e cls);
void ngx_ivschat_rate_success(ngx_ivschat_ctx_t *ctx);


#endif /* _NGX_IVSCHAT_RATE_H_INCLUDED_ */
