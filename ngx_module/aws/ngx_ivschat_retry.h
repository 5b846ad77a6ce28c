
/*
 * When a call to AWS is made again, and how often.
 *
 * The rules: as in ngx_ivschat_errors.h, whose ngx_ivschat_retry_class() says
 * whether a call is made again.
 *
 * No function allocates, reads a clock or makes random numbers.
 */


#ifndef _NGX_IVSCHAT_RETRY_H_INCLUDED_
#define _NGX_IVSCHAT_RETRY_H_INCLUDED_


#include "ngx_ivschat_errors.h"


#define NGX_IVSCHAT_RETRY_QUOTA          500
#define NGX_IVSCHAT_RETRY_COST           14
#define NGX_IVSCHAT_RETRY_COST_THROTTLED 5

/* milliseconds */

#define NGX_IVSCHAT_RETRY_BASE           50
#define NGX_IVSCHAT_RETRY_BASE_THROTTLED 1000
#define NGX_IVSCHAT_RETRY_DELAY_MAX      20000
#define NGX_IVSCHAT_RETRY_HINT_MAX       5000   /* beyond our own delay */


/*
 * Retries cost and successes pay back, so that attempts do not multiply while
 * AWS fails for everybody.  One for each account and region, in shared memory
 * under the caller's lock.
 */

typedef struct {
    unsigned   left;
} ngx_ivschat_retry_quota_t;


/*
 * The pause before retry i (0 is the first) in milliseconds: a random part
 * (uniform over all values of random) of min(base * 2^i, 20 s).  hint is the
 * x-amz-retry-after of the answer in milliseconds, -1 if there was none: the
 * pause is at least as long, but at most 5 s longer than it would be without.
 */

unsigned ngx_ivschat_retry_delay(ngx_ivschat_retry_e cls, unsigned i,
    uint32_t random, int64_t hint);

/* The milliseconds of an x-amz-retry-after; -1 if it is not just digits. */

int64_t ngx_ivschat_retry_hint(ngx_ivschat_str_t value);

/* A full quota. */

void ngx_ivschat_retry_init(ngx_ivschat_retry_quota_t *quota);

/*
 * Takes and returns the cost of a retry.  0 if too little is left or the class
 * is NEVER: the call must not be made again.
 */

unsigned ngx_ivschat_retry_take(ngx_ivschat_retry_quota_t *quota,
    ngx_ivschat_retry_e cls);

/*
 * A call succeeded: gives back the cost of its last retry, or 1 if cost is 0
 * as there was no retry.
 */

void ngx_ivschat_retry_success(ngx_ivschat_retry_quota_t *quota,
    unsigned cost);


#endif /* _NGX_IVSCHAT_RETRY_H_INCLUDED_ */
