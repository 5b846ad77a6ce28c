
/*
 * The values of directives, checked as far as they are known when the
 * configuration is read.
 */


#include "ngx_ivschat_conf.h"
#include "../aws/ngx_ivschat_api.h"


static ngx_uint_t ngx_ivschat_false(ngx_str_t *value);
static ngx_uint_t ngx_ivschat_one_of(ngx_str_t *value, ngx_str_t *words);


static ngx_str_t  ngx_ivschat_falses[] = {
    ngx_string("0"),
    ngx_string("false"),
    ngx_string("off"),
    ngx_string("no"),
    ngx_string("null"),
    ngx_null_string
};

static ngx_str_t  ngx_ivschat_trues[] = {
    ngx_string("1"),
    ngx_string("true"),
    ngx_string("on"),
    ngx_string("yes"),
    ngx_null_string
};


char *
ngx_ivschat_methods(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t  *value;
    ngx_uint_t  i, bit;

    if (ilcf->methods) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "POST") == 0) {
            bit = NGX_HTTP_POST;

        } else if (ngx_strcmp(value[i].data, "GET") == 0) {
            bit = NGX_HTTP_GET;

        } else {
            return ngx_ivschat_invalid(cf, &value[i],
                                       "it must be POST or GET");
        }

        if (ilcf->methods & bit) {
            return ngx_ivschat_invalid(cf, &value[i], "it is there twice");
        }

        ilcf->methods |= bit;
    }

    return NGX_CONF_OK;
}


char *
ngx_ivschat_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    size_t      i;
    u_char      c;
    ngx_url_t   u;
    ngx_str_t  *value;

    if (ilcf->endpoint.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strstr(value[1].data, "://")) {
        return ngx_ivschat_invalid(cf, &value[1],
                   "a host without a scheme is needed, it is always https");
    }

    for (i = 0; i < value[1].len; i++) {
        c = ngx_tolower(value[1].data[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
              || c == '.' || c == '-' || c == ':' || c == '[' || c == ']'))
        {
            return ngx_ivschat_invalid(cf, &value[1],
                         "only a host and perhaps a port are allowed here");
        }
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];
    u.default_port = 443;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.host.len == 0
        || u.host.len > NGX_IVSCHAT_HOST_MAX)
    {
        return ngx_ivschat_invalid(cf, &value[1],
                                   u.err ? u.err : "it is no host");
    }

    /* nginx leaves the default port out of the Host header, too */

    ilcf->endpoint.data = ngx_pnalloc(cf->pool, value[1].len);
    if (ilcf->endpoint.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ilcf->endpoint.len = (u.port == 443) ? u.host.len : value[1].len;

    ngx_strlow(ilcf->endpoint.data, value[1].data, ilcf->endpoint.len);

    return NGX_CONF_OK;
}


char *
ngx_ivschat_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t    ms;
    ngx_str_t   *value;
    ngx_msec_t  *timeout;

    timeout = (ngx_msec_t *) ((char *) conf + cmd->offset);

    if (*timeout != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    ms = ngx_parse_time(&value[1], 0);

    if (ms == NGX_ERROR) {
        return ngx_ivschat_invalid(cf, &value[1], "it is no time like \"5s\"");
    }

    if (ms == 0) {
        return ngx_ivschat_invalid(cf, &value[1],
                                   "no answer could come in time");
    }

    *timeout = ms;

    return NGX_CONF_OK;
}


char *
ngx_ivschat_tries(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t  *tries;

    tries = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*tries != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n < 1 || n > 10) {
        return ngx_ivschat_invalid(cf, &value[1],
                                   "1 to 10 attempts are possible");
    }

    *tries = n;

    return NGX_CONF_OK;
}


