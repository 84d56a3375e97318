"""A small report with pictures, and a real browser driven over its debugging pipe (standard library only)."""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from restorekit.report import ImageScore, Machine, MetricInfo, ModelInfo, Report, RunRecord

PSNR = "psnr[rgb|per-image|u8|crop0]"
SSIM = "ssim[rgb|per-image|u8|crop0|gauss11]"
MACHINE = Machine(cpu="A & B <cpu>", cores=2, os="Linux", python="3.11", torch="2.6")
RUN = RunRecord(
    version="1.2.3",
    command="restorekit compare in --degrade noise:sigma=25",
    time=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    machine=MACHINE,
    degradation="noise:sigma=25",
    inputs=("in/a.png", "in/b.png"),
)
METRICS = (
    MetricInfo(address=PSNR, name="PSNR", unit="dB", decimals=2),
    MetricInfo(address=SSIM, name="SSIM", decimals=4),
)


def make_report(table, *, kinds=None, metrics=METRICS[:1], pictures=None, notes=(), megapixels=1.0, run=RUN):
    """A report from {model: [value on each image]}; values are of the first metric, None where there is none."""
    kinds = {"input": "input"} | (kinds or {})
    count = max(len(values) for values in table.values())
    scores = [
        ImageScore(
            image=f"{index}.png",
            model=model,
            scores={} if values[index] is None else {metrics[0].address: values[index]},
            seconds=None if model == "input" else 0.5,
            megapixels=megapixels,
        )
        for index in range(count)
        for model, values in table.items()
    ]
    models = [ModelInfo(name=name, kind=kinds.get(name, "model")) for name in table]
    return Report(run=run, metrics=metrics, models=models, scores=scores, notes=notes, pictures=pictures or {})


def photo(height, width, seed):
    """A smooth colour pattern with some edges: (height, width, 3), uint8."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 100 * np.sin(x / a + seed) * np.cos(y / b) for a, b in generator.uniform(4, 30, (3, 2))]
    return np.clip(np.stack(waves, axis=2), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def pictured():
    """Two photos, one with a name that is also HTML; input, a classical restorer, two models, clean."""
    pictures, scores = {}, []
    names = ("a \"quoted\" & <b>'bold'</b>.png", "plain.png")
    for seed, name in enumerate(names):
        clean = photo(120 + 40 * seed, 200, seed)
        noise = np.random.default_rng(seed).normal(0, 40, clean.shape)
        answers = {"input": 1.0, "median": 0.5, "good": 0.1, "bad|<i>": 0.8}
        pictures[name] = {
            label: np.clip(clean + share * noise, 0, 255).astype(np.uint8) for label, share in answers.items()
        } | {"clean": clean}
        scores += [
            ImageScore(
                image=name,
                model=label,
                scores={PSNR: 20 - 10 * float(np.log10(share)) + seed, SSIM: 1 - share / 2},
                seconds=None if label == "input" else share,
                megapixels=clean.shape[0] * clean.shape[1] / 1e6,
            )
            for label, share in answers.items()
        ]
    models = [
        ModelInfo(name="input", kind="input"),
        ModelInfo(name="median", kind="classical"),
        ModelInfo(name="good", parameters=17_100_000, note="trained on <noise>"),
        ModelInfo(name="bad|<i>"),
    ]
    return Report(
        run=RUN, metrics=METRICS, models=models, scores=scores, notes=["<script>alert(1)</script>"], pictures=pictures
    )


START = """
import fcntl, os, sys
read, write = (fcntl.fcntl(int(text), fcntl.F_DUPFD, 10) for text in sys.argv[1:3])
os.dup2(read, 3), os.dup2(write, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Becomes the browser, which reads commands from file descriptor 3 and answers on 4."""


class Browser:
    """Headless Chromium over --remote-debugging-pipe: JSON messages, each ended by a zero byte."""

    def __init__(self, program: str, profile: str) -> None:
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        flags = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        flags += " disable-component-update disable-sync remote-debugging-pipe hide-scrollbars"
        command = [program, *(f"--{flag}" for flag in flags.split()), f"--user-data-dir={profile}", "about:blank"]
        starter = [sys.executable, "-c", START, str(to_browser), str(from_browser)]
        self._process = subprocess.Popen(
            [*starter, *command],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer, self._count, self.events = b"", 0, []
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Page.setLifecycleEventsEnabled", enabled=True)

    def send(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _receive(self):
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 1 << 16)
            assert chunk, "the browser closed"
            self._buffer += chunk
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def open(self, page: Path, *, address="", width=1280, height=900, scripts=True, dark=False, touch=False):
        """Load a page afresh, and wait until it has loaded."""
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self._navigate("about:blank")
        self.events.clear()
        self._navigate(page.as_uri() + address)

    def _navigate(self, url):
        loader = self.send("Page.navigate", url=url)["loaderId"]
        wanted = ("Page.lifecycleEvent", "load", loader)
        while wanted not in [(e["method"], e["params"].get("name"), e["params"].get("loaderId")) for e in self.events]:
            self.events.append(self._receive())

    def run(self, expression):
        """The value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def view(self):
        """What the slider shows, as it says itself."""
        return self.run("({...document.getElementById('stage').dataset})")

    def mouse(self, kind, x, y):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, start, end):
        self.mouse("mousePressed", *start)
        self.mouse("mouseMoved", *end)
        self.mouse("mouseReleased", *end)

    def key(self, name):
        codes = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=codes[name])

    def complaints(self):
        """Errors, warnings and refused resources since the page was opened."""
        self.run("1")
        wanted = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        return [event for event in self.events if event["method"] in wanted]

    def requests(self):
        """Addresses asked for since the page was opened, data URIs left out."""
        sent = (e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent")
        return [url for url in sent if not url.startswith("data:")]

    def screenshot(self, path: Path):
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=False)["data"]))

    def close(self):
        self._session = None
        try:
            self.send("Browser.close")
        except (AssertionError, OSError):
            self._process.kill()
        os.close(self._write)
        os.close(self._read)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def browser():
    program = next((found for name in ("chromium", "google-chrome", "chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no chromium or google-chrome on this machine")
    profile = tempfile.mkdtemp(prefix="restorekit-browser-")
    opened = Browser(program, profile)
    yield opened
    opened.close()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture(scope="session")
def report_of():
    """``make_report``, for test modules."""
    return make_report
