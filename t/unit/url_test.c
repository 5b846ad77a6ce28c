
/*
 * The URLs of the environment.
 */


#include "tap.h"

#include "creds/ngx_ivschat_url.h"


#define LONGEST   "http://localhost/"


static void
lengths(void)
{
    char  url[NGX_IVSCHAT_URL_MAX + 2];

    memset(url, 'a', sizeof(url));
    memcpy(url, LONGEST, sizeof(LONGEST) - 1);

    url[NGX_IVSCHAT_URL_MAX] = '\0';
    is_int(ngx_ivschat_url(url), NGX_IVSCHAT_URL_HTTP
                                 |NGX_IVSCHAT_URL_LOOPBACK,
           "the longest URL");

    url[NGX_IVSCHAT_URL_MAX] = 'a';
    url[NGX_IVSCHAT_URL_MAX + 1] = '\0';
    ok(!ngx_ivschat_url(url), "a byte more is too much");
}


int
main(void)
{
    int     flags;
    size_t  i;

    static const struct {
        const char   *url;
        int           valid;
        int           keys;            /* asked of valid ones only */
    } cases[] = {
        { "https://example.com/creds", 1, 1 },
        { "HTTPS://example.com", 1, 1 },
        { "https://[fd00::1]:443/x?y=z", 1, 1 },
        { "http://localhost", 1, 1 },
        { "http://LocalHost:8080/x", 1, 1 },
        { "HTTP://localhost?x", 1, 1 },
        { "http://127.0.0.1:51679/x", 1, 1 },
        { "http://127.255.3.4", 1, 1 },
        { "http://169.254.170.2/v2/x", 1, 1 },
        { "http://169.254.170.23/v1/x", 1, 1 },
        { "http://[fd00:ec2::23]/v1/x", 1, 1 },
        { "http://[FD00:EC2::23]:80/v1/x", 1, 1 },
        { "http://[::1]:1/x", 1, 1 },
        { "http://[0:0::1]/x", 1, 1 },

        /* where libcurl connects to */

        { "http://127.1/x", 1, 1 },
        { "http://2130706433/x", 1, 1 },
        { "http://0x7f.1/x", 1, 1 },
        { "http:/localhost/", 1, 1 },
        { "http:/example.com/", 1, 0 },
        { "http:///example.com/", 1, 0 },
        { "http://localhost/\xc3\xa4", 1, 1 },

        { "http://169.254.169.254/x", 1, 0 },
        { "http://169.254.170.22/x", 1, 0 },
        { "http://169.254.170.2.example.com/x", 1, 0 },
        { "http://localhost.example.com/x", 1, 0 },
        { "http://localhosts/x", 1, 0 },
        { "http://local/x", 1, 0 },
        { "http://128.0.0.1/x", 1, 0 },
        { "http://127.0.0.1.example.com/x", 1, 0 },
        { "http://[::2]/x", 1, 0 },
        { "http://10.0.0.1/x", 1, 0 },
        { "http://example.com/localhost", 1, 0 },

        { "", 0, 0 },
        { "localhost", 0, 0 },
        { "ftp://localhost/", 0, 0 },
        { "file:///etc/passwd", 0, 0 },
        { "http://", 0, 0 },
        { "https://", 0, 0 },
        { "http://:80/x", 0, 0 },
        { "http://?x", 0, 0 },
        { "http://user@localhost/", 0, 0 },
        { "http://localhost@example.com/", 0, 0 },
        { "http://localhost#@example.com/", 0, 0 },
        { "http://localhost\\@example.com/", 0, 0 },
        { "http://localhost/a b", 0, 0 },
        { "http://localhost/\r\nX: y", 0, 0 },
        { "http://localhost/\x7f", 0, 0 },
        { "http://localhost/#x", 0, 0 },
        { "http://[::1]example.com/x", 0, 0 },
        { "http://[::1/x", 0, 0 },
        { "http:///", 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        flags = ngx_ivschat_url(cases[i].url);

        is_int(flags != 0, cases[i].valid, cases[i].url);

        if (cases[i].valid) {
            is_int((flags & NGX_IVSCHAT_URL_SAFE) != 0, cases[i].keys,
                   cases[i].url);
        }
    }

    is_int(ngx_ivschat_url("http://127.1/x"),
           NGX_IVSCHAT_URL_HTTP|NGX_IVSCHAT_URL_LOOPBACK, "loopback");
    is_int(ngx_ivschat_url("https://[::1]/x"),
           NGX_IVSCHAT_URL_HTTPS|NGX_IVSCHAT_URL_LOOPBACK, "loopback, IPv6");
    is_int(ngx_ivschat_url("http://169.254.170.2/x"),
           NGX_IVSCHAT_URL_HTTP|NGX_IVSCHAT_URL_ECS, "ECS");
    is_int(ngx_ivschat_url("https://example.com/"), NGX_IVSCHAT_URL_HTTPS,
           "another host");

    lengths();

    return done_testing();
}
