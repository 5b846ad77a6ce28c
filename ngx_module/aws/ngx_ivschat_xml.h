
/*
 * As much of XML as AWS's query protocol has in its answers.
 *
 * Elements, attributes (which are skipped), the five entities, character
 * references, and a declaration at the beginning.  All else is refused:
 * DOCTYPE, comments, CDATA, processing instructions, text beside elements,
 * bytes that are not UTF-8.  Names are compared with their prefixes.
 *
 * Nothing here allocates, does I/O or knows nginx.
 */


#ifndef _NGX_IVSCHAT_XML_H_INCLUDED_
#define _NGX_IVSCHAT_XML_H_INCLUDED_


#include "../lib/ngx_ivschat_str.h"


#define NGX_IVSCHAT_XML_DEPTH   8      /* elements in one another */
#define NGX_IVSCHAT_XML_PATH    128    /* bytes; longer paths are not told */


/*
 * Told of each element that has no others in it: its path, "/a/b/c", and its
 * text as it stands in the document.  Returns a reason to stop, or NULL.
 */

typedef const char *(*ngx_ivschat_xml_pt)(void *data, const char *path,
    ngx_ivschat_str_t text);


/*
 * Reads a whole document.  Returns NULL, or a text for the log: what is wrong
 * with it, or the reason that leaf() gave.  Elements may have been told before
 * something wrong is found behind them.
 */

const char *ngx_ivschat_xml_read(const char *body, size_t len,
    ngx_ivschat_xml_pt leaf, void *data);

/*
 * The text with its references replaced, and a NUL that *len does not count;
 * -1 if the buffer is too small.
 */

int ngx_ivschat_xml_decode(ngx_ivschat_str_t text, char *buf, size_t size,
    size_t *len);

/*
 * How many bytes the reference has that the text begins with, and what it
 * stands for in utf8; 0 if it is none, or not to a character of XML.
 */

size_t ngx_ivschat_xml_reference(ngx_ivschat_str_t text, char utf8[4],
    size_t *len);


#endif /* _NGX_IVSCHAT_XML_H_INCLUDED_ */
