
/*
 * Strings with a length, UTF-8, and a writer into a buffer.
 */


#include "ngx_ivschat_str.h"

#include <stdarg.h>
#include <stdio.h>


static int ngx_ivschat_str_has(const char *set, char c);


ngx_ivschat_str_t
ngx_ivschat_str(const char *text)
{
    ngx_ivschat_str_t  s;

    s.data = text;
    s.len = strlen(text);

    return s;
}


int
ngx_ivschat_str_equal(ngx_ivschat_str_t a, ngx_ivschat_str_t b)
{
    return a.len == b.len
           && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


int
ngx_ivschat_str_is(ngx_ivschat_str_t s, const char *text)
{
    return ngx_ivschat_str_equal(s, ngx_ivschat_str(text));
}


int
ngx_ivschat_str_skip(ngx_ivschat_str_t *s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (s->len < len || memcmp(s->data, prefix, len) != 0) {
        return 0;
    }

    s->data += len;
    s->len -= len;

    return 1;
}


ngx_ivschat_str_t
ngx_ivschat_str_cut(ngx_ivschat_str_t *s, char c)
{
    const char         *p;
    ngx_ivschat_str_t   part;

    part = *s;
    p = s->len ? memchr(s->data, c, s->len) : NULL;

    if (p == NULL) {
        s->len = 0;
        return part;
    }

    part.len = (size_t) (p - s->data);
    s->data = p + 1;
    s->len -= part.len + 1;

    return part;
}


ngx_ivschat_str_t
ngx_ivschat_str_trim(ngx_ivschat_str_t s, const char *blanks)
{
    while (s.len != 0 && ngx_ivschat_str_has(blanks, s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && ngx_ivschat_str_has(blanks, s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


int
ngx_ivschat_str_only(ngx_ivschat_str_t s, const char *set)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (!ngx_ivschat_str_has(set, s.data[i])) {
            return 0;
        }
    }

    return 1;
}


int
ngx_ivschat_str_line(ngx_ivschat_str_t s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if ((unsigned char) s.data[i] < ' ' || s.data[i] == 0x7f) {
            return 0;
        }
    }

    return 1;
}


size_t
ngx_ivschat_str_copy(char *dst, ngx_ivschat_str_t s)
{
    if (s.len != 0) {
        memcpy(dst, s.data, s.len);
    }

    dst[s.len] = '\0';

    return s.len;
}


void
ngx_ivschat_str_printable(char *dst, size_t size, ngx_ivschat_str_t s)
{
    size_t       n, len;
    uint32_t     cp;
    const char  *p;

    for ( /* void */ ; s.len != 0; s.data += n, s.len -= n) {
        n = ngx_ivschat_utf8_next((const unsigned char *) s.data, s.len, &cp);

        p = s.data;
        len = n;

        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            p = n == 0 ? "?" : " ";
            n = n == 0 ? 1 : n;
            len = 1;
        }

        if (len >= size) {
            break;
        }

        memcpy(dst, p, len);
        dst += len;
        size -= len;
    }

    *dst = '\0';
}


int
ngx_ivschat_fail(char *reason, size_t size, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    (void) vsnprintf(reason, size, fmt, args);
    va_end(args);

    return -1;
}


void
ngx_ivschat_out_write(ngx_ivschat_out_t *out, const void *data, size_t len)
{
    if (len != 0 && out->len <= out->size && len <= out->size - out->len) {
        memcpy(out->data + out->len, data, len);
    }

    out->len += len;
}


void
ngx_ivschat_out_str(ngx_ivschat_out_t *out, ngx_ivschat_str_t s)
{
    ngx_ivschat_out_write(out, s.data, s.len);
}


void
ngx_ivschat_out_text(ngx_ivschat_out_t *out, const char *text)
{
    ngx_ivschat_out_write(out, text, strlen(text));
}


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
    uint32_t  c;

    /* the smallest code point of each length */

    static const uint32_t  least[] = { 0, 0, 0x80, 0x800, 0x10000 };

    c = p[0];

    if (c < 0x80) {
        *cp = c;
        return 1;
    }

    n = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (c < 0xc0 || c > 0xf7 || len < n) {
        return 0;
    }

    c &= 0x7f >> n;

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        c = (c << 6) | (p[i] & 0x3f);
    }

    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }

    *cp = c;

    return n;
}


/* The terminating NUL is not part of the set. */

static int
ngx_ivschat_str_has(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}
