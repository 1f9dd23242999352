"""Opening files that people name: what is not a file with profiles is refused in words, and holds nothing up."""

import os

import pytest

from pinocchio_core.errors import FilesRefused
from pinocchio_core.files.source import MAX_FILE_BYTES, read_source


def refusal(path):
    with pytest.raises(FilesRefused) as refused:
        read_source(path)
    (problem,) = refused.value.problems
    assert problem.file == path
    return problem


def test_json_is_strict_json(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"slug": "a",\n "slug": "b"}')

    assert "more than once" in refusal(path).reason
    path.write_text('{"slug": "a",\n oops}')
    assert "line 2" in refusal(path).reason


def test_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfslug: a\n")

    assert read_source(path).document == b'{"slug":"a"}'


def test_what_is_no_utf8_is_refused_with_its_line(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")

    assert refusal(path).line == 2
    path.write_bytes("a: 1\n".encode("utf-16"))
    assert "is not UTF-8" in refusal(path).reason


def test_folder_fifo_loop_and_missing_file_are_refused_at_once(tmp_path):
    folder, fifo, loop = tmp_path / "folder.yaml", tmp_path / "fifo.yaml", tmp_path / "loop.yaml"
    folder.mkdir()
    os.mkfifo(fifo)
    loop.symlink_to(loop)

    assert "is a folder" in refusal(folder).reason
    assert "not a regular file" in refusal(fifo).reason
    assert "symbolic links" in refusal(loop).reason
    assert "No such file" in refusal(tmp_path / "missing.yaml").reason


def test_file_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.yaml"
    path.touch()
    os.truncate(path, 100 * 1024 * 1024)

    assert f"at most {MAX_FILE_BYTES}" in refusal(path).reason
