"""How requests are parsed, beside waitress; over sockets it is in tests/e2e/test_server.py."""

from hypothesis import example, given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from pinocchio_core.web.parsing import RequestParser

ADJUSTMENTS = Adjustments()
READ = ("command", "version", "path", "query", "fragment", "request_uri", "headers", "proxy_scheme", "proxy_netloc")
STATE = (*READ, "url_scheme", "chunked", "content_length", "completed", "connection_close", "expect_continue")


@given(
    st.one_of(
        st.from_regex(rb"/[\w.~@:/-]{0,9}(\?[!-~]{0,9})?", fullmatch=True),
        st.from_regex(rb"[!-~]{1,3}[\x00-\xff]{0,12}", fullmatch=True),
    ),
    st.sampled_from([b"GET", b"PATCH", b"get", b"G/"]),
    st.sampled_from([b" HTTP/1.1", b" HTTP/1.0", b"", b" ", b" x HTTP/1.1"]),
)
@example(b"//host/path", b"GET", b" HTTP/1.1")
@example(b"/a?b?c=/d", b"GET", b" HTTP/1.1")
@example(b"/a#b", b"GET", b" HTTP/1.1")
@example(b"/?", b"GET", b" HTTP/1.1")
def test_a_request_is_read_as_waitress_reads_it(target, method, rest):
    own, other = RequestParser(ADJUSTMENTS), HTTPRequestParser(ADJUSTMENTS)
    sent = method + b" " + target + rest + b"\r\nHost: x\r\nA: b\r\n\r\n"
    own.received(sent)
    try:
        other.received(sent)
    except ValueError:
        assert own.error.code == 400
        return
    assert (own.error and own.error.code) == (other.error and other.error.code)
    if not other.error and other.completed and not other.empty:
        assert [getattr(own, name) for name in READ] == [getattr(other, name) for name in READ]


HEADER = st.sampled_from(
    [
        b"Host: x",
        b"A: b",
        b"A: c",
        b"X_Y: z",
        b'If-None-Match: "1-a"',
        b'if-none-match: "2-b", W/"3"',
        b"If-None-Match:  x ",
        b"If-None-Match: x\r\n y",
        b"If-None-Match: \xff",
        b"If-None-Match: ",
        b"If-Match: *",
        b"traceparent: 00-1",
        b"X-Request-Id: one",
        b"Connection: close",
        b"Connection: keep-alive",
        b"Expect: 100-continue",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"no header",
        b"Long: " + b"x" * 3000,
    ]
)


@given(
    st.sampled_from([b"GET /a", b"PATCH /b?c", b"POST /d%20e"]),
    st.sampled_from([b" HTTP/1.1", b" HTTP/1.0"]),
    st.lists(HEADER, max_size=4),
)
def test_headers_that_came_before_are_read_as_waitress_reads_them(start, version, headers):
    sent = b"\r\n".join([start + version, *headers, b"", b""])
    for body in (b"one", b"two"):
        own, other = RequestParser(ADJUSTMENTS), HTTPRequestParser(ADJUSTMENTS)
        for parser in (own, other):
            parser.received(sent)
            if not parser.completed:
                parser.received(b"3\r\n%b\r\n0\r\n\r\n" % body if parser.chunked else body)
        assert (own.error and own.error.code) == (other.error and other.error.code)
        if not other.error:
            assert [getattr(own, name) for name in STATE] == [getattr(other, name) for name in STATE]
            assert own.get_body_stream().read() == other.get_body_stream().read()


def test_what_is_done_with_the_headers_of_a_request_is_not_done_with_those_of_the_next():
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    first, second = RequestParser(ADJUSTMENTS), RequestParser(ADJUSTMENTS)
    first.received(sent)
    first.received(b"1\r\nx\r\n0\r\n\r\n")
    first.headers["HOST"] = "y"
    second.received(sent)
    assert (second.headers, second.completed) == ({"HOST": "x"}, False)


def test_request_whose_first_line_cannot_be_read_has_a_path_to_name_in_the_log():
    """Waitress names it when the client goes before the answer, and would end in an AttributeError of its own."""
    parser = RequestParser(ADJUSTMENTS)
    parser.received(b"no request\r\n\r\n")
    assert parser.error.code == 400
    assert parser.path == ""
