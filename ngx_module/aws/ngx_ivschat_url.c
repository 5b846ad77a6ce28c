
/*
 * The URLs that the environment gives for sources of credentials.
 */


#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "ngx_ivschat_url.h"


int
ngx_ivschat_url_valid(const char *url)
{
    const char  *p, *host;

    if (strncasecmp(url, "http://", 7) == 0) {
        host = url + 7;

    } else if (strncasecmp(url, "https://", 8) == 0) {
        host = url + 8;

    } else {
        return 0;
    }

    if (*host == '\0' || strchr("/:?", *host)
        || strlen(url) > NGX_IVSCHAT_URL_MAX)
    {
        return 0;
    }

    for (p = host; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f || strchr("@#\\", *p)) {
            return 0;
        }
    }

    return 1;
}


int
ngx_ivschat_url_may_carry_keys(const char *url)
{
    char            host[NGX_IVSCHAT_URL_MAX + 1];
    size_t          len, i;
    const char     *p;
    struct in_addr  addr;

    static const char *const  hosts[] = {
        "localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
        "[::1]"
    };

    if (strncasecmp(url, "https://", 8) == 0) {
        return 1;
    }

    p = url + 7;
    len = strcspn(p, (*p == '[') ? "]/?" : ":/?");

    if (p[len] == ']') {
        len++;
    }

    if (p[len] != '\0' && strchr(":/?", p[len]) == NULL) {
        return 0;
    }

    memcpy(host, p, len);
    host[len] = '\0';

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (strcasecmp(host, hosts[i]) == 0) {
            return 1;
        }
    }

    return inet_pton(AF_INET, host, &addr) == 1
           && (ntohl(addr.s_addr) >> 24) == 127;
}
