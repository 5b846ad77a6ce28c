
/*
 * The directives: what an operator types, checked as far as it can be known
 * when the configuration is read.
 */


#include "ngx_ivschat_token.h"


static char *ngx_ivschat_check_user(ngx_conf_t *cf, ngx_ivschat_user_t *user,
    ngx_str_t *value);
static char *ngx_ivschat_user_variables(ngx_conf_t *cf,
    ngx_ivschat_user_t *user, ngx_str_t *value);
static ngx_uint_t ngx_ivschat_from_client(ngx_str_t *name);
static ngx_uint_t ngx_ivschat_next_variable(ngx_str_t *rest, ngx_str_t *name);
static ngx_uint_t ngx_ivschat_one_of(ngx_str_t *value, ngx_str_t *words);
static char *ngx_ivschat_check_attributes(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);
static char *ngx_ivschat_check_region(ngx_conf_t *cf,
    ngx_ivschat_loc_conf_t *conf);


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
ngx_ivschat_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (ilcf->uri.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].data[0] != '/') {
        return ngx_ivschat_invalid(cf, &value[1],
                       "the URI of the internal location begins with \"/\"");
    }

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, '$')) {
        return ngx_ivschat_invalid(cf, &value[1],
                                   "no variables are allowed here");
    }

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, '?')
        || ngx_strlchr(value[1].data, value[1].data + value[1].len, '#'))
    {
        return ngx_ivschat_invalid(cf, &value[1],
                           "a URI without arguments or a fragment is needed");
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->name.len == value[1].len
        && ngx_strncmp(clcf->name.data, value[1].data, value[1].len) == 0)
    {
        return ngx_ivschat_invalid(cf, &value[1],
                "this is the location itself; another, internal one that "
                                   "passes the request to AWS is needed");
    }

    ilcf->uri = value[1];

    clcf->handler = ngx_ivschat_handler;

    return NGX_CONF_OK;
}


