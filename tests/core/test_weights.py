"""Weight files are written whole, read exactly, and refused with a reason."""

import hashlib
import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from restorekit.core.weights import WeightFile, load_metadata, load_weights, save_weights, sha256_of, verify_weights
from restorekit.errors import ModelError


def write_by_hand(path: Path, values: list[float]) -> None:
    """A safetensors file from its specification: header length, JSON header, little-endian data."""
    data = struct.pack(f"<{len(values)}e", *values)
    entry = {"dtype": "F16", "shape": [len(values)], "data_offsets": [0, len(data)]}
    header = json.dumps({"__metadata__": {"licence": "CC0-1.0"}, "weight": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


@pytest.fixture
def record(tmp_path: Path) -> WeightFile:
    return save_weights(tmp_path / "net.safetensors", {"weight": torch.arange(6.0)}, {"licence": "Apache-2.0"})


def test_load_weights_reads_a_file_written_from_the_specification(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    write_by_hand(path, [0.5, -2.0, 1024.0])
    tensors = load_weights(path)
    assert tensors["weight"].dtype == torch.float16
    assert tensors["weight"].tolist() == [0.5, -2.0, 1024.0]
    assert load_metadata(path) == {"licence": "CC0-1.0"}


def test_load_weights_converts_only_floating_point(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_weights(path, {"weight": torch.ones(2, dtype=torch.float16), "steps": torch.tensor([7])})
    tensors = load_weights(path, dtype=torch.float32)
    assert tensors["weight"].dtype == torch.float32
    assert tensors["steps"].dtype == torch.int64


def test_save_weights_keeps_views_and_tied_tensors(tmp_path: Path) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    expected = whole.t().tolist()
    save_weights(tmp_path / "net.safetensors", {"view": whole.t(), "tied": whole, "tied_again": whole})
    tensors = load_weights(tmp_path / "net.safetensors")
    assert tensors["view"].tolist() == expected
    assert torch.equal(tensors["tied"], tensors["tied_again"])


def test_save_weights_makes_folders_and_follows_the_umask(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    record = save_weights(tmp_path / "a" / "b" / "net.safetensors", {"w": torch.zeros(1)})
    assert record.path.stat().st_mode == ordinary.stat().st_mode


def test_save_weights_leaves_the_old_file_when_writing_fails(
    record: WeightFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(tensors: object, filename: Path, metadata: object) -> None:
        filename.write_bytes(b"half a fi")
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        save_weights(record.path, {"weight": torch.zeros(1)})
    verify_weights(record)
    assert [path.name for path in record.path.parent.iterdir()] == [record.path.name]


def test_save_weights_returns_a_record_that_verifies(record: WeightFile) -> None:
    content = record.path.read_bytes()
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert record.bytes == len(content)
    assert record.licence == "Apache-2.0"
    verify_weights(record)


def test_save_weights_refuses_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"net\.pth: expected a name ending in \.safetensors, got \.pth"):
        save_weights(tmp_path / "net.pth", {})


def test_sha256_of_reads_a_file_longer_than_its_buffer(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192 + b"tail"
    (tmp_path / "big").write_bytes(content)
    assert sha256_of(tmp_path / "big") == hashlib.sha256(content).hexdigest()


def test_verify_weights_says_where_an_absent_file_was_expected(record: WeightFile) -> None:
    record.path.unlink()
    with pytest.raises(ModelError, match=r"net\.safetensors: expected a weight file here, got nothing; put the file"):
        verify_weights(record)


def test_verify_weights_names_both_hashes(record: WeightFile) -> None:
    content = bytearray(record.path.read_bytes())
    content[-1] ^= 1
    record.path.write_bytes(content)
    got = hashlib.sha256(content).hexdigest()
    with pytest.raises(ModelError, match=rf"expected sha256 {record.sha256}, got {got}; .*--force-reinstall"):
        verify_weights(record)


def test_verify_weights_names_both_sizes(record: WeightFile) -> None:
    record.path.write_bytes(b"cut")
    with pytest.raises(ModelError, match=rf"expected {record.bytes} bytes, got 3; the file is incomplete"):
        verify_weights(record)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
def test_load_weights_refuses_pickles_naming_the_command(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match=rf"got \{suffix}, a pickle.*restorekit models convert .*net\{suffix}"):
        load_weights(path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64, b"version https://git-lfs"])
def test_load_weights_calls_a_damaged_file_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    for load in (load_weights, load_metadata):
        with pytest.raises(ModelError, match=rf"net\.safetensors: expected a safetensors file, got {len(content)} byt"):
            load(path)


def test_load_weights_calls_a_truncated_file_damaged(record: WeightFile) -> None:
    record.path.write_bytes(record.path.read_bytes()[:-4])
    with pytest.raises(ModelError, match="expected a safetensors file"):
        load_weights(record.path)


def test_weight_records_need_no_torch() -> None:
    code = "import sys; from restorekit.core.weights import WeightFile; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
