"""Which code measured: the commit, and whether the tree differs from it."""

import os
import shutil
import subprocess

import pytest

from restorekit.comparison.checkout import Checkout, find_checkout

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)

    def git(*arguments):
        settings = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        answer = subprocess.run(["git", "-C", tmp_path, *settings, *arguments], capture_output=True, check=True)
        return answer.stdout.decode().strip()

    (tmp_path / "restorekit").mkdir()
    (tmp_path / "restorekit" / "code.py").write_text("A = 1\n")
    (tmp_path / "README.md").write_text("a\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return tmp_path, git("rev-parse", "--short", "HEAD")


def test_checkout_says_whether_the_tree_differs_from_the_commit(repository):
    folder, commit = repository
    clean = find_checkout(folder)
    assert (clean.commit, clean.modified) == (commit, False)
    (folder / "results.json").write_text("{}")  # nobody has asked git to keep it
    assert find_checkout(folder) == clean
    (folder / "README.md").write_text("b\n")
    told = find_checkout(folder)
    assert (told.commit, told.modified) == (commit, True)
    assert told.changes == clean.changes  # no other numbers come of that


def test_checkout_tells_changes_of_the_package_apart(repository):
    folder, _ = repository
    found = [find_checkout(folder).changes]
    for value in (2, 3):
        (folder / "restorekit" / "code.py").write_text(f"A = {value}\n")
        found.append(find_checkout(folder).changes)
    assert len(set(found)) == 3


def test_an_installed_package_has_no_commit(tmp_path):
    assert find_checkout(tmp_path) == Checkout(None, None, None)
