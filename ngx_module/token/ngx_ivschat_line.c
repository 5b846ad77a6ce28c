
#include "ngx_ivschat_line.h"
#include "../aws/ngx_ivschat_api.h"


static char *ngx_ivschat_line_params(ngx_conf_t *cf,
    ngx_ivschat_line_rule_t *rule, ngx_ivschat_line_t *line, ngx_str_t *value);
static char *ngx_ivschat_line_variables(ngx_conf_t *cf,
    ngx_ivschat_line_rule_t *rule, ngx_ivschat_line_t *line);
static ngx_uint_t ngx_ivschat_from_client(ngx_ivschat_str_t name);
static char *ngx_ivschat_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv);
static ngx_uint_t ngx_ivschat_word(ngx_str_t *value);


/* The values of a condition that does not hold, and then words for "on". */

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
                     "\"none\" empties the list, and stands alone on a level");
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
    const char  *fault;

    value = (ngx_str_t *) cf->args->elts + i;

    if (rule->order && ngx_ivschat_is_condition(value)) {
        return ngx_ivschat_invalid(cf, value, rule->order);
    }

    if (ngx_ivschat_line_params(cf, rule, line, value) != NGX_CONF_OK
        || ngx_ivschat_compile(cf, value, &line->value) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (!ngx_ivschat_literal(&line->value)) {
        return ngx_ivschat_line_variables(cf, rule, line);
    }

    fault = rule->check(value);

    return fault ? ngx_ivschat_invalid(cf, value, fault) : NGX_CONF_OK;
}


/* What follows the value, from the last argument. */

static char *
ngx_ivschat_line_params(ngx_conf_t *cf, ngx_ivschat_line_rule_t *rule,
    ngx_ivschat_line_t *line, ngx_str_t *value)
{
    ngx_str_t  *directive, *last;

    directive = cf->args->elts;
    last = directive + cf->args->nelts - 1;

    if (last > value && (rule->params & NGX_IVSCHAT_LINE_TRUSTED)) {

        if (ngx_strcmp(last->data, "trusted") != 0) {
            return ngx_ivschat_invalid(cf, last,
                                    "the only parameter here is \"trusted\"");
        }

        line->trusted = 1;
        last--;
    }

    if (last > value && (rule->params & NGX_IVSCHAT_LINE_IF)) {

        if (ngx_ivschat_condition(cf, last, line) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }

        last--;
    }

    if (last > value) {

        /* nginx counts for the longest form, with a name */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" directive",
                           directive);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_line_variables(ngx_conf_t *cf, ngx_ivschat_line_rule_t *rule,
    ngx_ivschat_line_t *line)
{
    ngx_uint_t                 *index;
    ngx_ivschat_str_t           name;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    index = line->value.flushes;

    if (index == NULL) {
        return NGX_CONF_OK;            /* $1 to $9 only */
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    v = cmcf->variables.elts;

    for ( /* void */ ; *index != (ngx_uint_t) -1; index++) {

        name = ngx_ivschat_pure(&v[*index].name);

        if (ngx_ivschat_str_is(name, "remote_user")) {
            line->remote_user = 1;
        }

        if ((rule->params & NGX_IVSCHAT_LINE_TRUSTED) && !line->trusted
            && ngx_ivschat_from_client(name))
        {
            return ngx_ivschat_invalid(cf, &line->value.value,
                  "the client itself writes this variable, so that anyone "
                  "could be anyone; use one that authentication has set, or "
                  "add \"trusted\" if a proxy in front vouches for it");
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
        "arg_", "args", "cookie_", "http_", "query_string", "request",
        "request_body", "request_uri", NULL
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


ngx_uint_t
ngx_ivschat_is_condition(ngx_str_t *arg)
{
    return ngx_strncmp(arg->data, "if=", 3) == 0;
}


char *
ngx_ivschat_condition(ngx_conf_t *cf, ngx_str_t *arg, ngx_ivschat_line_t *line)
{
    ngx_str_t  value;

    if (!ngx_ivschat_is_condition(arg)) {
        return ngx_ivschat_invalid(cf, arg, "\"if=condition\" is expected");
    }

    value.data = arg->data + 3;
    value.len = arg->len - 3;

    if (value.len == 0) {
        return ngx_ivschat_invalid(cf, arg, "the condition is empty");
    }

    line->condition = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));

    if (line->condition == NULL
        || ngx_ivschat_compile(cf, &value, line->condition) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    /* "if=is_mod" would hold for everyone: most likely "$" is missing */

    if (ngx_ivschat_literal(line->condition)
        && ngx_ivschat_words[ngx_ivschat_word(&value)].data == NULL)
    {
        return ngx_ivschat_invalid(cf, arg,
                     "there is no variable in it, so it would always hold");
    }

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


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
            return ngx_ivschat_invalid(cf, &value[i], "it is there twice");
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


/* The index in ngx_ivschat_words, of the last one if it is none of them. */

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
