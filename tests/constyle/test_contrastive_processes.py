import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ONE_PROCESS = """
    import sys
    from pathlib import Path
    import torch
    import torch.distributed as dist
    from safetensors.torch import save_file
    from restorekit.constyle.contrastive import Contrast, ContrastSettings
    from restorekit.constyle.encoder import ConStyleEncoder

    folder, index, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(1)
    if count > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=index, world_size=count)
    torch.manual_seed(0)
    encoder = ConStyleEncoder(width=2)
    torch.manual_seed(index)  # a difference that the first step must remove
    contrast = Contrast(encoder, ContrastSettings(queue_size=10, noise_negatives=True))
    for step in range(4):
        torch.manual_seed(step)
        mine = slice(index * 4 // count, (index + 1) * 4 // count)
        degraded, clean = torch.rand(4, 3, 16, 16)[mine], torch.rand(4, 3, 16, 16)[mine]
        contrast.losses(encoder(degraded), degraded=degraded, clean=clean)
        contrast.after_step()
    save_file(contrast.state_dict(), folder / f"{index}of{count}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_hold_the_queue_of_one_with_both_batches(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(ONE_PROCESS))
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
    running = [
        subprocess.Popen([sys.executable, script, tmp_path, str(index), str(count)], env=environment, stderr=-1)
        for index, count in ((0, 2), (1, 2), (0, 1))
    ]
    for process in running:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors.decode()[-3000:]
    first, second, alone = (load_file(tmp_path / f"{name}.safetensors") for name in ("0of2", "1of2", "0of1"))
    assert int(alone["queue.pointer"]) == 6  # 16 codes in a ring of 10
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], tensor)
