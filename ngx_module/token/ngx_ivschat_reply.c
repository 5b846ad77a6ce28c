
#include "ngx_ivschat_reply.h"


#define NGX_IVSCHAT_PROBLEM_SIZE   512


static ngx_int_t ngx_ivschat_reply_error(ngx_http_request_t *r,
    ngx_ivschat_result_e result, ngx_uint_t retry_after);
static void ngx_ivschat_clear_headers(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_push_header(ngx_http_request_t *r,
    ngx_str_t *name, char *value);
static ngx_int_t ngx_ivschat_error_headers(ngx_http_request_t *r,
    ngx_ivschat_result_e result, ngx_uint_t retry_after);
static ngx_uint_t ngx_ivschat_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_ivschat_send_json(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *json);
static ngx_int_t ngx_ivschat_no_expires(ngx_http_request_t *r);


static ngx_str_t  ngx_ivschat_allow = ngx_string("Allow");
static ngx_str_t  ngx_ivschat_retry_after = ngx_string("Retry-After");


ngx_int_t
ngx_ivschat_reply(ngx_http_request_t *r, ngx_ivschat_result_e result,
    ngx_uint_t retry_after, ngx_str_t *json)
{
    static ngx_str_t  type = ngx_string("application/json");
    static ngx_str_t  name = ngx_string("X-Content-Type-Options");

    ngx_ivschat_clear_headers(r);

    if (result != NGX_IVSCHAT_OK) {
        return ngx_ivschat_reply_error(r, result, retry_after);
    }

    if (ngx_ivschat_push_header(r, &name, "nosniff") != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_ivschat_send_json(r, NGX_HTTP_OK, &type, json);
}


static ngx_int_t
ngx_ivschat_reply_error(ngx_http_request_t *r, ngx_ivschat_result_e result,
    ngx_uint_t retry_after)
{
    ngx_str_t   json;
    ngx_uint_t  status;

    static ngx_str_t  type = ngx_string("application/problem+json");

    if (ngx_ivschat_error_headers(r, result, retry_after) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    status = ngx_ivschat_result_info(result)->status;

    if (ngx_ivschat_get_conf(r)->intercept_errors
        && ngx_ivschat_has_error_page(r, status))
    {
        return status;
    }

    json.data = ngx_pnalloc(r->pool, NGX_IVSCHAT_PROBLEM_SIZE);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json.len = ngx_ivschat_problem_json(result, retry_after,
                                        (char *) json.data,
                                        NGX_IVSCHAT_PROBLEM_SIZE);

    return ngx_ivschat_send_json(r, status, &type, &json);
}


/*
 * An error_page may have led here from another location with tokens, whose
 * headers are still there.
 */

static void
ngx_ivschat_clear_headers(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.data == ngx_ivschat_allow.data
                || h[i].key.data == ngx_ivschat_retry_after.data)
            {
                h[i].hash = 0;
            }
        }
    }
}


static ngx_int_t
ngx_ivschat_push_header(ngx_http_request_t *r, ngx_str_t *name, char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = *name;
    h->value.data = (u_char *) value;
    h->value.len = ngx_strlen(value);

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_error_headers(ngx_http_request_t *r, ngx_ivschat_result_e result,
    ngx_uint_t retry_after)
{
    char        *value;
    ngx_uint_t   methods;

    if (result == NGX_IVSCHAT_METHOD_NOT_ALLOWED) {
        methods = ngx_ivschat_get_conf(r)->methods;

        value = (methods == NGX_HTTP_POST) ? "POST"
                : (methods == NGX_HTTP_GET) ? "GET" : "POST, GET";

        return ngx_ivschat_push_header(r, &ngx_ivschat_allow, value);
    }

    if (retry_after == 0) {
        return NGX_OK;
    }

    value = ngx_pnalloc(r->pool, NGX_INT_T_LEN + 1);
    if (value == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf((u_char *) value, "%ui%Z", retry_after);

    return ngx_ivschat_push_header(r, &ngx_ivschat_retry_after, value);
}


static ngx_uint_t
ngx_ivschat_has_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->error_pages == NULL
        || (r->error_page && !clcf->recursive_error_pages))
    {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_ivschat_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_str_t *json)
{
    ngx_http_complex_value_t  cv;

    static ngx_str_t  name = ngx_string("Cache-Control");

    if (ngx_ivschat_push_header(r, &name, "no-store") != NGX_OK
        || ngx_ivschat_no_expires(r) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* a client that has a token needs a new one, whatever its cache holds */

    r->disable_not_modified = 1;

    r->headers_out.content_type_lowcase = NULL;

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));
    cv.value = *json;

    return ngx_http_send_response(r, status, type, &cv);
}


/*
 * "expires" sets the headers that are known to nginx, or adds them.  These are
 * known, but not sent.
 */

static ngx_int_t
ngx_ivschat_no_expires(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;
#if (nginx_version < 1023000)
    ngx_table_elt_t  **cc;
#endif

    h = ngx_pcalloc(r->pool, 2 * sizeof(ngx_table_elt_t));
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(&h[0].value, "no-store");
    ngx_str_set(&h[1].value, "Thu, 01 Jan 1970 00:00:01 GMT");

#if (nginx_version < 1023000)

    if (ngx_array_init(&r->headers_out.cache_control, r->pool, 1,
                       sizeof(ngx_table_elt_t *))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cc = ngx_array_push(&r->headers_out.cache_control);
    *cc = &h[0];

#else
    r->headers_out.cache_control = &h[0];
#endif

    r->headers_out.expires = &h[1];

    return NGX_OK;
}
