
/*
 * All sources of credentials: what an ivschat_token_credentials line means, in
 * the order of AWS's SDKs.
 *
 * The master reads all of it with the configuration: it may read files that
 * the workers may not.  A new source is a row of the table in the .c file, and
 * a function that finds it.
 */


#ifndef _NGX_IVSCHAT_SOURCES_H_INCLUDED_
#define _NGX_IVSCHAT_SOURCES_H_INCLUDED_


#include "ngx_ivschat_source_profile.h"


typedef struct ngx_ivschat_kind_s  ngx_ivschat_kind_t;


/* An ivschat_token_credentials line. */

typedef struct {
    const ngx_ivschat_kind_t   *kind;
    ngx_str_t                   name;        /* of the kind */
    ngx_str_t                   params[NGX_IVSCHAT_PARAMS];  /* data NULL:
                                                                none */
    ngx_str_t                   conf_file;   /* empty: the default "auto" */
    ngx_uint_t                  line;
} ngx_ivschat_spec_t;


/* The arguments of the directive, checked; "auto", the default. */

char *ngx_ivschat_spec_read(ngx_conf_t *cf, ngx_ivschat_spec_t *line);
void ngx_ivschat_spec_auto(ngx_ivschat_spec_t *line);
ngx_uint_t ngx_ivschat_spec_same(ngx_ivschat_spec_t *a, ngx_ivschat_spec_t *b);
void ngx_ivschat_spec_wipe(ngx_ivschat_spec_t *line);

/*
 * Finds the credentials of a line.  region is that of the first literal room
 * of a location that uses it (empty: none), for STS.  NGX_ERROR: the
 * configuration is wrong, which is logged; if something is only missing, that
 * is a warning.
 */

ngx_int_t ngx_ivschat_find(ngx_conf_t *cf, ngx_ivschat_spec_t *line,
    ngx_str_t *region, ngx_ivschat_found_t *found);


#endif /* _NGX_IVSCHAT_SOURCES_H_INCLUDED_ */
