
/*
 * Whether, and when, a call to AWS is made again.
 *
 * The rules: the "standard" retry mode of AWS's SDKs in its form of 2026
 * ("Retry behavior", AWS SDKs and Tools Reference Guide), as botocore and
 * @smithy/core have it.  In one thing those two differ: that an HTTP 429 with
 * any code is throttling is as in @smithy/core.
 *
 * Nothing here allocates, reads a clock, knows randomness or nginx.
 */


#ifndef _NGX_IVSCHAT_RETRY_H_INCLUDED_
#define _NGX_IVSCHAT_RETRY_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


#define NGX_IVSCHAT_RETRY_QUOTA          500
#define NGX_IVSCHAT_RETRY_COST           14
#define NGX_IVSCHAT_RETRY_COST_THROTTLED 5

/* Milliseconds. */

#define NGX_IVSCHAT_RETRY_BASE           50
#define NGX_IVSCHAT_RETRY_BASE_THROTTLED 1000
#define NGX_IVSCHAT_RETRY_DELAY_MAX      20000
#define NGX_IVSCHAT_RETRY_HINT_MAX       5000   /* beyond our own delay */


typedef enum {
    NGX_IVSCHAT_RETRY_NEVER = 0,
    NGX_IVSCHAT_RETRY_TRANSIENT,
    NGX_IVSCHAT_RETRY_THROTTLING
} ngx_ivschat_retry_e;


/*
 * Retries cost, successes pay back: while AWS fails for everybody, attempts
 * stop to multiply.  One for an account and region, in shared memory under
 * the caller's lock.
 */

typedef struct {
    unsigned   left;
} ngx_ivschat_retry_quota_t;


/*
 * What a failed attempt is, by HTTP status and AWS's error code (empty if
 * there was none; never NULL).  Status 0: no answer came, for a connection
 * that failed or a timeout, which is transient.
 */

ngx_ivschat_retry_e ngx_ivschat_retry_class(unsigned status,
    const char *code);

/*
 * The pause before retry i (0 is the first) in milliseconds: a random part
 * (uniform over all values of random) of min(base * 2^i, 20 s).  hint is the
 * x-amz-retry-after of the answer in milliseconds, -1 if there was none; the
 * pause is not shorter than it, by at most 5 s beyond what it would be, and
 * never shorter than it would be.
 */

unsigned ngx_ivschat_retry_delay(ngx_ivschat_retry_e cls, unsigned i,
    uint32_t random, int64_t hint);

/* The value of x-amz-retry-after: digits, milliseconds; -1 if it is not. */

int64_t ngx_ivschat_retry_hint(ngx_ivschat_str_t value);

/* A full quota. */

void ngx_ivschat_retry_init(ngx_ivschat_retry_quota_t *quota);

/*
 * Takes what a retry costs and returns it; 0 if too little is left, or the
 * class is NEVER, and the call must not be made again.
 */

unsigned ngx_ivschat_retry_take(ngx_ivschat_retry_quota_t *quota,
    ngx_ivschat_retry_e cls);

/*
 * A call succeeded.  cost is what its last retry took, 0 if it had none (it
 * pays 1 then).
 */

void ngx_ivschat_retry_success(ngx_ivschat_retry_quota_t *quota,
    unsigned cost);


#endif /* _NGX_IVSCHAT_RETRY_H_INCLUDED_ */
