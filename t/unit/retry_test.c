
/*
 * AWS's standard retry: which errors, which pauses, the quota.
 */


#include "aws/ngx_ivschat_retry.h"

#include "tap.h"


#define size(a)  (sizeof(a) / sizeof((a)[0]))


typedef struct {
    unsigned              status;
    const char           *code;
    ngx_ivschat_retry_e   cls;
} class_case_t;

typedef struct {
    ngx_ivschat_retry_e   cls;
    unsigned              i;
    unsigned              most;        /* milliseconds */
} delay_case_t;

typedef struct {
    const char           *value;
    long long             ms;
} hint_case_t;


static const class_case_t  classes[] = {
    { 0, "", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 200, "", NGX_IVSCHAT_RETRY_NEVER },
    { 302, "", NGX_IVSCHAT_RETRY_NEVER },
    { 400, "ValidationException", NGX_IVSCHAT_RETRY_NEVER },
    { 400, "ThrottlingException", NGX_IVSCHAT_RETRY_THROTTLING },
    { 400, "RequestTimeout", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 400, "RequestTimeoutException", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 400, "ExpiredTokenException", NGX_IVSCHAT_RETRY_NEVER },
    { 403, "AccessDeniedException", NGX_IVSCHAT_RETRY_NEVER },
    { 403, "InvalidSignatureException", NGX_IVSCHAT_RETRY_NEVER },
    { 403, "RequestThrottled", NGX_IVSCHAT_RETRY_THROTTLING },
    { 404, "ResourceNotFoundException", NGX_IVSCHAT_RETRY_NEVER },
    { 408, "", NGX_IVSCHAT_RETRY_NEVER },
    { 429, "", NGX_IVSCHAT_RETRY_THROTTLING },
    { 429, "SomethingElse", NGX_IVSCHAT_RETRY_THROTTLING },
    { 429, "TooManyRequestsException", NGX_IVSCHAT_RETRY_THROTTLING },
    { 500, "InternalServerException", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 501, "", NGX_IVSCHAT_RETRY_NEVER },
    { 502, "", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 503, "", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 503, "SlowDown", NGX_IVSCHAT_RETRY_THROTTLING },
    { 504, "", NGX_IVSCHAT_RETRY_TRANSIENT },
    { 505, "", NGX_IVSCHAT_RETRY_NEVER }
};


static const delay_case_t  delays[] = {
    { NGX_IVSCHAT_RETRY_TRANSIENT, 0, 50 },
    { NGX_IVSCHAT_RETRY_TRANSIENT, 1, 100 },
    { NGX_IVSCHAT_RETRY_TRANSIENT, 8, 12800 },
    { NGX_IVSCHAT_RETRY_TRANSIENT, 9, 20000 },
    { NGX_IVSCHAT_RETRY_THROTTLING, 0, 1000 },
    { NGX_IVSCHAT_RETRY_THROTTLING, 4, 16000 },
    { NGX_IVSCHAT_RETRY_THROTTLING, 5, 20000 },
    { NGX_IVSCHAT_RETRY_THROTTLING, 4000000000u, 20000 }
};


static const hint_case_t  hints[] = {
    { "0", 0 },
    { "1500", 1500 },
    { "999999999999999999", 999999999999999999 },
    { "", -1 },
    { "-1", -1 },
    { "1.5", -1 },
    { " 1", -1 },
    { "1s", -1 },
    { "Wed, 21 Oct 2026 07:28:00 GMT", -1 },
    { "1000000000000000000", -1 }
};


static void test_class(void);
static void test_delay(void);
static void test_hint(void);
static void test_quota(void);


int
main(void)
{
    test_class();
    test_delay();
    test_hint();
    test_quota();

    return done_testing();
}


static void
test_class(void)
{
    size_t  i;

    for (i = 0; i < size(classes); i++) {
        is_int(ngx_ivschat_retry_class(classes[i].status, classes[i].code),
               classes[i].cls, "class of %u %s", classes[i].status,
               classes[i].code);
    }
}


static void
test_delay(void)
{
    size_t               i;
    const delay_case_t  *d;

    for (i = 0; i < size(delays); i++) {
        d = &delays[i];

        is_int(ngx_ivschat_retry_delay(d->cls, d->i, 0, -1), 0,
               "retry %u, class %d: from nothing", d->i, d->cls);
        is_int(ngx_ivschat_retry_delay(d->cls, d->i, UINT32_MAX, -1), d->most,
               "to %u ms", d->most);
        is_int(ngx_ivschat_retry_delay(d->cls, d->i, UINT32_C(1) << 31, -1),
               (d->most + 1) / 2, "evenly");
    }
}


static void
test_hint(void)
{
    size_t             i;
    ngx_ivschat_str_t  s;

    for (i = 0; i < size(hints); i++) {
        s.data = hints[i].value;
        s.len = strlen(s.data);

        is_int(ngx_ivschat_retry_hint(s), hints[i].ms, "hint \"%s\"", s.data);
    }

    is_int(ngx_ivschat_retry_delay(NGX_IVSCHAT_RETRY_TRANSIENT, 0, UINT32_MAX,
                                   20),
           50, "a hint below the delay");
    is_int(ngx_ivschat_retry_delay(NGX_IVSCHAT_RETRY_TRANSIENT, 0, UINT32_MAX,
                                   1500),
           1500, "a hint");
    is_int(ngx_ivschat_retry_delay(NGX_IVSCHAT_RETRY_TRANSIENT, 0, UINT32_MAX,
                                   999999999999999999),
           5050, "a hint that is too long");
}


static void
test_quota(void)
{
    unsigned                   n;
    ngx_ivschat_retry_quota_t  quota;

    ngx_ivschat_retry_init(&quota);

    is_int(ngx_ivschat_retry_take(&quota, NGX_IVSCHAT_RETRY_NEVER), 0,
           "never: no retry");
    is_int(quota.left, 500, "and no cost");

    is_int(ngx_ivschat_retry_take(&quota, NGX_IVSCHAT_RETRY_TRANSIENT), 14,
           "a transient error costs 14");
    is_int(ngx_ivschat_retry_take(&quota, NGX_IVSCHAT_RETRY_THROTTLING), 5,
           "throttling 5");
    is_int(quota.left, 481, "that is taken");

    ngx_ivschat_retry_success(&quota, 14);
    is_int(quota.left, 495, "a success after a retry pays it back");
    ngx_ivschat_retry_success(&quota, 0);
    is_int(quota.left, 496, "one without pays 1");
    ngx_ivschat_retry_success(&quota, 5);
    is_int(quota.left, 500, "up to the quota");

    for (n = 0; ngx_ivschat_retry_take(&quota, NGX_IVSCHAT_RETRY_TRANSIENT);
         n++)
    {
        /* void */
    }

    is_int(n, 35, "35 transient retries in a row");
    is_int(quota.left, 10, "leave 10");
    is_int(ngx_ivschat_retry_take(&quota, NGX_IVSCHAT_RETRY_THROTTLING), 5,
           "enough for throttling");
}
