
/*
 * A line that grants something, "[name] value [if=condition] [trusted]": its
 * parameters, and its value for a request.
 */


#ifndef _NGX_IVSCHAT_LINE_H_INCLUDED_
#define _NGX_IVSCHAT_LINE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "../creds/ngx_ivschat_nginx.h"


typedef struct {
    ngx_str_t                    directive;
    ngx_str_t                    name;       /* of a room or an attribute;
                                                empty: none */
    unsigned                     bits;       /* of capabilities */
    ngx_http_complex_value_t     value;
    ngx_http_complex_value_t    *condition;  /* NULL: always */
    unsigned                     trusted:1;
} ngx_ivschat_line_t;


/*
 * The rule of a directive, in the "post" field of its command.
 *
 * check() returns what is wrong with a value without variables, or NULL.
 * parse() reads the arguments of a line of a list, with ngx_ivschat_line() for
 * its value; the lines above it are in "above".
 */

typedef struct {
    ngx_uint_t                   condition;  /* "if=" is allowed */
    const char                *(*check)(ngx_str_t *value);
    char                      *(*parse)(ngx_conf_t *cf, ngx_array_t *above,
                                        ngx_ivschat_line_t *line);
} ngx_ivschat_line_rule_t;


/* Sets an ngx_ivschat_line_t *, for a directive without name and list. */

char *ngx_ivschat_line_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* Adds a line to an ngx_array_t *; "none" leaves the list empty. */

char *ngx_ivschat_lines_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/*
 * Prepares a list for the items of a line, of "size" bytes each; *none is 1 if
 * the line is "none", which must be the only one of its level.
 */

char *ngx_ivschat_list(ngx_conf_t *cf, ngx_array_t **list, size_t size,
    ngx_uint_t *none);

/* Reads "value [parameters]" from the i-th argument to the last. */

char *ngx_ivschat_line(ngx_conf_t *cf, ngx_uint_t i,
    ngx_ivschat_line_rule_t *rule, ngx_ivschat_line_t *line);

/*
 * Reads "[if=condition] [trusted]" at the end of a line, after the i-th
 * argument; *last is the argument before them.
 */

char *ngx_ivschat_line_params(ngx_conf_t *cf, ngx_uint_t i,
    ngx_uint_t condition, ngx_ivschat_line_t *line, ngx_uint_t *last);

/* Whether an argument begins with "if=". */

ngx_uint_t ngx_ivschat_is_condition(ngx_str_t *arg);

#if (NGX_PCRE)

/* Checks that a line has no named captures of a location or a server name. */

char *ngx_ivschat_line_captures(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_http_regex_t *regex);

#endif

/*
 * Adds the bits of the words in the arguments 1 to "last"; bit() returns 0 for
 * an unknown word, which is an error with this reason.
 */

char *ngx_ivschat_bits(ngx_conf_t *cf, ngx_uint_t last,
    unsigned (*bit)(ngx_ivschat_str_t word), const char *reason,
    unsigned *bits);

#define ngx_ivschat_literal(cv)   ((cv)->lengths == NULL)

/* Whether a line applies to all requests, or to none. */

ngx_uint_t ngx_ivschat_always(ngx_ivschat_line_t *line);
ngx_uint_t ngx_ivschat_never(ngx_ivschat_line_t *line);

/*
 * Evaluates the condition of a line and then its value, into *value.  Returns
 * NGX_OK, NGX_DECLINED if the condition is false, or NGX_ERROR.
 */

ngx_int_t ngx_ivschat_line_value(ngx_http_request_t *r,
    ngx_ivschat_line_t *line, ngx_str_t *value);

/* A copy of a value that a client may have written, safe for the log. */

ngx_str_t ngx_ivschat_printable(ngx_http_request_t *r, ngx_str_t *value);

/* Checks the name of a room or an attribute in an argument. */

char *ngx_ivschat_check_name(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *name);

/* Whether a value contains U+0000 to U+001F or U+007F. */

ngx_uint_t ngx_ivschat_has_control(ngx_str_t *value);

static ngx_inline ngx_uint_t
ngx_ivschat_equal(ngx_str_t *one, ngx_str_t *two)
{
    return ngx_ivschat_str_equal(ngx_ivschat_pure(one), ngx_ivschat_pure(two));
}


#endif /* _NGX_IVSCHAT_LINE_H_INCLUDED_ */
