"""A file appears whole or not at all."""

import pytest

from restorekit.core.atomic import replacing, write_bytes


def test_write_replaces_the_old_file(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"old")
    assert write_bytes(tmp_path / "a.txt", b"new").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt])
def test_failure_half_way_leaves_the_old_file_and_nothing_beside_it(failure, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"old")
    with pytest.raises(failure):
        fail_half_way(tmp_path / "a.txt", failure)
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def fail_half_way(path, failure):
    with replacing(path) as beside:
        beside.write_bytes(b"ne")
        raise failure
