
/*
 * The variables.  None of them holds a token, a key or an attribute.
 *
 * A new one is a row of the table: a string of a request's context, or a
 * function that writes the value, or returns NULL if it is not known yet.
 */


#ifndef _NGX_IVSCHAT_VARIABLES_H_INCLUDED_
#define _NGX_IVSCHAT_VARIABLES_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* preconfiguration */

ngx_int_t ngx_ivschat_variables_add(ngx_conf_t *cf);


#endif /* _NGX_IVSCHAT_VARIABLES_H_INCLUDED_ */
