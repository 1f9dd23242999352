"""The parts of waitress that are otherwise here, one by one; over sockets they are in tests/e2e/test_server.py."""

from waitress.adjustments import Adjustments

from pinocchio_core.web.connections import RequestParser


def test_request_whose_first_line_cannot_be_read_has_a_path_to_name_in_the_log():
    """Waitress names it when the client goes before the answer, and would end in an AttributeError of its own."""
    parser = RequestParser(Adjustments())
    parser.received(b"no request\r\n\r\n")
    assert parser.error.code == 400
    assert parser.path == ""
