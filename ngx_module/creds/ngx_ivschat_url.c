
/*
 * URLs are parsed by libcurl, which is what connects to them.
 */


#include "ngx_ivschat_url.h"

#include <arpa/inet.h>
#include <string.h>

#include <curl/curl.h>


static int ngx_ivschat_url_host(const char *host);


int
ngx_ivschat_url(const char *url)
{
    int     flags;
    char   *scheme, *host, *fragment;
    CURLU  *u;

    flags = 0;
    scheme = NULL;
    host = NULL;
    fragment = NULL;
    u = curl_url();

    if (u != NULL
        && strlen(url) <= NGX_IVSCHAT_URL_MAX
        && curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER)
           == CURLUE_OK
        && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK
        && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(u, CURLUPART_FRAGMENT, &fragment, 0)
           == CURLUE_NO_FRAGMENT)
    {
        flags = strcmp(scheme, "https") == 0 ? NGX_IVSCHAT_URL_HTTPS
                : strcmp(scheme, "http") == 0 ? NGX_IVSCHAT_URL_HTTP : 0;

        if (flags) {
            flags |= ngx_ivschat_url_host(host);
        }
    }

    curl_free(scheme);
    curl_free(host);
    curl_free(fragment);
    curl_url_cleanup(u);

    return flags;
}


/* libcurl returns numeric addresses in canonical form. */

static int
ngx_ivschat_url_host(const char *host)
{
    size_t          i;
    struct in_addr  addr;

    static const char *const  ecs[] = {
        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"
    };

    for (i = 0; i < sizeof(ecs) / sizeof(ecs[0]); i++) {
        if (strcasecmp(host, ecs[i]) == 0) {
            return NGX_IVSCHAT_URL_ECS;
        }
    }

    return (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0
            || (inet_pton(AF_INET, host, &addr) == 1
                && ntohl(addr.s_addr) >> 24 == 127))
           ? NGX_IVSCHAT_URL_LOOPBACK : 0;
}
