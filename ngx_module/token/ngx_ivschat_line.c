
#include "ngx_ivschat_line.h"
#include "../aws/ngx_ivschat_api.h"


static char *ngx_ivschat_condition(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_ivschat_line_t *line);
static char *ngx_ivschat_compile(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_str_t *value, ngx_http_complex_value_t *cv);
static ngx_uint_t ngx_ivschat_from_client(ngx_ivschat_str_t name);
static char *ngx_ivschat_refuse(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_str_t *value, ngx_str_t *name);
static ngx_uint_t ngx_ivschat_word(ngx_str_t *value);


/* The values of a condition that is false, and then words for "on". */

static ngx_str_t  ngx_ivschat_words[] = {
    ngx_string(""),
    ngx_string("0"),
    ngx_string("false"),
    ngx_string("off"),
    ngx_string("no"),
    ngx_string("null"),

#define NGX_IVSCHAT_FALSES   6

    ngx_string("1"),
    ngx_string("true"),
    ngx_string("on"),
    ngx_string("yes"),
    ngx_null_string
};


char *
ngx_ivschat_line_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_line_t  **line;

    line = (ngx_ivschat_line_t **) ((char *) conf + cmd->offset);

    if (*line != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *line = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_line_t));
    if (*line == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_line(cf, 1, cmd->post, *line);
}


char *
ngx_ivschat_lines_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_uint_t                none;
    ngx_array_t             **lines;
    ngx_ivschat_line_t       *pushed, line;
    ngx_ivschat_line_rule_t  *rule;

    rule = cmd->post;
    lines = (ngx_array_t **) ((char *) conf + cmd->offset);

    if (ngx_ivschat_list(cf, lines, sizeof(line), &none) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (none) {
        return NGX_CONF_OK;
    }

    ngx_memzero(&line, sizeof(ngx_ivschat_line_t));

    if (rule->parse(cf, *lines, &line) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    pushed = ngx_array_push(*lines);
    if (pushed == NULL) {
        return NGX_CONF_ERROR;
    }

    *pushed = line;

    return NGX_CONF_OK;
}


char *
ngx_ivschat_list(ngx_conf_t *cf, ngx_array_t **list, size_t size,
    ngx_uint_t *none)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    *none = cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0;

    if (*list != NGX_CONF_UNSET_PTR) {

        if (*none || (*list)->nelts == 0) {
            return ngx_ivschat_invalid(cf, &value[1],
                     "\"none\" must be the only line on its level");
        }

        return NGX_CONF_OK;
    }

    *list = ngx_array_create(cf->pool, 4, size);

    return *list ? NGX_CONF_OK : NGX_CONF_ERROR;
}


