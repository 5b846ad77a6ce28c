
/*
 * Whether, and when, a call to AWS is made again.
 */


#include "ngx_ivschat_retry.h"

#include "ngx_ivschat_result.h"


static int ngx_ivschat_retry_is_transient(unsigned status, const char *code);
static unsigned ngx_ivschat_retry_cost(ngx_ivschat_retry_e cls);


ngx_ivschat_retry_e
ngx_ivschat_retry_class(unsigned status, const char *code)
{
    if (status == 0) {
        return NGX_IVSCHAT_RETRY_TRANSIENT;
    }

    if (status < 400) {
        return NGX_IVSCHAT_RETRY_NEVER;
    }

    /* A throttling code counts with any status: 503 SlowDown. */

    if (ngx_ivschat_result_of_aws(status, code) == NGX_IVSCHAT_THROTTLED) {
        return NGX_IVSCHAT_RETRY_THROTTLING;
    }

    return ngx_ivschat_retry_is_transient(status, code)
           ? NGX_IVSCHAT_RETRY_TRANSIENT : NGX_IVSCHAT_RETRY_NEVER;
}


unsigned
ngx_ivschat_retry_delay(ngx_ivschat_retry_e cls, unsigned i, uint32_t random,
    int64_t hint)
{
    unsigned  delay, most;

    most = cls == NGX_IVSCHAT_RETRY_THROTTLING
           ? NGX_IVSCHAT_RETRY_BASE_THROTTLED : NGX_IVSCHAT_RETRY_BASE;

    while (i-- > 0 && most < NGX_IVSCHAT_RETRY_DELAY_MAX) {
        most *= 2;
    }

    if (most > NGX_IVSCHAT_RETRY_DELAY_MAX) {
        most = NGX_IVSCHAT_RETRY_DELAY_MAX;
    }

    delay = (unsigned) ((uint64_t) random * (most + 1) >> 32);

    if (hint <= delay) {
        return delay;
    }

    most = delay + NGX_IVSCHAT_RETRY_HINT_MAX;

    return hint < most ? (unsigned) hint : most;
}


int64_t
ngx_ivschat_retry_hint(ngx_ivschat_str_t value)
{
    size_t   i;
    int64_t  ms;

    /* 18 digits do not overflow. */

    if (value.len == 0 || value.len > 18) {
        return -1;
    }

    ms = 0;

    for (i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return -1;
        }

        ms = ms * 10 + (value.data[i] - '0');
    }

    return ms;
}


void
ngx_ivschat_retry_init(ngx_ivschat_retry_quota_t *quota)
{
    quota->left = NGX_IVSCHAT_RETRY_QUOTA;
}


unsigned
ngx_ivschat_retry_take(ngx_ivschat_retry_quota_t *quota,
    ngx_ivschat_retry_e cls)
{
    unsigned  cost;

    cost = ngx_ivschat_retry_cost(cls);

    if (quota->left < cost) {
        return 0;
    }

    quota->left -= cost;

    return cost;
}


void
ngx_ivschat_retry_success(ngx_ivschat_retry_quota_t *quota, unsigned cost)
{
    quota->left += cost ? cost : 1;

    if (quota->left > NGX_IVSCHAT_RETRY_QUOTA) {
        quota->left = NGX_IVSCHAT_RETRY_QUOTA;
    }
}


static int
ngx_ivschat_retry_is_transient(unsigned status, const char *code)
{
    return status == 500 || status == 502 || status == 503 || status == 504
           || strcmp(code, "RequestTimeout") == 0
           || strcmp(code, "RequestTimeoutException") == 0
           || strcmp(code, "TimeoutError") == 0;
}


static unsigned
ngx_ivschat_retry_cost(ngx_ivschat_retry_e cls)
{
    switch (cls) {

    case NGX_IVSCHAT_RETRY_TRANSIENT:
        return NGX_IVSCHAT_RETRY_COST;

    case NGX_IVSCHAT_RETRY_THROTTLING:
        return NGX_IVSCHAT_RETRY_COST_THROTTLED;

    default:
        return 0;
    }
}
