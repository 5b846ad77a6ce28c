
/*
 * The URLs that the environment gives for sources of credentials, as libcurl
 * reads them.
 */


#ifndef _NGX_IVSCHAT_URL_H_INCLUDED_
#define _NGX_IVSCHAT_URL_H_INCLUDED_


#define NGX_IVSCHAT_URL_MAX   1024     /* bytes */


/*
 * Whether a string with a NUL is an http or https URL of at most
 * NGX_IVSCHAT_URL_MAX bytes, without a user and a fragment.  With "keys" it
 * must be one that keys may be fetched from: over https from anywhere, over
 * http from this machine and the addresses of ECS and EKS only ("Container
 * credential provider", AWS SDKs and Tools Reference Guide).
 */

int ngx_ivschat_url_check(const char *url, int keys);


#endif /* _NGX_IVSCHAT_URL_H_INCLUDED_ */
