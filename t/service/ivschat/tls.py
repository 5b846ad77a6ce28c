"""Makes the CA and the certificates of the local service with openssl(1).

The CA stays in the state directory from run to run, so that a restarted
service is still trusted; server certificates are issued at every start.
"""

import ssl
import subprocess
import time

CA_CONFIG = """\
[ca]
default_ca = local

[local]
database = {dir}/index.txt
new_certs_dir = {dir}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any_name

[any_name]
commonName = supplied

[req]
distinguished_name = name
prompt = no

[name]
commonName = IVS Chat local service CA

[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash

[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""

EC_KEY = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
          '-nodes')
DAY = 86400


def openssl(*args):
    """Run openssl; its complaint becomes the exception's text."""
    done = subprocess.run(('openssl',) + args, capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'openssl {args[0]}: {done.stderr.strip()}')


class Authority:
    """A certificate authority in one directory."""

    def __init__(self, directory):
        self.dir = directory
        self.dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.certificate = self.dir / 'ca.pem'
        self.key = self.dir / 'ca.key'
        (self.dir / 'index.txt').write_text('', encoding='ascii')

        if not (self.certificate.exists() and self.key.exists()):
            self._create()

    def _create(self):
        config = self._config('root', ['localhost'])
        openssl('req', '-x509', *EC_KEY, '-days', '3650', '-config', config,
                '-extensions', 'root', '-keyout', str(self.key),
                '-out', str(self.certificate))

    def _config(self, name, names):
        path = self.dir / f'{name}.cnf'
        path.write_text(
            CA_CONFIG.format(dir=self.dir, names=subject_alt_names(names)),
            encoding='ascii')
        return str(path)

    def issue(self, name, names, starts=-DAY, ends=365 * DAY):
        """A server context with a certificate for names; times from now."""
        key, request = self.dir / f'{name}.key', self.dir / f'{name}.csr'
        certificate = self.dir / f'{name}.pem'
        config = self._config(name, names)

        openssl('req', '-new', *EC_KEY, '-config', config,
                '-subj', f'/CN={name}', '-keyout', str(key),
                '-out', str(request))
        openssl('ca', '-batch', '-notext', '-config', config,
                '-extensions', 'leaf', '-cert', str(self.certificate),
                '-keyfile', str(self.key), '-startdate', asn1_time(starts),
                '-enddate', asn1_time(ends), '-in', str(request),
                '-out', str(certificate))

        return server_context(certificate, key)


def subject_alt_names(names):
    """The value of subjectAltName for host names and IPv4 addresses."""
    return ', '.join(
        ('IP:' if name.replace('.', '').isdigit() else 'DNS:') + name
        for name in names)


def asn1_time(offset):
    """A time relative to now as openssl ca wants it."""
    return time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + offset))


def server_context(certificate, key):
    """HTTP/1.1 over TLS 1.2 or 1.3, as AWS; the client's SNI is kept."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(['http/1.1'])
    context.load_cert_chain(certificate, key)
    context.sni_callback = remember_sni
    return context


def remember_sni(tls, name, _context):
    """Keep the name the client asked for, for the record."""
    tls.asked_name = name


def bad_contexts(authority, names):
    """Listeners whose certificate a careful client must refuse."""
    stranger = Authority(authority.dir / 'unknown-ca')

    return {
        'unknown_ca': stranger.issue('unknown-ca', names),
        'wrong_name': authority.issue('wrong-name', ['wrong.invalid']),
        'expired': authority.issue('expired', names, -30 * DAY, -DAY),
    }
