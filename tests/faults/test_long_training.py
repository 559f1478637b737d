"""A training of 3,000 steps that is killed five times ends with the bytes of one that never was (`make faults`).

`tests/stages/test_resume.py` does the same in seconds, with a resume point after every step; here points are 5 s apart
and a kill falls anywhere between them, also into the start of the program or the writing of a point.
"""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
PARAMS = """
data: {source: textures, seed: 0, train_per_class: 500, test_per_class: 100}
train: {width: 0.125, batch_size: 128, steps: 3000, test_every: 500, checkpoint_every: 300, checkpoint_at: [1, 10]}
"""
KILLS = 5


@pytest.mark.skipif("NORMLAB_FAULTS" not in os.environ, reason="minutes: make faults")
def test_3000_steps_killed_five_times_end_with_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    subprocess.run([sys.executable, "-m", "normlab.stages.data"], check=True)
    start = time.monotonic()
    assert _train("runs/whole").wait() == 0
    seconds = time.monotonic() - start
    seed = random.SystemRandom().randrange(2**32)
    draws = random.Random(seed)
    for _ in range(KILLS):
        attempt = _train("runs/killed")
        moment = draws.uniform(0.02, 0.3) * seconds
        time.sleep(moment)
        attempt.send_signal(signal.SIGKILL)
        assert attempt.wait() == -signal.SIGKILL, f"seed {seed}: it had ended before {moment:.1f} s"
    assert _train("runs/killed").wait() == 0
    said = Path("said").read_text()
    gone_on = [int(step) for step in re.findall(r"runs/killed: goes on from step (\d+)", said)]
    print(f"seed {seed}: {seconds:.0f} s in peace; went on from steps {gone_on}")
    assert gone_on, said
    assert gone_on == sorted(gone_on)
    whole, killed = (
        sorted(path for path in Path("runs", name).rglob("*") if path.is_file()) for name in ("whole", "killed")
    )
    assert [path.relative_to("runs/whole") for path in whole] == [path.relative_to("runs/killed") for path in killed]
    assert [path.read_bytes() for path in whole] == [path.read_bytes() for path in killed]


def _train(out: str) -> subprocess.Popen:
    point = "--network vgg11 --norm-layer noisy_batch --learning-rate 0.1 --seed 0 --resume-every 5"
    command = [sys.executable, "-m", "normlab.stages.train", *point.split(), "--out", out]
    with open("said", "a") as said:
        return subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
