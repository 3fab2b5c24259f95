"""Sound vectors with mistakes put in: what a careless or a hostile peer might send.

Decides only which mistakes are likely to matter. Refuses to know what becomes of them.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from .transcript import Vector

SNIPPETS = [
    *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b"#", b"0", b"5", b"x", b"="),
    *(b"\x00", b"\x0b", b"\x7f", b"\x85", b"\xff", b'"', b"\\", b"+", b"-", b"_", b"%", b"@", b"[", b"]"),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Host: a\r\n"),
    *(b"chunked", b"gzip, ", b"HTTP/1.0", b"http://a", b"X: y\r\n", b"\r\n y", b"Connection: close\r\n"),
    *(b"100 Continue", b"204", b"304", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
]


@st.composite
def mutated(draw: st.DrawFn, corpus: list[Vector]) -> Vector:
    """A sound vector with one to three mistakes."""
    vector = draw(st.sampled_from(corpus))
    data = vector.data
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([0, 0, 1, 1, 2, 4, 30])))
        data = data[:at] + draw(st.sampled_from([b"", data[at:end] * 2, *SNIPPETS])) + data[end:]
    return replace(vector, data=data)
