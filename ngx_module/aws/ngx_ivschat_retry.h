
/*
 * When a call to AWS is repeated, how often, and by what clock it is signed.
 *
 * The rules: see ngx_ivschat_errors.h, whose ngx_ivschat_retry_class() decides
 * whether a call is repeated.  Time and random numbers are parameters.
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

/* seconds: an offset without correction, the longest flight of an answer */

#define NGX_IVSCHAT_SKEW_MOST            240
#define NGX_IVSCHAT_SKEW_FLIGHT          900


/*
 * Retries cost and successes pay back, so that attempts do not multiply while
 * AWS is failing.  One for each account and region, in shared memory under the
 * caller's lock.
 */

typedef struct {
    unsigned   left;
} ngx_ivschat_retry_quota_t;


/*
 * Returns the pause before retry i (0 is the first) in milliseconds: a random
 * part of min(base * 2^i, 20 s), uniform over all values of random.  hint is
 * the x-amz-retry-after of the answer in milliseconds, or -1: the pause is at
 * least as long, but at most 5 s longer than without it.
 */

unsigned ngx_ivschat_retry_delay(ngx_ivschat_retry_e cls, unsigned i,
    uint32_t random, int64_t hint);

/* The milliseconds of an x-amz-retry-after, or -1 if it is not a number. */

int64_t ngx_ivschat_retry_hint(ngx_ivschat_str_t value);

/* A full quota. */

void ngx_ivschat_retry_init(ngx_ivschat_retry_quota_t *quota);

/*
 * Takes and returns the cost of a retry.  Returns 0 if too little is left or
 * the class is NEVER: the call must not be repeated.
 */

unsigned ngx_ivschat_retry_take(ngx_ivschat_retry_quota_t *quota,
    ngx_ivschat_retry_e cls);

/* Pays back the cost of the last retry of a call that succeeded; 0: none. */

void ngx_ivschat_retry_success(ngx_ivschat_retry_quota_t *quota,
    unsigned cost);

/*
 * Returns the seconds to add to this host's clock to get AWS's: 0 if it is
 * right, "was" if the answer cannot tell.  date is the answer's Date, or -1 if
 * there is none or the answer has an Age.  All times are seconds since the
 * epoch, sent and received by this host's clock.
 *
 * The rule is that of AWS's SDKs of 2026: the Date is compared with the middle
 * between sending and receiving, unless they are more than 15 minutes apart.
 * AWS refuses a time that is off by more than five minutes, so that an offset
 * of more than four minutes is corrected.
 */

int64_t ngx_ivschat_skew(int64_t was, int64_t date, int64_t sent,
    int64_t received);


#endif /* _NGX_IVSCHAT_RETRY_H_INCLUDED_ */
