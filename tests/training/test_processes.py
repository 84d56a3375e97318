import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from restorekit.training.processes import Processes

TWO_PROCESSES = """
    import importlib.util, os, sys
    from pathlib import Path
    import torch
    from safetensors.torch import save_file
    from restorekit.core.degradation.chain import parse_degradation
    from restorekit.training import CropBatches, PhotoPool, TrainingSettings, train

    conftest, pool, output = sys.argv[1:]
    rank = int(os.environ["RANK"])
    spec = importlib.util.spec_from_file_location("tiny", conftest)
    tiny = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny)

    class Recording(tiny.TinyTask):
        batches = []
        def step(self, batch, *, generator):
            self.batches.append(batch["clean"].clone())
            return super().step(batch, generator=generator)

    settings = TrainingSettings(steps=3, batch_size=4, crop_px=16, log_every=1)
    batches = CropBatches(PhotoPool(Path(pool)), parse_degradation("noise:sigma=25"), settings, 0, process=rank)
    task = Recording()
    with torch.no_grad():
        task.network[0].weight.add_(rank)  # a difference that the start must remove
    train(task, batches, settings, output=Path(output))
    state = {name: tensor.contiguous() for name, tensor in task.network.state_dict().items()}
    gradients = {f"grad.{name}": parameter.grad.contiguous() for name, parameter in task.network.named_parameters()}
    save_file(state | gradients | {"batch": task.batches[-1].contiguous()}, Path(output) / f"rank{rank}.safetensors")
"""


def test_alone_gradients_stay_as_they_are() -> None:
    processes = Processes()
    layer = torch.nn.Linear(2, 1)
    loss = layer(torch.ones(1, 2)).sum()
    loss.backward()
    gradient = layer.weight.grad
    assert processes.average_gradients(layer, loss.detach()) == loss
    assert layer.weight.grad is gradient
    assert (processes.count, processes.index, processes.is_first) == (1, 0, True)
    assert [processes.agree(wanted) for wanted in (True, False)] == [True, False]


@pytest.mark.slow
def test_two_processes_see_other_crops_and_hold_equal_weights(pool, tmp_path: Path) -> None:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    except OSError as error:
        pytest.skip(f"this machine lets no process bind a local port: {error}")
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(TWO_PROCESSES))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}"]
    conftest = Path(__file__).with_name("conftest.py")
    output = tmp_path / "out"
    done = subprocess.run(
        [*launcher, str(script), str(conftest), str(pool.path), str(output)],
        check=False,
        capture_output=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"},
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    one, other = (load_file(output / f"rank{rank}.safetensors") for rank in (0, 1))
    assert not torch.equal(one.pop("batch"), other.pop("batch"))
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert len(list((output / "checkpoints").iterdir())) == 1
