
/*
 * The offset of this host's clock.
 */


#include "ngx_ivschat_skew.h"

#include <stddef.h>
#include <string.h>


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


int
ngx_ivschat_skew_code(const char *code)
{
    size_t  i;

    static const char *const  codes[] = {
        "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure",
        "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture",
        "AccessDeniedException", NULL
    };

    for (i = 0; codes[i]; i++) {
        if (strcmp(code, codes[i]) == 0) {
            return 1;
        }
    }

    return 0;
}
