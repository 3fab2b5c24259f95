"""A WebSocket server that echoes: ``websocket_server.py PORT SECURE_PORT CERTIFICATE``."""

import asyncio
import ssl
import sys

from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    port, secure_port, certificate = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with (
        serve(echo, "127.0.0.1", int(port)),
        serve(echo, "127.0.0.1", int(secure_port), ssl=context) as server,
    ):
        await server.serve_forever()


asyncio.run(main())
