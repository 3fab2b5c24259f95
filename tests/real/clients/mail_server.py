"""A mail server: ``mail_server.py PORT SECURE_PORT CERTIFICATE``; prints the SHA-256 of each mail."""

import asyncio
import hashlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, Envelope, Session


class Digests:
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        people = " ".join(envelope.rcpt_tos)
        print("mail", hashlib.sha256(content).hexdigest(), people, flush=True)
        return "250 taken"


async def main() -> None:
    port, secure_port, certificate = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    limit = 64 * 1024 * 1024

    def plain() -> SMTP:
        return SMTP(Digests(), hostname="mail.test", data_size_limit=limit, tls_context=context)

    def secure() -> SMTP:
        return SMTP(Digests(), hostname="mail.test", data_size_limit=limit)

    await loop.create_server(plain, "127.0.0.1", int(port))
    await loop.create_server(secure, "127.0.0.1", int(secure_port), ssl=context)
    await asyncio.Event().wait()


asyncio.run(main())
