
/*
 * ivschat_token_rate: which request makes the next call to AWS, and how many
 * requests of one user wait or run.
 *
 * The buckets are in the shared zone.  Each worker has a queue for each line
 * of each bucket; only the first request of a queue asks the bucket.
 */


#ifndef _NGX_IVSCHAT_RATE_H_INCLUDED_
#define _NGX_IVSCHAT_RATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>

#include "ngx_ivschat_accounts.h"


typedef struct ngx_ivschat_queues_s  ngx_ivschat_queues_t;


typedef enum {
    NGX_IVSCHAT_REFUSAL_WAIT = 0,
    NGX_IVSCHAT_REFUSAL_USER,
    NGX_IVSCHAT_REFUSAL_FULL,
    NGX_IVSCHAT_REFUSALS               /* how many there are */
} ngx_ivschat_refusal_e;


/* Of the main configuration. */

typedef struct {
    ngx_uint_t                   rate;       /* a second; 0: off */
    ngx_uint_t                   burst;
    ngx_msec_t                   wait;
    ngx_uint_t                   user;       /* requests of each; 0: off */
    ngx_array_t                  names;      /* of literal rooms' accounts,
                                                ngx_ivschat_account_name_t */

    ngx_slab_pool_t             *shpool;     /* of the zone; NULL: no zone */
    ngx_ivschat_accounts_t      *table;      /* in it */

    /* of this worker */

    ngx_ivschat_queues_t        *queues;     /* of each account */
    ngx_queue_t                 *users;      /* ngx_ivschat_place_t by hash */
    uint64_t                     seed;       /* of the hash */

    ngx_event_t                  timer;      /* of the log's summary */
    ngx_connection_t             dummy;
    struct {
        ngx_uint_t               count;      /* since the last line */
        ngx_uint_t               logged;     /* in this second */
    } refusals[NGX_IVSCHAT_REFUSALS];
} ngx_ivschat_rate_conf_t;


/* Of one request; handler, data, and the timer's data and log are set by it. */

typedef struct {
    void                       (*handler)(void *data, ngx_uint_t granted);
    void                        *data;
    ngx_event_t                  timer;

    ngx_ivschat_rate_conf_t     *rcf;
    ngx_ivschat_account_name_t   name;
    ngx_ivschat_account_t       *account;    /* NULL: none is held */
    ngx_ivschat_tally_t         *tally;
    ngx_uint_t                   cost;       /* of the last retry */

    ngx_queue_t                  queue;
    ngx_queue_t                 *line;       /* NULL: does not wait */
    ngx_ivschat_turn_e           turn;
    uint64_t                     ticket;
    ngx_msec_t                   asked;      /* or granted */
    ngx_msec_t                   wait;       /* NGX_TIMER_INFINITE: its owner
                                                has a timer */
    ngx_msec_t                   waited;     /* by all attempts */

    ngx_queue_t                  user_queue;
    ngx_str_t                   *user;       /* NULL: not counted */
} ngx_ivschat_place_t;


/* ivschat_token_rate; cmd->offset is that of the ngx_ivschat_rate_conf_t. */

char *ngx_ivschat_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Notes the account and region of a literal room. */

ngx_int_t ngx_ivschat_rate_room(ngx_ivschat_rate_conf_t *rcf, ngx_str_t *arn);

/* create main conf, init main conf, init module, init and exit process */

ngx_int_t ngx_ivschat_rate_create(ngx_conf_t *cf,
    ngx_ivschat_rate_conf_t *rcf);
void ngx_ivschat_rate_defaults(ngx_ivschat_rate_conf_t *rcf);
ngx_int_t ngx_ivschat_rate_commit(ngx_cycle_t *cycle,
    ngx_ivschat_rate_conf_t *rcf);
void ngx_ivschat_rate_start(ngx_ivschat_rate_conf_t *rcf);
void ngx_ivschat_rate_stop(ngx_ivschat_rate_conf_t *rcf);

/*
 * Counts a request for this room; user is NULL if users are not counted.
 * NGX_BUSY: the user has as many as "user" of ivschat_token_rate allows.
 */

ngx_int_t ngx_ivschat_rate_enter(ngx_ivschat_rate_conf_t *rcf,
    ngx_ivschat_place_t *place, ngx_str_t *arn, ngx_str_t *user);

/*
 * Asks for one call to AWS, as a first attempt or as a retry.  NGX_OK: go;
 * NGX_AGAIN: place->handler will be called, with granted 0 at the end of the
 * wait; NGX_DECLINED: all accounts are in use.  What is refused is logged.
 */

ngx_int_t ngx_ivschat_rate_take(ngx_ivschat_place_t *place,
    ngx_uint_t retry, ngx_msec_t wait);

/* The request needs no more calls; harmless if that is known. */

void ngx_ivschat_rate_leave(ngx_ivschat_place_t *place);

/*
 * The result of a call: AWS's answer, with success if it was a token, after
 * which the request needs no more calls; or that no call was made.
 */

void ngx_ivschat_rate_tell(ngx_ivschat_place_t *place,
    ngx_ivschat_call_e outcome, ngx_uint_t success);
void ngx_ivschat_rate_give_back(ngx_ivschat_place_t *place);

/* Seconds for the Retry-After header of a request that is refused. */

ngx_uint_t ngx_ivschat_rate_retry_after(ngx_ivschat_place_t *place);

/* The retry quota: NGX_DECLINED if it has nothing left for this retry. */

ngx_int_t ngx_ivschat_rate_retry(ngx_ivschat_place_t *place,
    ngx_ivschat_retry_e cls);


#endif /* _NGX_IVSCHAT_RATE_H_INCLUDED_ */
