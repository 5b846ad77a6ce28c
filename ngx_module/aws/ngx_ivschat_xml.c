
/*
 * The XML of AWS's query protocol.
 */


#include "ngx_ivschat_xml.h"
#include "ngx_ivschat_api.h"


typedef struct {
    const char           *pos;
    const char           *end;
    size_t                depth;
    ngx_ivschat_str_t     names[NGX_IVSCHAT_XML_DEPTH];   /* that are open */
    const char           *text;          /* of the last of them; NULL: it has
                                            others in it */
    ngx_ivschat_xml_pt    leaf;
    void                 *data;
} ngx_ivschat_xml_t;


static const char *ngx_ivschat_xml_declaration(ngx_ivschat_xml_t *xml);
static const char *ngx_ivschat_xml_tag(ngx_ivschat_xml_t *xml);
static const char *ngx_ivschat_xml_open(ngx_ivschat_xml_t *xml);
static const char *ngx_ivschat_xml_close(ngx_ivschat_xml_t *xml);
static const char *ngx_ivschat_xml_leaf(ngx_ivschat_xml_t *xml,
    ngx_ivschat_str_t text);
static int ngx_ivschat_xml_name(ngx_ivschat_xml_t *xml,
    ngx_ivschat_str_t *name);
static int ngx_ivschat_xml_attributes(ngx_ivschat_xml_t *xml);
static void ngx_ivschat_xml_blanks(ngx_ivschat_xml_t *xml);
static size_t ngx_ivschat_xml_utf8(uint32_t cp, char *utf8);
static int ngx_ivschat_xml_name_char(char c, int first);
static int ngx_ivschat_xml_blank(char c);
static int ngx_ivschat_xml_skip(ngx_ivschat_str_t *s, const char *prefix);


const char *
ngx_ivschat_xml_read(const char *body, size_t len, ngx_ivschat_xml_pt leaf,
    void *data)
{
    const char        *why;
    ngx_ivschat_str_t  s;
    ngx_ivschat_xml_t  xml;

    s.data = body;
    s.len = len;

    if (len == 0) {
        return "the answer is empty";
    }

    if (ngx_ivschat_utf8_length(s) < 0) {
        return "the answer is not UTF-8, or has a NUL";
    }

    memset(&xml, 0, sizeof(ngx_ivschat_xml_t));
    xml.pos = body;
    xml.end = body + len;
    xml.leaf = leaf;
    xml.data = data;

    why = ngx_ivschat_xml_declaration(&xml);
    if (why != NULL) {
        return why;
    }

    do {
        why = ngx_ivschat_xml_tag(&xml);
        if (why != NULL) {
            return why;
        }
    } while (xml.depth != 0);

    ngx_ivschat_xml_blanks(&xml);

    return xml.pos == xml.end ? NULL : "there is something behind the XML";
}


int
ngx_ivschat_xml_decode(ngx_ivschat_str_t text, char *buf, size_t size,
    size_t *len)
{
    char    utf8[4];
    size_t  n, out, used;

    if (size == 0) {
        return -1;
    }

    used = 0;

    while (text.len != 0) {

        if (*text.data == '&') {
            n = ngx_ivschat_xml_reference(text, utf8, &out);

            if (n == 0) {
                return -1;
            }

        } else {
            n = 1;
            out = 1;
            utf8[0] = *text.data;
        }

        if (size - used <= out) {
            return -1;
        }

        memcpy(buf + used, utf8, out);
        used += out;

        text.data += n;
        text.len -= n;
    }

    buf[used] = '\0';
    *len = used;

    return 0;
}


