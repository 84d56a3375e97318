"""The doctor names each illness and the command that cures it, and falls ill of none."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from restorekit.core.weights import WeightFile
from restorekit.doctor import Finding, diagnose_installation, formats, machine, pytorch
from restorekit.doctor.finding import isolated
from restorekit.doctor.pytorch import TorchFacts

FAKE_TORCH = """
import types

class version: cuda = {cuda!r}
def get_num_threads(): return 3
backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False))
cuda = types.SimpleNamespace(
    is_available=lambda: {gpu},
    device_count=lambda: 1,
    get_device_properties=lambda index: types.SimpleNamespace(name="Fake GPU", total_memory=2**33),
)
def ones(*size, device): raise RuntimeError("no kernel image is available for execution on the device")
"""


def put_distribution(folder: Path, name: str, version: str, code: str) -> None:
    """A package that imports ``code``, installed as far as importlib.metadata can tell."""
    (folder / f"{name}.py").write_text(code)
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages hide the real ones from another process."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


# --------------------------------------------------------------------------------------------------------------- torch


def test_torch_and_torchvision_of_this_environment_fit() -> None:
    facts = pytorch.probe_torch()
    assert (facts.torch, facts.torchvision, facts.error) == (version("torch"), version("torchvision"), "")
    assert pytorch.check_torch(facts).status == pytorch.check_torchvision(facts).status == "ok"


def test_torchvision_from_another_index_is_recognised_with_one_command_for_both(packages: Path) -> None:
    put_distribution(packages, "torch", "2.6.0+cpu", FAKE_TORCH.format(cuda=None, gpu=False))
    put_distribution(
        packages, "torchvision", "0.21.0", "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    finding = pytorch.check_torchvision(pytorch.probe_torch())
    assert finding.status == "problem"
    assert "torchvision 0.21.0 does not work with torch 2.6.0+cpu" in finding.detail
    assert "different package indexes" in finding.detail
    assert finding.fix is not None
    assert finding.fix.startswith(
        'pip uninstall -y torch torchvision && pip install "torch==2.6.0+cpu" torchvision --ind'
    )
    assert finding.fix.endswith("its address ends in /cpu")
    assert "http" not in finding.fix


def test_torch_of_the_default_index_needs_no_index_in_the_command() -> None:
    finding = pytorch.check_torchvision(TorchFacts(torch="2.6.0", torchvision="0.20.0+cpu", error="undefined symbol"))
    assert finding.fix == 'pip uninstall -y torch torchvision && pip install "torch==2.6.0" torchvision'


def test_torchvision_that_kills_its_process_is_a_finding(packages: Path) -> None:
    put_distribution(packages, "torch", "2.6.0", FAKE_TORCH.format(cuda=None, gpu=False))
    put_distribution(packages, "torchvision", "0.21.0", "import os; os.abort()")
    facts = pytorch.probe_torch()
    assert pytorch.check_torch(facts).status == "ok"
    assert "the process ended by signal SIGABRT" in pytorch.check_torchvision(facts).detail


def test_torch_that_does_not_import_is_a_finding(packages: Path) -> None:
    put_distribution(packages, "torch", "2.6.0", "raise OSError('libcudnn.so.9: cannot open shared object file')")
    facts = pytorch.probe_torch()
    assert pytorch.check_torch(facts).detail == (
        "torch does not import: OSError: libcudnn.so.9: cannot open shared object file"
    )
    assert pytorch.check_torch(facts).fix == "pip install --upgrade torch torchvision"
    assert pytorch.check_torchvision(facts).status == "problem"
    assert pytorch.check_device(facts).status == "warning"


def test_absent_torchvision_is_a_problem() -> None:
    finding = pytorch.check_torchvision(TorchFacts(torch="2.6.0", error="No package metadata was found"))
    assert (finding.status, finding.detail) == ("problem", "torchvision is not installed")


def test_torch_that_takes_too_long_is_a_finding(packages: Path) -> None:
    put_distribution(packages, "torch", "2.6.0", "import time; time.sleep(60)")
    assert pytorch.probe_torch(seconds=0.2).error == "importing torch and torchvision took more than 0.2 s"


def test_gpu_that_does_not_compute_is_a_problem(packages: Path) -> None:
    put_distribution(packages, "torch", "2.6.0", FAKE_TORCH.format(cuda="12.4", gpu=True))
    finding = pytorch.check_device(pytorch.probe_torch())
    assert finding.status == "problem"
    assert "Fake GPU, 8 GiB does not compute: RuntimeError: no kernel image" in finding.detail
    assert finding.fix is not None
    assert "--device cpu" in finding.fix


@pytest.mark.parametrize(
    ("facts", "driver", "status", "detail", "fix"),
    [
        (TorchFacts(torch="2", gpus=("A, 8 GiB", "B, 80 GiB")), True, "ok", "cuda: A, 8 GiB, B, 80 GiB", None),
        (TorchFacts(torch="2", mps=True), False, "ok", "mps: Apple GPU", None),
        (TorchFacts(torch="2", threads=5), False, "ok", "cores, 5 threads", None),
        (TorchFacts(torch="2+cpu"), True, "warning", "torch 2+cpu is built for the CPU only", "index with CUDA builds"),
        (TorchFacts(torch="2", cuda_build="12.4"), True, "warning", "for CUDA 12.4, sees no GPU", "update the driver"),
    ],
)
def test_device_says_what_is_used_and_what_is_left_unused(
    facts: TorchFacts, driver: bool, status: str, detail: str, fix: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if driver else None)
    finding = pytorch.check_device(facts)
    assert finding.status == status
    assert detail in finding.detail
    assert finding.fix is None if fix is None else fix in str(finding.fix)


# --------------------------------------------------------------------------------------------------------------- images


def test_two_opencvs_are_a_warning_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ("opencv-python", "opencv-python-headless")
    monkeypatch.setattr(formats, "_installed", lambda name: name in both)
    finding = formats.check_opencv()
    assert finding.status == "warning"
    assert finding.fix == "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python-headless"


def test_opencv_without_libgl_is_a_problem_that_headless_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> str:
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(formats, "_opencv_version", fail)
    monkeypatch.setattr(formats, "_installed", lambda name: name == "opencv-python")
    finding = formats.check_opencv()
    assert finding.status == "problem"
    assert "the headless build needs no such library" in finding.detail
    assert finding.fix == "pip uninstall -y opencv-python && pip install opencv-python-headless"


def test_absent_opencv_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr(formats, "_installed", lambda name: False)
    assert formats.check_opencv().fix == "pip install opencv-python-headless"


def test_codecs_of_this_environment_work() -> None:
    assert formats.check_codecs().status == formats.check_metadata().status == "ok"


def test_codec_that_fails_is_named_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(samples: object) -> object:
        raise OSError("encoder webp not available")

    monkeypatch.setattr(formats, "_from_pillow_to_opencv", fail)
    finding = formats.check_codecs()
    assert finding.status == "problem"
    assert finding.detail.endswith("writing and reading: WebP (encoder webp not available)")
    assert finding.fix == "pip install --force-reinstall --no-deps pillow opencv-python-headless tifffile"


def test_codec_that_loses_depth_is_named_with_the_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_through_opencv", lambda samples: samples // 256 * 256)
    assert "PNG 16 bit (values change by up to 255)" in formats.check_codecs().detail


def test_lost_metadata_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_lost_blocks", lambda kind: ["XMP"] if kind == "WEBP" else [])
    assert formats.check_metadata() == Finding("metadata", "warning", "WEBP loses XMP", "pip install --upgrade pillow")


# ------------------------------------------------------------------------------------------------------ files, machine


def test_old_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_OLDEST_PYTHON", (99, 0))
    finding = machine.check_python()
    assert (finding.status, finding.fix) == ("problem", "install a 64-bit Python 99.0 or newer")


def test_lpips_backbones_are_looked_for_where_torch_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "alexnet-owt-7be5be79.pth").touch()
    finding = machine.check_lpips()
    assert finding.status == "warning"
    assert finding.detail == f"no backbone for LPIPS vgg, squeeze in {folder}"
    for name in ("vgg16-397923af.pth", "squeezenet1_1-b8a52dc0.pth"):
        (folder / name).touch()
    assert machine.check_lpips().status == "ok"


def test_lpips_advice_is_what_the_metric_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import AlexNet_Weights, SqueezeNet1_1_Weights, VGG16_Weights

    from restorekit.core.metric.perceptual import DOWNLOAD_VARIABLE, TRUNKS

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    enums = {"alex": AlexNet_Weights, "vgg": VGG16_Weights, "squeeze": SqueezeNet1_1_Weights}
    urls = {name: weights.IMAGENET1K_V1.url for name, weights in enums.items()}
    assert {name: url.rpartition("/")[2] for name, url in urls.items()} == machine._LPIPS_FILES
    assert {name: trunk[2] for name, trunk in TRUNKS.items()} == machine._LPIPS_FILES
    assert f"{DOWNLOAD_VARIABLE}=1" in str(machine.check_lpips().fix)


def test_weights_are_checked_by_hash(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"weights")
    sound = WeightFile(path, hashlib.sha256(b"weights").hexdigest(), 7, "Apache-2.0")
    assert machine.check_weights(sound).status == "ok"
    finding = machine.check_weights(dataclasses.replace(sound, sha256="0" * 64))
    assert finding.status == "problem"
    assert finding.detail == f"{path}: expected sha256 {'0' * 64}, got {sound.sha256}"
    assert finding.fix is not None
    assert "pip install --force-reinstall --no-deps restorekit" in finding.fix


def test_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(free=2**29)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    finding = machine.check_disk()
    assert finding.detail == f"0.5 GiB free in {tempfile.gettempdir()}"
    assert finding.fix is not None
    assert "TMPDIR" in finding.fix


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    assert machine.check_memory().status == "warning"


# ------------------------------------------------------------------------------------------------------------- together


def test_check_that_fails_becomes_a_finding() -> None:
    def broken() -> Finding:
        raise KeyError("surprise")

    finding = isolated("codecs", broken)
    assert finding.status == "problem"
    assert finding.detail == "the check itself failed: KeyError: 'surprise'"


def test_diagnosis_goes_on_after_a_check_that_fails_and_is_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(folder: str) -> None:
        raise OSError("no such device")

    monkeypatch.setattr(pytorch, "probe_torch", lambda: TorchFacts(error="no torch"))
    monkeypatch.setattr(shutil, "disk_usage", broken)
    gone = WeightFile(tmp_path / "gone.safetensors", "0" * 64, 1, "CC0-1.0")
    findings = json.loads(json.dumps([finding.as_record() for finding in diagnose_installation([gone])]))
    status = {finding["check"]: finding["status"] for finding in findings}
    assert status["disk"] == status["torch"] == status["weights gone.safetensors"] == "problem"
    assert status["memory"] in {"ok", "warning"}
    assert all(finding["fix"] for finding in findings if finding["status"] != "ok")


def test_doctor_loads_no_torch(tmp_path: Path) -> None:
    code = "import sys, restorekit.doctor as d; d.diagnose_installation(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
