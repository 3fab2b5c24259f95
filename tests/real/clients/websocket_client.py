"""Send messages and compare what comes back: ``websocket_client.py URL CA COUNT``; prints the count."""

import asyncio
import ssl
import sys

from websockets.asyncio.client import ClientConnection, connect

WINDOW = 100  # messages under way


async def main() -> None:
    url, authority, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    context = ssl.create_default_context(cafile=authority) if url.startswith("wss") else None
    messages = [f"message {number} {'x' * (number % 2000)}" for number in range(count)]
    same = 0
    async with connect(url, ssl=context) as connection:
        room = asyncio.Semaphore(WINDOW)
        sender = asyncio.create_task(send(connection, messages, room))
        for message in messages:
            same += await connection.recv() == message
            room.release()
        await sender
    print(same)


async def send(connection: ClientConnection, messages: list[str], room: asyncio.Semaphore) -> None:
    for message in messages:
        await room.acquire()
        await connection.send(message)


asyncio.run(main())