char *
ngx_ivschat_user(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t           *value;
    ngx_ivschat_user_t  *user;

    if (ilcf->user != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    user = ngx_pcalloc(cf->pool, sizeof(ngx_ivschat_user_t));
    if (user == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 3) {
        if (ngx_strcmp(value[2].data, "trusted") != 0) {
            return ngx_ivschat_invalid(cf, &value[2],
                                    "the only parameter here is \"trusted\"");
        }

        user->trusted = 1;
    }

    if (ngx_ivschat_compile(cf, &value[1], &user->value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    ilcf->user = user;

    return ngx_ivschat_check_user(cf, user, &value[1]);
}


static char *
ngx_ivschat_check_user(ngx_conf_t *cf, ngx_ivschat_user_t *user,
    ngx_str_t *value)
{
    long  n;

    if (!ngx_ivschat_literal(&user->value)) {
        return ngx_ivschat_user_variables(cf, user, value);
    }

    if (value->len == 0 || (value->len == 1 && value->data[0] == '-')) {
        return ngx_ivschat_invalid(cf, value, "this stands for \"no user\"");
    }

    n = ngx_ivschat_utf8_length(ngx_ivschat_pure(value));

    if (n < 0) {
        return ngx_ivschat_invalid(cf, value, "it is not UTF-8");
    }

    if (n > NGX_IVSCHAT_USER_MAX) {
        return ngx_ivschat_invalid(cf, value,
                                   "a user's id has at most 128 characters");
    }

    return NGX_CONF_OK;
}


static char *
ngx_ivschat_user_variables(ngx_conf_t *cf, ngx_ivschat_user_t *user,
    ngx_str_t *value)
{
    ngx_str_t  rest, name;

    rest = *value;

    while (ngx_ivschat_next_variable(&rest, &name)) {

        if (name.len == 1 && name.data[0] >= '1' && name.data[0] <= '9') {
            user->captures |= 1 << (name.data[0] - '0');
            continue;
        }

        if (name.len == sizeof("remote_user") - 1
            && ngx_strncasecmp(name.data, (u_char *) "remote_user", name.len)
            == 0)
        {
            user->remote_user = 1;
        }

        if (!user->trusted && ngx_ivschat_from_client(&name)) {
            return ngx_ivschat_invalid(cf, value,
                  "the client itself writes this variable, so that anyone "
                  "could be anyone; use one that authentication has set, or "
                  "add \"trusted\" if a proxy in front vouches for it");
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
ngx_ivschat_from_client(ngx_str_t *name)
{
    size_t      len;
    ngx_uint_t  i;
    static const char *const names[] = {
        "args", "query_string", "request", "request_uri", "request_body",
        NULL
    };
    static const char *const prefixes[] = {
        "http_", "arg_", "cookie_", NULL
    };

    for (i = 0; names[i]; i++) {
        len = ngx_strlen(names[i]);

        if (name->len == len
            && ngx_strncasecmp(name->data, (u_char *) names[i], len) == 0)
        {
            return 1;
        }
    }

    for (i = 0; prefixes[i]; i++) {
        len = ngx_strlen(prefixes[i]);

        if (name->len >= len
            && ngx_strncasecmp(name->data, (u_char *) prefixes[i], len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * The next "$name", "${name}" or "$1" of a value that nginx has compiled, and
 * which is thus well-formed.
 */

static ngx_uint_t
ngx_ivschat_next_variable(ngx_str_t *rest, ngx_str_t *name)
{
    u_char  *p, *last;

    last = rest->data + rest->len;

    p = ngx_strlchr(rest->data, last, '$');
    if (p == NULL) {
        return 0;
    }

    p++;

    if (p < last && *p == '{') {
        p++;
    }

    name->data = p;

    if (p < last && *p >= '1' && *p <= '9') {
        p++;

    } else {
        while (p < last
               && ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z')
                   || (*p >= '0' && *p <= '9') || *p == '_'))
        {
            p++;
        }
    }

    name->len = p - name->data;

    rest->data = p;
    rest->len = last - p;

    return 1;
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


ngx_uint_t
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
ngx_ivschat_capabilities(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t                  *value;
    ngx_uint_t                  i, bit;
    ngx_ivschat_capabilities_t  caps;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "none") == 0) {
        return ngx_ivschat_list(cf, &ilcf->capabilities, sizeof(caps), NULL);
    }

    ngx_memzero(&caps, sizeof(ngx_ivschat_capabilities_t));

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_ivschat_is_condition(&value[i])) {

            if (i != cf->args->nelts - 1 || i == 1) {
                return ngx_ivschat_invalid(cf, &value[i],
                                 "it stands last, after the capabilities");
            }

            if (ngx_ivschat_condition(cf, &value[i],
                                      &caps.condition)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

            break;
        }

        bit = ngx_ivschat_capability(ngx_ivschat_pure(&value[i]));

        if (bit == 0) {
            return ngx_ivschat_invalid(cf, &value[i],
                                       "the capabilities are SEND_MESSAGE, "
                                       "DISCONNECT_USER and DELETE_MESSAGE");
        }

        if (caps.bits & bit) {
            return ngx_ivschat_invalid(cf, &value[i], "it is there twice");
        }

        caps.bits |= bit;
    }

    return ngx_ivschat_list(cf, &ilcf->capabilities, sizeof(caps), &caps);
}


char *
ngx_ivschat_attribute(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t                    *value;
    ngx_ivschat_attribute_conf_t  attr;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "none") == 0) {
            return ngx_ivschat_list(cf, &ilcf->attributes, sizeof(attr), NULL);
        }

        return ngx_ivschat_invalid(cf, &value[1],
                           "a name and a value are needed, or \"none\"");
    }

    ngx_memzero(&attr, sizeof(ngx_ivschat_attribute_conf_t));

    attr.name = value[1];

    if (attr.name.len == 0
        || ngx_ivschat_utf8_length(ngx_ivschat_pure(&attr.name)) < 0)
    {
        return ngx_ivschat_invalid(cf, &value[1],
                        "an attribute's name is UTF-8 and not empty");
    }

    if (ngx_strlchr(attr.name.data, attr.name.data + attr.name.len, '$')) {
        return ngx_ivschat_invalid(cf, &value[1],
                        "no variables are allowed in an attribute's name");
    }

    if (ngx_ivschat_is_condition(&value[2])) {
        return ngx_ivschat_invalid(cf, &value[2],
                                   "the attribute's value comes before it");
    }

    if (ngx_ivschat_compile(cf, &value[2], &attr.value) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (ngx_ivschat_literal(&attr.value)
        && ngx_ivschat_utf8_length(ngx_ivschat_pure(&value[2])) < 0)
    {
        return ngx_ivschat_invalid(cf, &value[2], "it is not UTF-8");
    }

    if (cf->args->nelts == 4
        && ngx_ivschat_condition(cf, &value[3], &attr.condition)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_ivschat_list(cf, &ilcf->attributes, sizeof(attr), &attr);
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


char *
ngx_ivschat_session_duration(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rc;
    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    value = cf->args->elts;
    cv = (ngx_http_complex_value_t **) ((char *) conf + cmd->offset);

    rc = ngx_ivschat_once(cf, cv);

    if (rc != NGX_CONF_OK) {
        return rc;
    }

    if (ngx_ivschat_literal(*cv) && ngx_ivschat_minutes(&value[1]) == 0) {
        return ngx_ivschat_invalid(cf, &value[1],
                       "whole minutes from \"1m\" to \"180m\" are needed, "
                                   "with a unit");
    }

    return NGX_CONF_OK;
}


ngx_uint_t
ngx_ivschat_minutes(ngx_str_t *value)
{
    u_char     last;
    ngx_int_t  sec;

    if (value->len == 0) {
        return 0;
    }

    last = value->data[value->len - 1];

    if (last >= '0' && last <= '9') {
        return 0;
    }

    sec = ngx_parse_time(value, 1);

    if (sec == NGX_ERROR || sec % 60 != 0
        || sec < NGX_IVSCHAT_DURATION_MIN * 60
        || sec > NGX_IVSCHAT_DURATION_MAX * 60)
    {
        return 0;
    }

    return sec / 60;
}


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
ngx_ivschat_region(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                       *rc;
    ngx_str_t                  *value;
    ngx_http_complex_value_t  **cv;

    value = cf->args->elts;
    cv = (ngx_http_complex_value_t **) ((char *) conf + cmd->offset);

    rc = ngx_ivschat_once(cf, cv);

    if (rc != NGX_CONF_OK) {
        return rc;
    }

    if (ngx_ivschat_literal(*cv)
        && !ngx_ivschat_region_valid(ngx_ivschat_pure(&value[1])))
    {
        return ngx_ivschat_invalid(cf, &value[1],
                               "it is no region's name like \"us-west-2\"");
    }

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
ngx_ivschat_check(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!clcf->noname && clcf->handler != ngx_ivschat_handler) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" would "
                           "have no effect, since another directive there "
                           "handles its requests",
                           &conf->uri, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->user == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" needs "
                           "an \"ivschat_token_user\"",
                           &conf->uri, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (conf->rooms == NULL || conf->rooms->nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"ivschat_token %V\" in location \"%V\" needs "
                           "an \"ivschat_token_room\"",
                           &conf->uri, &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_ivschat_check_rooms(cf, conf) != NGX_CONF_OK
        || ngx_ivschat_check_attributes(cf, conf) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (conf->own_client_attributes && !conf->client_body) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "\"ivschat_token_client_attributes\" in location "
                           "\"%V\" has no effect without "
                           "\"ivschat_token_client_body on\"",
                           &clcf->name);
    }

    return ngx_ivschat_check_region(cf, conf);
}


/*
 * Of the lines that always count, no name may be there twice, and together
 * they must not exceed what AWS takes.
 */

static char *
ngx_ivschat_check_attributes(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    size_t                         size, len;
    ngx_uint_t                     i, j;
    ngx_ivschat_attribute_conf_t  *attr;

    if (conf->attributes == NULL) {
        return NGX_CONF_OK;
    }

    size = 0;
    attr = conf->attributes->elts;

    for (i = 0; i < conf->attributes->nelts; i++) {

        for (j = 0; j < i; j++) {
            if (ngx_ivschat_always(attr[j].condition)
                && attr[j].name.len == attr[i].name.len
                && ngx_memcmp(attr[j].name.data, attr[i].name.data,
                              attr[i].name.len) == 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"ivschat_token_attribute %V\" is "
                                   "duplicate: the line above it always "
                                   "counts", &attr[i].name);
                return NGX_CONF_ERROR;
            }
        }

        if (!ngx_ivschat_literal(&attr[i].value)
            || attr[i].value.value.len == 0)
        {
            continue;
        }

        len = attr[i].name.len + attr[i].value.value.len;

        if (ngx_ivschat_always(attr[i].condition)) {
            size += len;

        } else if (len > NGX_IVSCHAT_ATTRIBUTES_MAX
                   && !ngx_ivschat_never(attr[i].condition))
        {
            size = len;                /* too large whenever it counts */
            break;
        }
    }

    if (size > NGX_IVSCHAT_ATTRIBUTES_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the \"ivschat_token_attribute\" lines have %uz "
                           "bytes of names and values, and %d are allowed",
                           size, NGX_IVSCHAT_ATTRIBUTES_MAX);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* AWS signs for the room's own region; another one is possible, but odd. */

static char *
ngx_ivschat_check_region(ngx_conf_t *cf, ngx_ivschat_loc_conf_t *conf)
{
    ngx_str_t              *region;
    ngx_uint_t              i;
    ngx_ivschat_room_t     *room;
    ngx_ivschat_room_arn_t  arn;

    if (conf->region == NULL || !ngx_ivschat_literal(conf->region))
    {
        return NGX_CONF_OK;
    }

    region = &conf->region->value;
    room = conf->rooms->elts;

    for (i = 0; i < conf->rooms->nelts; i++) {

        if (ngx_ivschat_room_arn_parse(
                        ngx_ivschat_pure(&room[i].value.value), &arn)
            != 0)
        {
            continue;
        }

        if (arn.region.len != region->len
            || ngx_memcmp(arn.region.data, region->data, region->len) != 0)
        {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"ivschat_token_region %V\" is not the "
                               "region of the room \"%V\"",
                               region, &room[i].value.value);
        }
    }

    return NGX_CONF_OK;
}
