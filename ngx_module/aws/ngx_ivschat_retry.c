
/*
 * When a call to AWS is repeated, and by what clock it is signed.
 */


#include "ngx_ivschat_retry.h"


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

    /* 18 digits do not overflow */

    if (value.len == 0 || value.len > 18
        || !ngx_ivschat_str_only(value, NGX_IVSCHAT_DIGITS))
    {
        return -1;
    }

    for (ms = 0, i = 0; i < value.len; i++) {
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

    cost = cls == NGX_IVSCHAT_RETRY_THROTTLING
           ? NGX_IVSCHAT_RETRY_COST_THROTTLED : NGX_IVSCHAT_RETRY_COST;

    if (cls == NGX_IVSCHAT_RETRY_NEVER || quota->left < cost) {
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


int64_t
ngx_ivschat_skew(int64_t was, int64_t date, int64_t sent, int64_t received)
{
    int64_t  skew;

    if (date < 0 || received < sent
        || received - sent > NGX_IVSCHAT_SKEW_FLIGHT)
    {
        return was;
    }

    skew = date - (sent + (received - sent) / 2);

    return skew >= -NGX_IVSCHAT_SKEW_MOST && skew <= NGX_IVSCHAT_SKEW_MOST
           ? 0 : skew;
}
