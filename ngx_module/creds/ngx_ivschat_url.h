
/*
 * URLs of sources of credentials in the environment, as libcurl parses them.
 */


#ifndef _NGX_IVSCHAT_URL_H_INCLUDED_
#define _NGX_IVSCHAT_URL_H_INCLUDED_


#define NGX_IVSCHAT_URL_MAX   1024     /* bytes */


/*
 * Whether a NUL-terminated string is an http or https URL of at most
 * NGX_IVSCHAT_URL_MAX bytes, without user and fragment.  With "keys", http is
 * limited to this machine and the addresses of ECS and EKS ("Container
 * credential provider", AWS SDKs and Tools Reference Guide).
 */

int ngx_ivschat_url_check(const char *url, int keys);


#endif /* _NGX_IVSCHAT_URL_H_INCLUDED_ */