size_t
ngx_ivschat_xml_reference(ngx_ivschat_str_t text, char utf8[4], size_t *len)
{
    char               c;
    size_t             i, digit;
    uint32_t           cp, base;
    ngx_ivschat_str_t  rest;

    static const struct {
        const char  *name;
        char         c;
    } entities[] = {
        { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' },
        { "&quot;", '"' }, { "&apos;", '\'' }
    };

    for (i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        rest = text;

        if (ngx_ivschat_xml_skip(&rest, entities[i].name) == 0) {
            utf8[0] = entities[i].c;
            *len = 1;
            return text.len - rest.len;
        }
    }

    rest = text;

    if (ngx_ivschat_xml_skip(&rest, "&#") != 0) {
        return 0;
    }

    base = ngx_ivschat_xml_skip(&rest, "x") == 0 ? 16 : 10;
    cp = 0;

    for (i = 0; i < rest.len && rest.data[i] != ';'; i++) {
        c = rest.data[i];

        digit = (c >= '0' && c <= '9') ? (size_t) (c - '0')
                : (c >= 'a' && c <= 'f') ? (size_t) (c - 'a') + 10
                : (c >= 'A' && c <= 'F') ? (size_t) (c - 'A') + 10 : 16;

        if (digit >= base || cp > 0x10ffff) {
            return 0;
        }

        cp = cp * base + (uint32_t) digit;
    }

    if (i == 0 || i == rest.len) {
        return 0;
    }

    *len = ngx_ivschat_xml_utf8(cp, utf8);

    return *len != 0 ? text.len - rest.len + i + 1 : 0;
}


/* Returns NULL, or what is wrong with the document; so do the next ones. */

static const char *
ngx_ivschat_xml_declaration(ngx_ivschat_xml_t *xml)
{
    ngx_ivschat_str_t  s;

    s.data = xml->pos;
    s.len = (size_t) (xml->end - xml->pos);

    (void) ngx_ivschat_xml_skip(&s, "\xef\xbb\xbf");

    xml->pos = s.data;

    if (ngx_ivschat_xml_skip(&s, "<?xml") == 0) {
        xml->pos = s.data;

        if (ngx_ivschat_xml_attributes(xml) != 0) {
            return "the XML declaration is malformed";
        }

        s.data = xml->pos;
        s.len = (size_t) (xml->end - xml->pos);

        if (ngx_ivschat_xml_skip(&s, "?>") != 0) {
            return "the XML declaration is malformed";
        }

        xml->pos = s.data;
    }

    ngx_ivschat_xml_blanks(xml);

    if (xml->pos == xml->end || *xml->pos != '<') {
        return "the answer is not XML";
    }

    return NULL;
}


/* The text up to the next tag, and that tag. */

static const char *
ngx_ivschat_xml_tag(ngx_ivschat_xml_t *xml)
{
    const char        *text;
    ngx_ivschat_str_t  s;

    text = xml->text;

    while (xml->pos < xml->end && *xml->pos != '<') {

        /* between elements there are only blanks */

        if (text == NULL && !ngx_ivschat_xml_blank(*xml->pos)) {
            return "the XML has a text between elements";
        }

        xml->pos++;
    }

    if (xml->end - xml->pos < 2) {
        return "the XML is cut off";
    }

    s.data = xml->pos;
    s.len = (size_t) (xml->end - xml->pos);

    if (ngx_ivschat_xml_skip(&s, "</") == 0) {
        xml->pos = s.data;
        return ngx_ivschat_xml_close(xml);
    }

    if (s.data[1] == '!' || s.data[1] == '?') {
        return "the XML has a DOCTYPE, CDATA, a comment or a processing "
               "instruction";
    }

    /* an element with others in it has no text */

    for ( /* void */ ; text != NULL && text < xml->pos; text++) {
        if (!ngx_ivschat_xml_blank(*text)) {
            return "the XML has a text between elements";
        }
    }

    xml->pos++;

    return ngx_ivschat_xml_open(xml);
}


static const char *
ngx_ivschat_xml_open(ngx_ivschat_xml_t *xml)
{
    const char  *why;
    ngx_ivschat_str_t   name, none = ngx_ivschat_string("");

    if (xml->depth == NGX_IVSCHAT_XML_DEPTH) {
        return "the XML is nested too deeply";
    }

    if (ngx_ivschat_xml_name(xml, &name) != 0) {
        return "the answer is not XML";
    }

    if (ngx_ivschat_xml_attributes(xml) != 0) {
        return "the XML has a malformed tag";
    }

    xml->names[xml->depth++] = name;

    if (xml->pos < xml->end && *xml->pos == '>') {
        xml->pos++;
        xml->text = xml->pos;
        return NULL;
    }

    if (xml->end - xml->pos >= 2 && memcmp(xml->pos, "/>", 2) == 0) {
        xml->pos += 2;
        why = ngx_ivschat_xml_leaf(xml, none);
        xml->depth--;
        xml->text = NULL;
        return why;
    }

    return "the XML has a malformed tag";
}


static const char *
ngx_ivschat_xml_close(ngx_ivschat_xml_t *xml)
{
    const char        *why;
    ngx_ivschat_str_t  name, text, *opened;

    text.data = xml->text;

    if (text.data != NULL) {
        text.len = (size_t) (xml->pos - 2 - text.data);
    }

    if (ngx_ivschat_xml_name(xml, &name) != 0) {
        return "the XML has a malformed tag";
    }

    ngx_ivschat_xml_blanks(xml);

    if (xml->pos == xml->end || *xml->pos != '>') {
        return "the XML has a malformed tag";
    }

    xml->pos++;

    if (xml->depth == 0) {
        return "the XML has tags that do not match";
    }

    opened = &xml->names[xml->depth - 1];

    if (opened->len != name.len
        || memcmp(opened->data, name.data, name.len) != 0)
    {
        return "the XML has tags that do not match";
    }

    why = text.data != NULL ? ngx_ivschat_xml_leaf(xml, text) : NULL;

    xml->depth--;
    xml->text = NULL;

    return why;
}


static const char *
ngx_ivschat_xml_leaf(ngx_ivschat_xml_t *xml, ngx_ivschat_str_t text)
{
    char               path[NGX_IVSCHAT_XML_PATH], utf8[4];
    size_t             i, n, len;
    ngx_ivschat_str_t  rest, *name;

    for (rest = text; rest.len != 0; rest.data++, rest.len--) {
        if (*rest.data == '&'
            && ngx_ivschat_xml_reference(rest, utf8, &len) == 0)
        {
            return "the XML has a bad reference";
        }
    }

    n = 0;

    for (i = 0; i < xml->depth; i++) {
        name = &xml->names[i];

        if (sizeof(path) - n <= name->len + 1) {
            return NULL;
        }

        path[n++] = '/';
        memcpy(&path[n], name->data, name->len);
        n += name->len;
    }

    path[n] = '\0';

    return xml->leaf(xml->data, path, text);
}


static int
ngx_ivschat_xml_name(ngx_ivschat_xml_t *xml, ngx_ivschat_str_t *name)
{
    name->data = xml->pos;

    while (xml->pos < xml->end
           && ngx_ivschat_xml_name_char(*xml->pos, xml->pos == name->data))
    {
        xml->pos++;
    }

    name->len = (size_t) (xml->pos - name->data);

    return name->len != 0 ? 0 : -1;
}


/* Skips all of a tag, and the blanks around them. */

static int
ngx_ivschat_xml_attributes(ngx_ivschat_xml_t *xml)
{
    char               quote;
    const char        *start;
    ngx_ivschat_str_t  name;

    for ( ;; ) {
        start = xml->pos;

        ngx_ivschat_xml_blanks(xml);

        if (xml->pos == xml->end || strchr(">/?", *xml->pos) != NULL) {
            return 0;
        }

        if (xml->pos == start || ngx_ivschat_xml_name(xml, &name) != 0) {
            return -1;
        }

        ngx_ivschat_xml_blanks(xml);

        if (xml->pos == xml->end || *xml->pos++ != '=') {
            return -1;
        }

        ngx_ivschat_xml_blanks(xml);

        if (xml->pos == xml->end || (*xml->pos != '"' && *xml->pos != '\'')) {
            return -1;
        }

        quote = *xml->pos++;

        while (xml->pos < xml->end && *xml->pos != quote && *xml->pos != '<') {
            xml->pos++;
        }

        if (xml->pos == xml->end || *xml->pos++ != quote) {
            return -1;
        }
    }
}


static void
ngx_ivschat_xml_blanks(ngx_ivschat_xml_t *xml)
{
    while (xml->pos < xml->end && ngx_ivschat_xml_blank(*xml->pos)) {
        xml->pos++;
    }
}


/* The length, or 0 for what is no character of XML. */

static size_t
ngx_ivschat_xml_utf8(uint32_t cp, char *utf8)
{
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff) || cp == 0xfffe
        || cp == 0xffff
        || (cp < 0x20 && cp != '\t' && cp != '\n' && cp != '\r'))
    {
        return 0;
    }

    if (cp < 0x80) {
        utf8[0] = (char) cp;
        return 1;
    }

    if (cp < 0x800) {
        utf8[0] = (char) (0xc0 | cp >> 6);
        utf8[1] = (char) (0x80 | (cp & 0x3f));
        return 2;
    }

    if (cp < 0x10000) {
        utf8[0] = (char) (0xe0 | cp >> 12);
        utf8[1] = (char) (0x80 | (cp >> 6 & 0x3f));
        utf8[2] = (char) (0x80 | (cp & 0x3f));
        return 3;
    }

    utf8[0] = (char) (0xf0 | cp >> 18);
    utf8[1] = (char) (0x80 | (cp >> 12 & 0x3f));
    utf8[2] = (char) (0x80 | (cp >> 6 & 0x3f));
    utf8[3] = (char) (0x80 | (cp & 0x3f));

    return 4;
}


static int
ngx_ivschat_xml_name_char(char c, int first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'
        || c == ':')
    {
        return 1;
    }

    return !first && ((c >= '0' && c <= '9') || c == '-' || c == '.');
}


static int
ngx_ivschat_xml_blank(char c)
{
    return  c == ' ' || c == '\t' || c == '\n' || c == '\r';
}


/* Takes the prefix off, if it is there. */

static int
ngx_ivschat_xml_skip(ngx_ivschat_str_t *s, const char *prefix)
{
    size_t  len;

    len = strlen(prefix);

    if (s->len < len || memcmp(s->data, prefix, len) != 0) {
        return -1;
    }

    s->data += len;
    s->len -= len;

    return 0;
}
