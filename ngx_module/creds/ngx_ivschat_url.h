
/*
 * URLs of sources of credentials in the environment, as libcurl parses them.
 */


#ifndef _NGX_IVSCHAT_URL_H_INCLUDED_
#define _NGX_IVSCHAT_URL_H_INCLUDED_


#define NGX_IVSCHAT_URL_MAX        1024    /* bytes */

#define NGX_IVSCHAT_URL_HTTP       0x1
#define NGX_IVSCHAT_URL_HTTPS      0x2
#define NGX_IVSCHAT_URL_LOOPBACK   0x4
#define NGX_IVSCHAT_URL_ECS        0x8     /* addresses of ECS and EKS */

/*
 * Hosts that may see secrets ("Container credential provider", AWS SDKs and
 * Tools Reference Guide): over http only this one and those of ECS and EKS.
 */

#define NGX_IVSCHAT_URL_SAFE                                                  \
    (NGX_IVSCHAT_URL_HTTPS|NGX_IVSCHAT_URL_LOOPBACK|NGX_IVSCHAT_URL_ECS)


/*
 * The flags of a NUL-terminated string that is an http or https URL of at most
 * NGX_IVSCHAT_URL_MAX bytes, without user and fragment; 0 if it is not one.
 */

int ngx_ivschat_url(const char *url);


#endif /* _NGX_IVSCHAT_URL_H_INCLUDED_ */
