
/*
 * The offset of this host's clock from AWS's.
 */


#include "ngx_ivschat_skew.h"


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

    if (skew >= -NGX_IVSCHAT_SKEW_MOST && skew <= NGX_IVSCHAT_SKEW_MOST) {
        return 0;
    }

    return skew;
}
