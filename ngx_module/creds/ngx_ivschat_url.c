
/*
 * URLs are parsed by libcurl, which is what connects to them.
 */


#include "ngx_ivschat_url.h"

#include <arpa/inet.h>
#include <string.h>

#include <curl/curl.h>


static int ngx_ivschat_url_near(const char *host);


int
ngx_ivschat_url_check(const char *url, int keys)
{
    int     rc;
    char   *scheme, *host, *fragment;
    CURLU  *u;

    rc = 0;
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
        rc = strcmp(scheme, "https") == 0
             || (strcmp(scheme, "http") == 0
                 && (!keys || ngx_ivschat_url_near(host)));
    }

    curl_free(scheme);
    curl_free(host);
    curl_free(fragment);
    curl_url_cleanup(u);

    return rc;
}


/* libcurl returns numeric addresses in canonical form. */

static int
ngx_ivschat_url_near(const char *host)
{
    size_t          i;
    struct in_addr  addr;

    static const char *const  hosts[] = {
        "localhost", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
        "[::1]"
    };

    for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        if (strcasecmp(host, hosts[i]) == 0) {
            return 1;
        }
    }

    return inet_pton(AF_INET, host, &addr) == 1
           && ntohl(addr.s_addr) >> 24 == 127;
}
