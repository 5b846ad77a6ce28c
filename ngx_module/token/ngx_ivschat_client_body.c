
#include "ngx_ivschat_client_body.h"
#include "ngx_ivschat_policy.h"


static ngx_int_t ngx_ivschat_body_was_read(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body);
static ngx_int_t ngx_ivschat_keep_body(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body);
static ngx_int_t ngx_ivschat_keep_buf(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body, ngx_buf_t *b);
static void ngx_ivschat_drop_body(ngx_http_request_t *r);


char *
ngx_ivschat_client_attributes(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_ivschat_loc_conf_t  *ilcf = conf;

    ngx_str_t          *value;
    ngx_uint_t          i, j, none;
    ngx_array_t       **names;
    ngx_ivschat_str_t  *name, *known;

    value = cf->args->elts;
    names = &ilcf->client_attributes;

    if (ngx_ivschat_list(cf, names, sizeof(ngx_ivschat_str_t), &none)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    ilcf->own_client_attributes = !none;

    for (i = none ? 2 : 1; i < cf->args->nelts; i++) {

        name = ngx_array_push(*names);

        if (name == NULL
            || ngx_ivschat_check_name(cf, &value[i], &value[i]) != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }

        if (ngx_ivschat_is_condition(&value[i])) {
            return ngx_ivschat_invalid(cf, &value[i],
                                       "conditions are not supported here");
        }

        *name = ngx_ivschat_pure(&value[i]);
        known = (*names)->elts;

        for (j = 0; j + 1 < (*names)->nelts; j++) {
            if (ngx_ivschat_str_equal(known[j], *name)) {
                return ngx_ivschat_invalid(cf, &value[i], "duplicate");
            }
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_ivschat_client_body_start(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body, ngx_http_client_body_handler_pt handler)
{
    ngx_int_t  rc;

    body->size = NGX_IVSCHAT_BODY_MAX;

    if (r->discard_body || r->request_body) {
        rc = ngx_ivschat_body_was_read(r, body);

    } else if (ngx_ivschat_get_conf(r)->client_body
               && r->headers_in.content_length_n > NGX_IVSCHAT_BODY_MAX)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the client's body has %O bytes, the limit is %d",
                      r->headers_in.content_length_n, NGX_IVSCHAT_BODY_MAX);

        /* as in nginx, without waiting for it and without "100 Continue" */

        r->expect_tested = 1;
        (void) ngx_http_discard_request_body(r);

        rc = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;

    } else {

        /*
         * Many requests may wait for the rate, and most bodies are small.
         * nginx adds up the chunks of a body here, so that the length is
         * checked now.
         */

        if (r->headers_in.content_length_n > 0) {
            body->size = ngx_min(r->headers_in.content_length_n,
                                 NGX_IVSCHAT_BODY_MAX);
        }

        r->request_body_no_buffering = 1;

        rc = ngx_http_read_client_request_body(r, handler);

        if (rc < NGX_HTTP_SPECIAL_RESPONSE) {
            return NGX_AGAIN;
        }
    }

    r->main->count++;

    return rc;
}


/*
 * An error page of another location has redirected here, or a module such as
 * "mirror" has already read the body.
 */

static ngx_int_t
ngx_ivschat_body_was_read(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body)
{
    if (r->discard_body) {

        /*
         * The body is being discarded, which a subrequest must not see.  The
         * connection is closed after this request, so the rest is not read.
         */

        r->main->count--;
        r->discard_body = 0;
        r->keepalive = 0;
        r->lingering_close = 1;
        r->read_event_handler = ngx_http_block_reading;

        return NGX_OK;
    }

    if (r->reading_body) {

        /* the error was in the body */

        return NGX_HTTP_BAD_REQUEST;
    }

    return ngx_ivschat_keep_body(r, body);
}


ngx_int_t
ngx_ivschat_client_body_read(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body)
{
    ngx_int_t  rc;

    if (r->connection->read->timedout) {
        r->connection->timedout = 1;
        return NGX_HTTP_REQUEST_TIME_OUT;
    }

    for ( ;; ) {

        rc = ngx_ivschat_keep_body(r, body);

        if (rc != NGX_OK) {
            return rc;
        }

        ngx_ivschat_drop_body(r);

        if (!r->reading_body) {

            /* for $request_body, and an error page in another location */

            r->request_body->bufs = body->kept;

            return NGX_OK;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        /*
         * nginx does not read on while its buffer is in use, and no event
         * follows: only an empty chain means that an event will follow.
         */

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            return NGX_AGAIN;
        }
    }
}


/* Keeps the body only with "ivschat_token_client_body on". */

static ngx_int_t
ngx_ivschat_keep_body(ngx_http_request_t *r, ngx_ivschat_client_body_t *body)
{
    ngx_int_t     rc;
    ngx_chain_t  *cl;

    cl = ngx_ivschat_get_conf(r)->client_body ? r->request_body->bufs : NULL;

    for ( /* void */ ; cl; cl = cl->next) {
        rc = ngx_ivschat_keep_buf(r, body, cl->buf);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_ivschat_keep_buf(ngx_http_request_t *r, ngx_ivschat_client_body_t *body,
    ngx_buf_t *b)
{
    off_t       size;
    ngx_buf_t  *kept;

    size = ngx_buf_size(b);

    if (size == 0) {
        return NGX_OK;
    }

    if (body->kept == NULL) {

        kept = ngx_create_temp_buf(r->pool, body->size);
        body->kept = ngx_alloc_chain_link(r->pool);

        if (kept == NULL || body->kept == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        body->kept->buf = kept;
        body->kept->next = NULL;
    }

    kept = body->kept->buf;

    if (size > kept->end - kept->last) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the client's body exceeds %d bytes",
                      NGX_IVSCHAT_BODY_MAX);
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    if (ngx_buf_in_memory(b)) {
        ngx_memcpy(kept->last, b->pos, size);

    } else if (ngx_read_file(b->file, kept->last, size, b->file_pos) != size) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    kept->last += size;

    return NGX_OK;
}


static void
ngx_ivschat_drop_body(ngx_http_request_t *r)
{
    ngx_chain_t  *cl, *next;

    for (cl = r->request_body->bufs; cl; cl = next) {
        next = cl->next;

        cl->buf->pos = cl->buf->last;
        cl->buf->file_pos = cl->buf->file_last;

        ngx_free_chain(r->pool, cl);
    }

    r->request_body->bufs = NULL;
}


ngx_ivschat_result_e
ngx_ivschat_client_body_parse(ngx_http_request_t *r,
    ngx_ivschat_client_body_t *body)
{
    char              *strings;
    size_t             n;
    ngx_buf_t         *b;
    const char        *reason;
    ngx_array_t       *allowed;
    ngx_ivschat_str_t  text, *names;

    text.data = NULL;
    text.len = 0;

    if (body->kept) {
        b = body->kept->buf;
        text.data = (const char *) b->pos;
        text.len = b->last - b->pos;
    }

    allowed = ngx_ivschat_get_conf(r)->client_attributes;

    names = allowed ? allowed->elts : NULL;
    n = allowed ? allowed->nelts : 0;

    body->asked.attributes = ngx_palloc(r->pool,
                                     n * sizeof(ngx_ivschat_attribute_t) + 1);
    strings = ngx_pnalloc(r->pool, text.len + 1);

    if (body->asked.attributes == NULL || strings == NULL) {
        return NGX_IVSCHAT_UNKNOWN;
    }

    if (ngx_ivschat_body_parse(text, names, n, strings, &body->asked, &reason)
        != 0)
    {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "the client's body is rejected: %s", reason);
        return NGX_IVSCHAT_INVALID_REQUEST;
    }

    return NGX_IVSCHAT_OK;
}
