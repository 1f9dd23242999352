"""How requests are parsed, beside waitress; over sockets it is in tests/e2e/test_server.py."""

from hypothesis import example, given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser

from pinocchio_core.web.parsing import RequestParser

READ = ("command", "version", "path", "query", "fragment", "request_uri", "headers", "proxy_scheme", "proxy_netloc")


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
    own, other = RequestParser(Adjustments()), HTTPRequestParser(Adjustments())
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


def test_request_whose_first_line_cannot_be_read_has_a_path_to_name_in_the_log():
    """Waitress names it when the client goes before the answer, and would end in an AttributeError of its own."""
    parser = RequestParser(Adjustments())
    parser.received(b"no request\r\n\r\n")
    assert parser.error.code == 400
    assert parser.path == ""
