
/*
 * The accounts in the shared zone: for each AWS account and region a bucket,
 * a retry quota, and what each worker has there.
 *
 * The caller holds the mutex of the zone, except for _size() and _create().
 */


#ifndef _NGX_IVSCHAT_ACCOUNTS_H_INCLUDED_
#define _NGX_IVSCHAT_ACCOUNTS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "../aws/ngx_ivschat_bucket.h"
#include "../aws/ngx_ivschat_retry.h"
#include "../aws/ngx_ivschat_sigv4.h"


/* digits, "/", and the region of a room's ARN */

#define NGX_IVSCHAT_ACCOUNT_MAX   (32 + 1 + NGX_IVSCHAT_SIGV4_REGION_MAX)


typedef struct ngx_ivschat_tally_s  ngx_ivschat_tally_t;


/* The requests of one process that have an account. */

struct ngx_ivschat_tally_s {
    ngx_ivschat_tally_t         *next;
    ngx_pid_t                    pid;
    uint32_t                     held;
    uint32_t                     waiting[2]; /* by ngx_ivschat_turn_e */
};


typedef struct {
    u_char                       data[NGX_IVSCHAT_ACCOUNT_MAX];
    size_t                       len;        /* 0: not an ARN */
    uint32_t                     hash;
} ngx_ivschat_account_name_t;


typedef struct {
    ngx_ivschat_account_name_t   name;       /* len 0: unused */
    ngx_msec_t                   used;       /* last */
    uint32_t                     held;       /* by requests */
    unsigned                     configured:1;   /* a literal room is of it */
    unsigned                     minted:1;   /* it has given a token */
    ngx_ivschat_tally_t         *tallies;
    ngx_ivschat_bucket_t         bucket;
    ngx_ivschat_retry_quota_t    quota;
} ngx_ivschat_account_t;


typedef struct {
    ngx_uint_t                   n;
    ngx_uint_t                   limit;      /* of buckets */
    ngx_uint_t                   burst;
    ngx_msec_t                   wait;
    ngx_ivschat_tally_t         *free;
    ngx_ivschat_account_t       *accounts;
    uint32_t                     hashes[1];  /* n of them */
} ngx_ivschat_accounts_t;


/*
 * How many accounts there are for "literal" pairs of account and region of
 * literal rooms, and the memory that n accounts take.
 */

ngx_uint_t ngx_ivschat_accounts_number(ngx_uint_t literal);
size_t ngx_ivschat_accounts_size(ngx_uint_t n);

/* NULL if the zone is too small. */

ngx_ivschat_accounts_t *ngx_ivschat_accounts_create(ngx_slab_pool_t *shpool,
    ngx_uint_t n);

/* The account of a room, "123456789012/us-west-2"; len is 0 without one. */

void ngx_ivschat_account_name(ngx_str_t *arn,
    ngx_ivschat_account_name_t *name);

/*
 * The account with this name, which is made if there is room for it or another
 * one can make room.  Half of the accounts are for configured ones.  An account
 * that a request holds is never replaced, and one that has given tokens only
 * after all others.
 */

ngx_ivschat_account_t *ngx_ivschat_account_find(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_name_t *name, ngx_uint_t configured);

/*
 * A request holds an account until it releases it.  *tally is NULL if all are
 * in use; then the request is not counted for its process.
 */

void ngx_ivschat_account_hold(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_t *account, ngx_ivschat_tally_t **tally);
void ngx_ivschat_account_release(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_t *account, ngx_ivschat_tally_t *tally);

/* Gives up what processes held that have ended; "self" is a new process. */

void ngx_ivschat_account_bury(ngx_ivschat_accounts_t *table,
    ngx_ivschat_account_t *account, ngx_pid_t self);


#endif /* _NGX_IVSCHAT_ACCOUNTS_H_INCLUDED_ */
