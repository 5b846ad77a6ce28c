
/*
 * The URLs of sources of credentials: a host that may see secrets over http is
 * one that a plain reading of the text and libc take for such a host, too.
 */


#include "creds/ngx_ivschat_url.h"

#include "fuzz.h"

#include <arpa/inet.h>

#include <curl/curl.h>


#define NEAR   (NGX_IVSCHAT_URL_LOOPBACK|NGX_IVSCHAT_URL_ECS)


/* The host between the slashes and the port, percent-decoded. */

static void
host_of(const char *url, char *host)
{
    char      *p;
    size_t     len;
    unsigned   byte;

    url = strchr(url, ':') + 1;
    url += strspn(url, "/");
    len = *url == '[' ? strcspn(url, "]%") : strcspn(url, ":/?#");

    memcpy(host, url, len);
    host[len] = '\0';

    for (p = host; *p; p++) {
        if (*p == '%' && isxdigit(p[1]) && isxdigit(p[2])
            && sscanf(p, "%%%2x", &byte) == 1)
        {
            *p = (char) byte;
            memmove(p + 1, p + 3, strlen(p + 3) + 1);
        }
    }
}


static int
flags_of(const char *host)
{
    size_t           i;
    uint32_t         v4;
    struct in_addr   addr;
    struct in6_addr  addr6;

    if (*host == '[') {

        if (inet_pton(AF_INET6, host + 1, &addr6) != 1) {
            return 0;
        }

        for (i = 0; i < 15 && addr6.s6_addr[i] == 0; i++) { /* void */ }

        return i == 15 && addr6.s6_addr[15] == 1 ? NGX_IVSCHAT_URL_LOOPBACK
               : memcmp(&addr6, "\xfd\0\x0e\xc2\0\0\0\0\0\0\0\0\0\0\0\x23", 16)
                 == 0 ? NGX_IVSCHAT_URL_ECS : 0;
    }

    if (inet_aton(host, &addr) != 1) {
        return strcasecmp(host, "localhost") == 0 ? NGX_IVSCHAT_URL_LOOPBACK
                                                  : 0;
    }

    v4 = ntohl(addr.s_addr);

    return v4 >> 24 == 127 ? NGX_IVSCHAT_URL_LOOPBACK
           : v4 == 0xa9feaa02 || v4 == 0xa9feaa17 ? NGX_IVSCHAT_URL_ECS : 0;
}


/* The form that libcurl makes of the URL is at least as good. */

static void
check_normal(const char *url, int flags)
{
    char   *normal;
    CURLU  *u;

    u = curl_url();
    must(u != NULL);
    must(curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK);
    must(curl_url_get(u, CURLUPART_URL, &normal, 0) == CURLUE_OK);
    must(strlen(normal) > NGX_IVSCHAT_URL_MAX
         || (ngx_ivschat_url(normal) & flags) == flags);

    curl_free(normal);
    curl_url_cleanup(u);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    int                 flags;
    char               *url, host[NGX_IVSCHAT_URL_MAX + 1];
    const char         *p;
    ngx_ivschat_str_t   s;

    s.data = (const char *) data;
    s.len = len;
    url = fuzz_text(s);
    flags = ngx_ivschat_url(url);

    if (flags) {
        fuzz_accepted++;

        must(strlen(url) <= NGX_IVSCHAT_URL_MAX);
        must(strncasecmp(url, flags & NGX_IVSCHAT_URL_HTTPS ? "https:"
                                                            : "http:",
                         flags & NGX_IVSCHAT_URL_HTTPS ? 6 : 5) == 0);

        for (p = url; *p; p++) {
            must(!iscntrl((unsigned char) *p) && *p != ' ');
        }

        /* libcurl decodes a host, but does not make an address of it then */

        host_of(url, host);
        must((flags & NEAR) == flags_of(host)
             || (strchr(url, '%') != NULL && (flags & NEAR) == 0));

        if (flags & NEAR) {
            check_normal(url, flags);
        }
    }

    free(url);

    return 0;
}
