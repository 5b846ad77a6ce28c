
/*
 * The results of a request for a chat token, for clients and logs.
 */


#include "ngx_ivschat_result.h"
#include "ngx_ivschat_api.h"

#include <stdio.h>


#define ngx_ivschat_result_row(result, code, status, title, detail)           \
    [result] = { ngx_ivschat_string(code), status,                            \
                 ngx_ivschat_string(title), ngx_ivschat_string(detail) },


static const ngx_ivschat_result_info_t  ngx_ivschat_results[] = {
    NGX_IVSCHAT_RESULTS(ngx_ivschat_result_row)
};

_Static_assert(sizeof(ngx_ivschat_results)
               == NGX_IVSCHAT_NRESULTS * sizeof(ngx_ivschat_results[0]),
               "each result has a row");


const ngx_ivschat_result_info_t *
ngx_ivschat_result_info(ngx_ivschat_result_e result)
{
    if ((unsigned) result >= NGX_IVSCHAT_NRESULTS) {
        result = NGX_IVSCHAT_UNKNOWN;
    }

    return &ngx_ivschat_results[result];
}


size_t
ngx_ivschat_problem_json(ngx_ivschat_result_e result, unsigned retry_after,
    char *buf, size_t size)
{
    int                               n;
    char                              retry[sizeof(",\"retryAfter\":") + 10];
    const ngx_ivschat_result_info_t  *info;

    info = ngx_ivschat_result_info(result);

    if (info->detail.len == 0) {
        return 0;
    }

    retry[0] = '\0';

    if (retry_after != 0) {
        (void) snprintf(retry, sizeof(retry), ",\"retryAfter\":%u",
                        retry_after);
    }

    n = snprintf(buf, size,
                 "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,"
                 "\"code\":\"%s\",\"detail\":\"%s\"%s}",
                 info->title.data, info->status, info->code.data,
                 info->detail.data, retry);

    return n < 0 || (size_t) n >= size ? 0 : (size_t) n;
}
