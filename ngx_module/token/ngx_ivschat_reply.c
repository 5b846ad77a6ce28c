
/*
 * What the client gets: a token, or an error as problem+json.
 */


#include "ngx_ivschat_token.h"


#define NGX_IVSCHAT_PROBLEM_SIZE   512


static ngx_int_t ngx_ivschat_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);
static void ngx_ivschat_clear_headers(ngx_http_request_t *r);
static ngx_int_t ngx_ivschat_add_allow(ngx_http_request_t *r,
    ngx_uint_t methods);
static ngx_int_t ngx_ivschat_add_retry_after(ngx_http_request_t *r,
    ngx_uint_t seconds);
static ngx_uint_t ngx_ivschat_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_ivschat_send_json(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *type, ngx_str_t *json);


static ngx_str_t  ngx_ivschat_cache_control =
                                                  ngx_string("Cache-Control");
static ngx_str_t  ngx_ivschat_content_type_options =
                                         ngx_string("X-Content-Type-Options");
static ngx_str_t  ngx_ivschat_allow = ngx_string("Allow");
static ngx_str_t  ngx_ivschat_seconds_to_retry =
                                                  ngx_string("Retry-After");

static ngx_str_t  ngx_ivschat_no_store = ngx_string("no-store");


ngx_int_t
ngx_ivschat_send_token(ngx_http_request_t *r, ngx_str_t *json)
{
    static ngx_str_t  type = ngx_string("application/json");
    static ngx_str_t  nosniff = ngx_string("nosniff");

    ngx_ivschat_clear_headers(r);

    if (ngx_ivschat_add_header(r,
                               &ngx_ivschat_cache_control,
                               &ngx_ivschat_no_store)
        != NGX_OK
        || ngx_ivschat_add_header(r,
                                  &ngx_ivschat_content_type_options,
                                  &nosniff)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_ivschat_send_json(r, NGX_HTTP_OK, &type, json);
}


ngx_int_t
ngx_ivschat_send_error(ngx_http_request_t *r, ngx_ivschat_loc_conf_t *conf,
    ngx_ivschat_result_e result, ngx_uint_t retry_after)
{
    ngx_str_t                         json;
    const ngx_ivschat_result_info_t  *info;

    static ngx_str_t  type = ngx_string("application/problem+json");

    info = ngx_ivschat_result_info(result);

    ngx_ivschat_clear_headers(r);

    if (result == NGX_IVSCHAT_METHOD_NOT_ALLOWED
        && ngx_ivschat_add_allow(r, conf->methods) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (retry_after && ngx_ivschat_add_retry_after(r, retry_after) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (conf->intercept_errors
        && ngx_ivschat_has_error_page(r, info->status))
    {
        return info->status;
    }

    if (ngx_ivschat_add_header(r,
                               &ngx_ivschat_cache_control,
                               &ngx_ivschat_no_store)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json.data = ngx_pnalloc(r->pool, NGX_IVSCHAT_PROBLEM_SIZE);
    if (json.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    json.len = ngx_ivschat_problem_json(result, retry_after,
                                        (char *) json.data,
                                        NGX_IVSCHAT_PROBLEM_SIZE);

    return ngx_ivschat_send_json(r, info->status, &type, &json);
}


static ngx_int_t
ngx_ivschat_add_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key = *name;
    h->value = *value;

    return NGX_OK;
}


/*
 * An error_page may have led here from another location of ours, whose headers
 * are still there.
 */

static void
ngx_ivschat_clear_headers(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    if (!r->internal) {
        return;
    }

    for (part = &r->headers_out.headers.part; part; part = part->next) {

        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.data == ngx_ivschat_allow.data
                || h[i].key.data == ngx_ivschat_seconds_to_retry.data)
            {
                h[i].hash = 0;
            }
        }
    }
}


static ngx_int_t
ngx_ivschat_add_allow(ngx_http_request_t *r, ngx_uint_t methods)
{
    ngx_str_t  *value;

    static ngx_str_t  post = ngx_string("POST");
    static ngx_str_t  get = ngx_string("GET");
    static ngx_str_t  both = ngx_string("POST, GET");

    if (methods == NGX_HTTP_POST) {
        value = &post;

    } else if (methods == NGX_HTTP_GET) {
        value = &get;

    } else {
        value = &both;
    }

    return ngx_ivschat_add_header(r, &ngx_ivschat_allow, value);
}


static ngx_int_t
ngx_ivschat_add_retry_after(ngx_http_request_t *r, ngx_uint_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%ui", seconds) - value.data;

    return ngx_ivschat_add_header(r, &ngx_ivschat_seconds_to_retry, &value);
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
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = json->data;
    b->last = json->data + json->len;
    b->memory = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    /* a client that has a token needs a new one, whatever its cache holds */

    r->disable_not_modified = 1;

    r->headers_out.status = status;
    r->headers_out.content_length_n = json->len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}
