
/*
 * ivschat_token_rate: the calls to AWS of an account and region, shared by all
 * workers, and its retry quota.
 */


#ifndef _NGX_IVSCHAT_RATE_H_INCLUDED_
#define _NGX_IVSCHAT_RATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "../aws/ngx_ivschat_bucket.h"
#include "../aws/ngx_ivschat_retry.h"
#include "../aws/ngx_ivschat_sigv4.h"


#define NGX_IVSCHAT_ACCOUNTS   16

/* 12 digits, "/", and the region of a room's ARN */

#define NGX_IVSCHAT_PAIR_MAX   (32 + 1 + NGX_IVSCHAT_SIGV4_REGION_MAX)


typedef struct ngx_ivschat_line_up_s  ngx_ivschat_line_up_t;


/* One account and region, in the shared zone. */

typedef struct {
    u_char                       pair[NGX_IVSCHAT_PAIR_MAX];
    size_t                       len;        /* 0: free */
    ngx_msec_t                   used;       /* last */
    ngx_uint_t                   configured; /* a literal room is of it */
    ngx_ivschat_bucket_t         rate;
    ngx_ivschat_retry_quota_t    quota;
} ngx_ivschat_account_t;


/* Of the main configuration. */

typedef struct {
    ngx_uint_t                   rate;       /* a second; 0: off */
    ngx_uint_t                   burst;
    ngx_msec_t                   wait;
    ngx_array_t                  pairs;      /* of literal rooms: account and
                                                region, ngx_str_t */

    ngx_slab_pool_t             *shpool;     /* of the zone; NULL: no zone */
    ngx_ivschat_account_t       *accounts;   /* in it */

    ngx_ivschat_line_up_t       *lines;      /* of this worker */
} ngx_ivschat_rate_conf_t;


/* Of one request; handler and data are its owner's. */

typedef struct {
    void                       (*handler)(void *data, ngx_uint_t granted);
    void                        *data;

    ngx_ivschat_rate_conf_t     *rcf;
    ngx_ivschat_account_t       *account;    /* NULL: not found yet */
    ngx_queue_t                  queue;
    uint64_t                     ticket;
    ngx_msec_t                   granted;    /* or asked for */
    ngx_msec_t                   waited;     /* by all attempts */
    ngx_uint_t                   cost;       /* of the last retry */
    unsigned                     queued:1;
} ngx_ivschat_place_t;


/* ivschat_token_rate; cmd->offset is that of the ngx_ivschat_rate_conf_t. */

char *ngx_ivschat_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Notes the account and region of a literal room; NGX_ERROR, and a message, if
 * they are more than the zone has room for.
 */

ngx_int_t ngx_ivschat_rate_pair(ngx_conf_t *cf, ngx_ivschat_rate_conf_t *rcf,
    ngx_str_t *arn);

/* create main conf, init main conf, init module */

ngx_int_t ngx_ivschat_rate_create(ngx_conf_t *cf,
    ngx_ivschat_rate_conf_t *rcf);
void ngx_ivschat_rate_defaults(ngx_ivschat_rate_conf_t *rcf);
ngx_int_t ngx_ivschat_rate_commit(ngx_cycle_t *cycle,
    ngx_ivschat_rate_conf_t *rcf);

/*
 * The account of this room, into place->account; NGX_DECLINED if there are too
 * many (the log says so).
 */

ngx_int_t ngx_ivschat_rate_find(ngx_ivschat_rate_conf_t *rcf,
    ngx_ivschat_place_t *place, ngx_str_t *arn, ngx_log_t *log);

/*
 * Asks for one call to AWS, as a first attempt or as a retry.  NGX_OK: go;
 * NGX_AGAIN: place->handler will be called, with granted 0 if the wait was in
 * vain; NGX_BUSY: too many wait.
 */

ngx_int_t ngx_ivschat_rate_take(ngx_ivschat_place_t *place,
    ngx_uint_t retry, ngx_msec_t wait);

/* Stops waiting; harmless if the request does not wait. */

void ngx_ivschat_rate_leave(ngx_ivschat_place_t *place);

/* What became of the call that was granted: AWS's answer, or no call. */

void ngx_ivschat_rate_tell(ngx_ivschat_place_t *place,
    ngx_ivschat_call_e outcome);
void ngx_ivschat_rate_give_back(ngx_ivschat_place_t *place);

/* Seconds for the Retry-After header of a request that is refused. */

ngx_uint_t ngx_ivschat_rate_retry_after(ngx_ivschat_place_t *place);

/* The retry quota: NGX_DECLINED if it has nothing left for this retry. */

ngx_int_t ngx_ivschat_rate_retry(ngx_ivschat_place_t *place,
    ngx_ivschat_retry_e cls);
void ngx_ivschat_rate_success(ngx_ivschat_place_t *place);


#endif /* _NGX_IVSCHAT_RATE_H_INCLUDED_ */
