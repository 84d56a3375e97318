"""Peak memory and time of `restorekit restore` on large photos, each in a process of its own.

    python benchmarks/memory.py [--megapixels 24 100] [--models classical:median classical:dcp] [--output FILE.json]

- The photo is the bundled sample:coffee, mirrored until it is large enough: real texture, any size.
- Peak memory is what the operating system accounts to the finished process (ru_maxrss), libraries included. A small
  process in between starts it: on Linux a process inherits the peak of the one that started it.
- The floor is what no program can go below that holds the decoded photo and its result at once, plus an idle Python
  with torch loaded; `x floor` is the distance to it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL.Image

import restorekit

LIMITS_GB = {24: 1.5, 100: 3.0}

STARTER = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(json.dumps([resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, time.perf_counter() - started, code]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=int, nargs="+", default=[24, 100])
    parser.add_argument("--formats", nargs="+", default=["jpg", "png", "16-bit png", "tif"])
    parser.add_argument("--models", nargs="+", default=["classical:median", "classical:dcp"])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    idle, _, _ = measure([sys.executable, "-c", "import restorekit.batch"])
    print(f"idle Python with torch: {idle / 1e9:.2f} GB")
    rows = []
    for megapixels in arguments.megapixels:
        for form in arguments.formats:
            with tempfile.TemporaryDirectory() as folder:
                photo = Path(folder) / f"photo.{form.split()[-1]}"
                subprocess.run([sys.executable, __file__, "--make", str(megapixels), form, str(photo)], check=True)
                for model in arguments.models:
                    rows.append(measure_restore(photo, form, megapixels, model, idle))
                    print(describe(rows[-1]), flush=True)
    print("\n" + to_markdown(rows))
    if arguments.output:
        arguments.output.write_text(json.dumps({"run": run_record(idle), "rows": rows}, indent=1) + "\n")
    if any(row["peak_gb"] > row["limit_gb"] for row in rows if row["limit_gb"]):
        sys.exit("a limit was exceeded")


def measure_restore(photo: Path, form: str, megapixels: int, model: str, idle: int) -> dict[str, object]:
    """One row: restore one photo with one model."""
    target = photo.with_name(f"out{photo.suffix}")
    command = [sys.executable, "-m", "restorekit", "restore", str(photo), "-o", str(target), "-m", model]
    peak, seconds, code = measure(command)
    if code:
        sys.exit(f"{' '.join(command)} ended with {code}")
    sample_bytes = 2 if "16" in form else 1
    floor = idle + 2 * 3 * sample_bytes * megapixels * 1e6
    return {
        "megapixels": megapixels,
        "format": form,
        "model": model,
        "peak_gb": round(peak / 1e9, 3),
        "limit_gb": LIMITS_GB.get(megapixels),
        "floor_gb": round(floor / 1e9, 3),
        "times_floor": round(peak / floor, 2),
        "seconds": round(seconds, 1),
    }


def describe(row: dict[str, object]) -> str:
    return (
        f"{row['megapixels']:>4} MP {row['format']:<10} {row['model']:<18} peak {row['peak_gb']} GB "
        f"(limit {row['limit_gb']}, {row['times_floor']} x floor), {row['seconds']} s"
    )


def to_markdown(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([str(row[column]) for column in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def measure(command: list[str]) -> tuple[int, float, int]:
    """Peak resident bytes, seconds and exit code of a finished process."""
    done = subprocess.run([sys.executable, "-c", STARTER, *command], stdout=subprocess.PIPE, text=True, check=True)
    peak, seconds, code = json.loads(done.stdout)
    return peak * (1 if sys.platform == "darwin" else 1024), seconds, code


def make_photo(megapixels: int, form: str, path: Path) -> None:
    """The sample photo, mirrored to 3:2 of the asked size, in the asked format."""
    coffee = restorekit.degrade("sample:coffee", "none").samples
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(height * 1.5)
    tile = np.concatenate([coffee, coffee[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    repeats = (-(-height // tile.shape[0]), -(-width // tile.shape[1]), 1)
    photo = np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])
    if form == "16-bit png":
        import cv2

        cv2.imwrite(str(path), (photo[..., ::-1].astype(np.uint16) * 257), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    else:
        options = {"jpg": {"quality": 92}, "png": {"compress_level": 1}, "tif": {}}[form]
        PIL.Image.fromarray(photo).save(path, **options)


def run_record(idle: int) -> dict[str, object]:
    """Where and with what the figures were measured."""
    from results import Run  # brings torch along, which nobody needs who makes a photo

    run = Run.here("python benchmarks/memory.py", threads=[], smoke=False)
    return {
        "command": " ".join(["python benchmarks/memory.py", *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": run.commit,
        "modified": run.modified,
        "restorekit": restorekit.__version__,
        "torch": version("torch"),
        "python": platform.python_version(),
        "os": platform.platform(),
        "cores": os.cpu_count(),
        "idle_gb": round(idle / 1e9, 3),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make_photo(int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
    else:
        main()
