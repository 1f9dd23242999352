"""Requests as they come over a connection, parsed by waitress; otherwise than by itself.

- A target or a length that Python refuses to parse ends the connection without an answer; here it is a 400.
- A target in which there is nothing to parse is not parsed.
- Headers that came with another request just so are not parsed again: most clients send the same ones every time.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver

_PLAIN_TARGET = re.compile(rb"([A-Z]+ )(/(?:[\w.~@:-][\w.~@:/-]*)?)(?:\?([!\"$-~]*))?(?= )")
"""A method, and a path with an optional query that mean what they say: no escapes, no host, no fragment."""
_OTHER_EACH_TIME = re.compile(
    rb"\r\n(If-(?:None-)?Match|traceparent|X-Request-Id): ([!-~]+(?: [!-~]+)*)(?=\r\n[^ \t])", re.IGNORECASE
)
"""A header with another value in each request of a client that sends the same headers otherwise."""
_SHORT_BYTES: Final = 2048
"""How long headers may be that are remembered."""


class RequestParser(HTTPRequestParser):
    """The bytes of a request, as they come."""

    path = ""
    """Where no path could be read: waitress names it when the client of such a request goes before its answer."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the first line and the headers; waitress.parser.ParsingError, which is answered, where it cannot.

        In a plain target there is nothing to parse: one that is the same every time is read in its place, so that only
        the method and the headers decide whether all of it was read before.
        """
        plain = _PLAIN_TARGET.match(header_plus)
        if plain is None:
            self._parse(header_plus)
            return
        method, path, query = plain.groups()
        self._parse(method + b"/" + header_plus[plain.end() :])
        self.path = self.request_uri = path.decode("ascii")
        if query is not None:
            self.query = query.decode("ascii")
            self.request_uri += f"?{self.query}"

    def _parse(self, header_plus: bytes) -> None:
        try:
            if len(header_plus) <= _SHORT_BYTES:
                self._read_as_before(header_plus)
            else:
                super().parse_header(header_plus)
        except ValueError as error:  # an unclosed bracket in a host, a Content-Length of thousands of digits
            raise ParsingError("the request target or the Content-Length cannot be read") from error

    def _read_as_before(self, header_plus: bytes) -> None:
        other = _OTHER_EACH_TIME.search(header_plus)
        if other is None:
            self._take(_read(header_plus, self.adj))
            return
        name = other[1].upper().replace(b"-", b"_").decode("ascii")
        read = _read(header_plus[: other.start()] + header_plus[other.end() :], self.adj)
        if name in read["headers"]:  # it is there twice
            read = _read(header_plus, self.adj)
        self._take(read)
        self.headers.setdefault(name, other[2].decode("ascii"))

    def _take(self, read: Mapping[str, Any]) -> None:
        self.__dict__.update(read)
        self.headers = read["headers"].copy()
        if read.get("body_rcv") is not None:
            body = OverflowableBuffer(self.adj.inbuf_overflow)
            self.body_rcv = ChunkedReceiver(body) if self.chunked else FixedStreamReceiver(self.content_length, body)


@lru_cache(64)
def _read(header_plus: bytes, adj: Adjustments) -> dict[str, Any]:
    """What waitress finds in a first line and headers; what it refuses is not remembered."""
    parser = HTTPRequestParser(adj)
    parser.parse_header(header_plus)
    return cast("dict[str, Any]", vars(parser))
