
/*
 * The sources that have an address of their own on a machine of AWS's: the
 * endpoint of a container, and the metadata service of an EC2 instance.
 */


#include "ngx_ivschat_sources.h"
#include "ngx_ivschat_url.h"


#define NGX_IVSCHAT_ECS_URL     "http://169.254.170.2"
#define NGX_IVSCHAT_IMDS_URL    "http://169.254.169.254"
#define NGX_IVSCHAT_IMDS6_URL   "http://[fd00:ec2::254]"


/* Where both of a pair are set, Python's and C's SDKs are followed. */

ngx_int_t
ngx_ivschat_find_container(ngx_ivschat_find_t *find)
{
    char                   url[NGX_IVSCHAT_URL_MAX + 2];
    const char            *relative, *full;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;

    relative = ngx_ivschat_getenv(find->cf,
                                  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    full = ngx_ivschat_getenv(find->cf,
                              "AWS_CONTAINER_CREDENTIALS_FULL_URI");

    if (relative) {
        ngx_snprintf((u_char *) url, sizeof(url) - 1,
                     NGX_IVSCHAT_ECS_URL "%s%Z", relative);
        url[sizeof(url) - 1] = '\0';
        full = url;

        if (relative[0] != '/' || !ngx_ivschat_url_check(url, 0)) {
            return ngx_ivschat_find_fail(find, NGX_ERROR,
                                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
                                    "is no path");
        }

    } else if (full == NULL) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED, "neither "
                                     "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
                                     "nor _FULL_URI is set in the environment");

    } else if (!ngx_ivschat_url_check(full, 1)) {
        return ngx_ivschat_find_fail(find, NGX_ERROR,
                                     "AWS_CONTAINER_CREDENTIALS_FULL_URI must "
                                     "be https, or http to this machine, "
                                     "169.254.170.2, 169.254.170.23 or "
                                     "[fd00:ec2::23]");
    }

    source->base = NGX_IVSCHAT_BASE_CONTAINER;
    source->url = ngx_ivschat_find_dup(find, ngx_ivschat_str(full));
    source->token_file = ngx_ivschat_find_env(find,
                                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    source->token = ngx_ivschat_find_env(find,
                                         "AWS_CONTAINER_AUTHORIZATION_TOKEN");

    return source->url ? NGX_OK : NGX_ERROR;
}


ngx_int_t
ngx_ivschat_find_imds(ngx_ivschat_find_t *find)
{
    const char            *disabled, *endpoint, *mode;
    ngx_ivschat_str_t      url;
    ngx_ivschat_source_t  *source;

    source = &find->found->source;

    disabled = ngx_ivschat_getenv(find->cf, "AWS_EC2_METADATA_DISABLED");
    endpoint = ngx_ivschat_getenv(find->cf,
                                  "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    mode = ngx_ivschat_getenv(find->cf,
                              "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

    if (disabled && strcasecmp(disabled, "false") != 0) {
        return ngx_ivschat_find_fail(find, NGX_DECLINED,
                                     "AWS_EC2_METADATA_DISABLED is set");
    }

    if (endpoint && !ngx_ivschat_url_check(endpoint, 0)) {
        return ngx_ivschat_find_fail(find, NGX_ERROR,
                                     "AWS_EC2_METADATA_SERVICE_ENDPOINT is no "
                                     "URL");
    }

    if (endpoint == NULL && mode && strcasecmp(mode, "IPv4") != 0
        && strcasecmp(mode, "IPv6") != 0)
    {
        return ngx_ivschat_find_fail(find, NGX_ERROR,
                                     "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE "
                                     "is neither IPv4 nor IPv6");
    }

    if (endpoint == NULL) {
        endpoint = (mode && strcasecmp(mode, "IPv6") == 0)
                   ? NGX_IVSCHAT_IMDS6_URL : NGX_IVSCHAT_IMDS_URL;
    }

    url = ngx_ivschat_str_trim(ngx_ivschat_str(endpoint), "/");

    source->base = NGX_IVSCHAT_BASE_IMDS;
    source->url = ngx_ivschat_find_dup(find, url);

    return source->url ? NGX_OK : NGX_ERROR;
}
