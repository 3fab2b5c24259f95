"""100 requests at once: ``aiohttp_client.py FILES ORIGIN CA``; prints JSON of the distinct answers."""

import asyncio
import hashlib
import json
import ssl
import sys

import aiohttp


async def main() -> None:
    files, origin, authority = sys.argv[1:]
    context = ssl.create_default_context(cafile=authority)
    connector = aiohttp.TCPConnector(ssl=context, limit=100)

    async with aiohttp.ClientSession(connector=connector) as session:

        async def get(url: str) -> str:
            async with session.get(url) as response:
                response.raise_for_status()
                return hashlib.sha256(await response.read()).hexdigest()

        async def post(number: int) -> bool:
            data = hashlib.shake_256(str(number).encode()).digest(50_000)
            async with session.post(f"{origin}/store", data=data) as response:
                got = await response.json()
            return bool(got["sha256"] == hashlib.sha256(data).hexdigest())

        small = await asyncio.gather(*(get(f"{files}/small.txt") for _ in range(100)))
        chunked = await asyncio.gather(*(get(f"{origin}/chunked/300000") for _ in range(100)))
        posted = await asyncio.gather(*(post(number) for number in range(100)))
    found = {"small": sorted(set(small)), "chunked": sorted(set(chunked)), "posted": sum(posted)}
    print(json.dumps(found))


asyncio.run(main())
