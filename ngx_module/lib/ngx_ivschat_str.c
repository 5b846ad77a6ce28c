
/*
 * Counted strings, UTF-8.
 */


#include "ngx_ivschat_str.h"


long
ngx_ivschat_utf8_length(ngx_ivschat_str_t s)
{
    long      length;
    size_t    n;
    uint32_t  cp;

    for (length = 0; s.len; length++) {
        n = ngx_ivschat_utf8_next((const unsigned char *) s.data, s.len, &cp);

        if (n == 0 || cp == 0) {
            return -1;
        }

        s.data += n;
        s.len -= n;
    }

    return length;
}


size_t
ngx_ivschat_utf8_next(const unsigned char *p, size_t len, uint32_t *cp)
{
    size_t    i, n;
    uint32_t  c, min;

    c = p[0];

    if (c < 0x80) {
        *cp = c;
        return 1;
    }

    if (c >= 0xc0 && c <= 0xdf) {
        n = 2;
        min = 0x80;
        c &= 0x1f;

    } else if (c >= 0xe0 && c <= 0xef) {
        n = 3;
        min = 0x800;
        c &= 0x0f;

    } else if (c >= 0xf0 && c <= 0xf7) {
        n = 4;
        min = 0x10000;
        c &= 0x07;

    } else {
        return 0;
    }

    if (len < n) {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        c = (c << 6) | (p[i] & 0x3f);
    }

    if (c < min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }

    *cp = c;

    return n;
}