char *
ngx_ivschat_refresh_spread(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    size_t       len;
    ngx_int_t    percent;
    ngx_str_t   *value;
    ngx_uint_t  *spread;

    spread = (ngx_uint_t *) ((char *) conf + cmd->offset);

    if (*spread != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        *spread = 0;
        return NGX_CONF_OK;
    }

    len = value[1].len;

    if (len && value[1].data[len - 1] == '%') {
        len--;
    }

    percent = ngx_atoi(value[1].data, len);

    if (percent == NGX_ERROR || percent < 1 || percent > 90) {
        return ngx_ivschat_invalid(cf, &value[1],
                                   "\"off\", or 1% to 90%, is needed");
    }

    *spread = percent;

    return NGX_CONF_OK;
}


char *
ngx_ivschat_list(ngx_conf_t *cf, ngx_array_t **list, size_t size, void *item)
{
    void       *p;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (*list == NGX_CONF_UNSET_PTR) {
        *list = ngx_array_create(cf->pool, 4, size);
        if (*list == NULL) {
            return NGX_CONF_ERROR;
        }

        if (item == NULL) {
            return NGX_CONF_OK;
        }

    } else if (item == NULL || (*list)->nelts == 0) {
        return ngx_ivschat_invalid(cf, &value[1],
                     "\"none\" empties the list, and stands alone on a level");
    }

    p = ngx_array_push(*list);
    if (p == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(p, item, size);

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_ivschat_is_condition(ngx_str_t *value)
{
    return value->len >= 3 && ngx_strncmp(value->data, "if=", 3) == 0;
}


char *
ngx_ivschat_condition(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t **condition)
{
    ngx_str_t  s;

    if (!ngx_ivschat_is_condition(value)) {
        return ngx_ivschat_invalid(cf, value, "\"if=condition\" is expected");
    }

    s.data = value->data + 3;
    s.len = value->len - 3;

    if (s.len == 0) {
        return ngx_ivschat_invalid(cf, value, "the condition is empty");
    }

    *condition = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*condition == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_ivschat_compile(cf, &s, *condition) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (!ngx_ivschat_literal(*condition)) {
        return NGX_CONF_OK;
    }

    /* "if=is_mod" would hold for everyone: most likely "$" is missing */

    if (ngx_ivschat_false(&s) || ngx_ivschat_one_of(&s, ngx_ivschat_trues)) {
        return NGX_CONF_OK;
    }

    return ngx_ivschat_invalid(cf, value,
                     "there is no variable in it, so it would always hold");
}


static ngx_uint_t
ngx_ivschat_false(ngx_str_t *value)
{
    return value->len == 0
           || ngx_ivschat_one_of(value, ngx_ivschat_falses);
}


static ngx_uint_t
ngx_ivschat_one_of(ngx_str_t *value, ngx_str_t *words)
{
    for ( /* void */ ; words->len; words++) {
        if (value->len == words->len
            && ngx_strncasecmp(value->data, words->data, words->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


char *
ngx_ivschat_compile(ngx_conf_t *cf, ngx_str_t *value,
    ngx_http_complex_value_t *cv)
{
    ngx_http_compile_complex_value_t  ccv;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = cv;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_ivschat_never(ngx_http_complex_value_t *condition)
{
    return ngx_ivschat_literal(condition)
           && ngx_ivschat_false(&condition->value);
}


ngx_uint_t
ngx_ivschat_always(ngx_http_complex_value_t *condition)
{
    return condition == NULL
           || (ngx_ivschat_literal(condition)
               && !ngx_ivschat_false(&condition->value));
}


char *
ngx_ivschat_once(ngx_conf_t *cf, ngx_http_complex_value_t **cv)
{
    ngx_str_t  *value;

    if (*cv != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_compile(cf, &value[1], *cv);
}


ngx_int_t
ngx_ivschat_holds(ngx_http_request_t *r, ngx_http_complex_value_t *condition)
{
    ngx_str_t  value;

    if (condition == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, condition, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_ivschat_false(&value) ? NGX_DECLINED : NGX_OK;
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