char *
ngx_ivschat_line(ngx_conf_t *cf, ngx_uint_t i, ngx_ivschat_line_rule_t *rule,
    ngx_ivschat_line_t *line)
{
    ngx_str_t   *value;
    ngx_uint_t   last;
    const char  *fault;

    value = cf->args->elts;

    if (rule->condition && ngx_ivschat_is_condition(&value[i])) {
        return ngx_ivschat_invalid(cf, &value[i],
                                   "a value is expected before \"if=\"");
    }

    if (ngx_ivschat_line_params(cf, i, rule->condition, line, &last)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (last > i) {
        return ngx_ivschat_invalid(cf, &value[i + 1],
                           rule->condition
                           ? "\"[if=condition] [trusted]\" is expected"
                           : "\"[trusted]\" is expected");
    }

    if (ngx_ivschat_compile(cf, line, &value[i], &line->value)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    fault = ngx_ivschat_literal(&line->value) ? rule->check(&value[i]) : NULL;

    return fault ? ngx_ivschat_invalid(cf, &value[i], fault) : NGX_CONF_OK;
}


char *
ngx_ivschat_line_params(ngx_conf_t *cf, ngx_uint_t i, ngx_uint_t condition,
    ngx_ivschat_line_t *line, ngx_uint_t *last)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    line->directive = value[0];
    *last = cf->args->nelts - 1;

    if (*last > i && ngx_strcmp(value[*last].data, "trusted") == 0) {
        line->trusted = 1;
        (*last)--;
    }

    if (*last > i && condition && ngx_ivschat_is_condition(&value[*last])) {
        return ngx_ivschat_condition(cf, &value[(*last)--], line);
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_ivschat_is_condition(ngx_str_t *arg)
{
    return ngx_strncmp(arg->data, "if=", 3) == 0;
}


static char *
ngx_ivschat_condition(ngx_conf_t *cf, ngx_str_t *arg, ngx_ivschat_line_t *line)
{
    ngx_str_t  value;

    value.data = arg->data + 3;
    value.len = arg->len - 3;

    if (value.len == 0) {
        return ngx_ivschat_invalid(cf, arg, "empty condition");
    }

    line->condition = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));

    if (line->condition == NULL
        || ngx_ivschat_compile(cf, line, &value, line->condition)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* "if=is_mod" would be true for everyone: "$" is probably missing */

    if (ngx_ivschat_literal(line->condition)
        && ngx_ivschat_words[ngx_ivschat_word(&value)].data == NULL)
    {
        return ngx_ivschat_invalid(cf, arg,
                    "a condition without variables would always be true");
    }

    return NGX_CONF_OK;
}


/* Without "trusted", no variable whose text the client writes is accepted. */

static char *
ngx_ivschat_compile(ngx_conf_t *cf, ngx_ivschat_line_t *line, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    u_char                            *p;
    ngx_str_t                          name;
    ngx_uint_t                        *index;
    ngx_http_variable_t               *v;
    ngx_http_core_main_conf_t         *cmcf;
    ngx_http_compile_complex_value_t   ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (line->trusted) {
        return NGX_CONF_OK;
    }

    for (p = value->data; p + 1 < value->data + value->len; p++) {

        if (p[0] == '$' && p[1] >= '1' && p[1] <= '9') {
            name.data = p + 1;
            name.len = 1;

            return ngx_ivschat_refuse(cf, line, value, &name);
        }
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (index = cv->flushes; index && *index != (ngx_uint_t) -1; index++) {

        if (ngx_ivschat_from_client(ngx_ivschat_pure(&v[*index].name))) {
            return ngx_ivschat_refuse(cf, line, value, &v[*index].name);
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_ivschat_from_client(ngx_ivschat_str_t name)
{
    ngx_uint_t         i;
    ngx_ivschat_str_t  rest;

    /* what ends with "_" is a prefix */

    static const char *const  names[] = {
        "arg_", "args", "content_length", "content_type", "cookie_",
        "document_uri", "fastcgi_path_info", "fastcgi_script_name", "host",
        "http_", "is_args", "is_request_port", "proxy_add_x_forwarded_for",
        "query_string", "realpath_root", "request", "request_body",
        "request_body_file", "request_filename", "request_length",
        "request_method", "request_port", "request_uri", "server_protocol",
        "ssl_ech_outer_server_name", "ssl_server_name", "uid_got", "uri", NULL
    };

    for (i = 0; names[i]; i++) {

        rest = name;

        if (ngx_ivschat_str_skip(&rest, names[i])
            && (rest.len == 0 || rest.data[-1] == '_'))
        {
            return 1;
        }
    }

    return 0;
}


static char *
ngx_ivschat_refuse(ngx_conf_t *cf, ngx_ivschat_line_t *line, ngx_str_t *value,
    ngx_str_t *name)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\" directive: the client "
                       "writes \"$%V\"; use a variable that nginx or the "
                       "authentication sets, or add \"trusted\" if something "
                       "else has verified it",
                       value, &line->directive, name);
    return NGX_CONF_ERROR;
}


#if (NGX_PCRE)

char *
ngx_ivschat_line_captures(ngx_conf_t *cf, ngx_ivschat_line_t *line,
    ngx_http_regex_t *regex)
{
    ngx_uint_t                 i, n, *index;
    ngx_http_variable_t       *v;
    ngx_http_complex_value_t  *cv[2];
    ngx_http_core_main_conf_t *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    cv[0] = &line->value;
    cv[1] = line->condition;

    for (i = 0; i < 2 && cv[i] && !line->trusted; i++) {

        index = cv[i]->flushes;

        for ( /* void */ ; index && *index != (ngx_uint_t) -1; index++) {

            for (n = 0; n < regex->nvariables; n++) {

                if ((ngx_uint_t) regex->variables[n].index == *index) {
                    return ngx_ivschat_refuse(cf, line, &cv[i]->value,
                                              &v[*index].name);
                }
            }
        }
    }

    return NGX_CONF_OK;
}

#endif


char *
ngx_ivschat_bits(ngx_conf_t *cf, ngx_uint_t last,
    unsigned (*bit)(ngx_ivschat_str_t word), const char *reason,
    unsigned *bits)
{
    unsigned    b;
    ngx_str_t  *value;
    ngx_uint_t  i;

    value = cf->args->elts;

    for (i = 1; i <= last; i++) {

        b = bit(ngx_ivschat_pure(&value[i]));

        if (b == 0) {
            return ngx_ivschat_invalid(cf, &value[i], reason);
        }

        if (*bits & b) {
            return ngx_ivschat_invalid(cf, &value[i], "duplicate");
        }

        *bits |= b;
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_ivschat_always(ngx_ivschat_line_t *line)
{
    return line->condition == NULL
           || (ngx_ivschat_literal(line->condition)
               && !ngx_ivschat_never(line));
}


ngx_uint_t
ngx_ivschat_never(ngx_ivschat_line_t *line)
{
    return line->condition
           && ngx_ivschat_literal(line->condition)
           && ngx_ivschat_word(&line->condition->value) < NGX_IVSCHAT_FALSES;
}


ngx_int_t
ngx_ivschat_line_value(ngx_http_request_t *r, ngx_ivschat_line_t *line,
    ngx_str_t *value)
{
    if (line->condition) {

        if (ngx_http_complex_value(r, line->condition, value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_ivschat_word(value) < NGX_IVSCHAT_FALSES) {
            return NGX_DECLINED;
        }
    }

    return ngx_http_complex_value(r, &line->value, value);
}


/* The index in ngx_ivschat_words; that of the last, empty one if not found. */

static ngx_uint_t
ngx_ivschat_word(ngx_str_t *value)
{
    ngx_str_t  *word;

    for (word = ngx_ivschat_words; word->data; word++) {
        if (value->len == word->len
            && ngx_strncasecmp(value->data, word->data, word->len) == 0)
        {
            break;
        }
    }

    return word - ngx_ivschat_words;
}


ngx_str_t
ngx_ivschat_printable(ngx_http_request_t *r, ngx_str_t *value)
{
    size_t     i;
    ngx_str_t  s;

    s.len = ngx_min(value->len, NGX_IVSCHAT_ROOM_ARN_MAX + 32);

    s.data = ngx_pnalloc(r->pool, s.len);
    if (s.data == NULL) {
        s.len = 0;
    }

    for (i = 0; i < s.len; i++) {
        s.data[i] = (value->data[i] >= 0x20 && value->data[i] < 0x7f)
                    ? value->data[i] : '?';
    }

    return s;
}


char *
ngx_ivschat_check_name(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *name)
{
    if (name->len == 0 || ngx_ivschat_utf8_length(ngx_ivschat_pure(name)) < 0)
    {
        return ngx_ivschat_invalid(cf, arg,
                               "a name must be valid UTF-8 and not empty");
    }

    if (ngx_strlchr(name->data, name->data + name->len, '$')) {
        return ngx_ivschat_invalid(cf, arg, "a name must not contain "
                                            "variables");
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_ivschat_has_control(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] < 0x20 || value->data[i] == 0x7f) {
            return 1;
        }
    }

    return 0;
}
