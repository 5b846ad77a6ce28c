
/*
 * The URLs that the environment gives for sources of credentials.
 *
 * Nothing here allocates or knows nginx.
 */


#ifndef _NGX_IVSCHAT_URL_H_INCLUDED_
#define _NGX_IVSCHAT_URL_H_INCLUDED_


#define NGX_IVSCHAT_URL_MAX   1024     /* bytes */


/*
 * Whether a NUL-terminated string is an http or https URL with a host, of at
 * most NGX_IVSCHAT_URL_MAX bytes, in which nothing could be taken for a user,
 * a fragment or a second line: printable ASCII without blanks, "@", "#", "\\".
 */

int ngx_ivschat_url_valid(const char *url);

/*
 * Whether keys may be fetched from a valid URL: over https from anywhere, over
 * http from this machine and the addresses of ECS and EKS only ("Container
 * credential provider", AWS SDKs and Tools Reference Guide).
 */

int ngx_ivschat_url_may_carry_keys(const char *url);


#endif /* _NGX_IVSCHAT_URL_H_INCLUDED_ */
