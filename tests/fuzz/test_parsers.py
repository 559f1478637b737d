"""Every parser of files that others wrote: whatever the bytes are, it gives a result or one line, in bounded time.

Hypothesis damages valid files: bytes are replaced, cut out, doubled, put in. What once failed lies in `corpus/` as
`<parser>-<what>.bin` and is tried each time. The number of examples is small here; NORMLAB_FUZZ multiplies it.
"""

import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.bad_inputs.test_settings import QUICK, SPECS, use
from tests.data.writers import images_and_labels, parquet_table, python2_batch

from normlab.data.archives import read_members
from normlab.data.cifar_files import read_binary_batch, read_parquet_table, read_python_batch
from normlab.data.images import load_images
from normlab.data.pictures import FORMATS, decode_picture
from normlab.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from normlab.scheduling.dvc_files import damage
from normlab.specs.strict import InputError, load_params
from normlab.tables.frames import read_parquet
from normlab.tables.summaries import read_summary

CORPUS = sorted((Path(__file__).resolve().parent / "corpus").glob("*.bin"))
EXAMPLES = 25 * int(os.environ.get("NORMLAB_FUZZ", "1"))
IMAGES, LABELS = images_and_labels(10, 1, seed=0)


def _encoded(kind: str, mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(IMAGES[0].transpose(1, 2, 0)).convert(mode).save(stream, kind)
    return stream.getvalue()


def _tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("train/cat/0.png")
        info.size = 10
        archive.addfile(info, io.BytesIO(b"0123456789"))
    return stream.getvalue()


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train/cat/0.png", b"0123456789" * 10)
    return stream.getvalue()


def _checkpoint(folder: Path) -> bytes:
    save_checkpoint(folder / "seed.pt", Checkpoint(0, {"a": 1}, {"w": torch.arange(6.0)}, {"state": {}}))
    return (folder / "seed.pt").read_bytes()


SUMMARY = json.dumps(
    {
        "spec": {"network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0, "train": {"width": 1.0}},
        "diverged_at": None,
        "checkpoints": [0, 1],
        "parameters": 3,
    }
).encode()
PARAMS = b"data: {source: textures, seed: 0}\ntrain:\n  width: 1.0e-3\n  steps: [1, 2]\n"
LOCK = b"schema: '2.0'\nstages:\n  data:\n    cmd: python x\n    outs:\n    - path: y\n      md5: 0a\n"
MANIFEST = json.dumps({"classes": ["a", "b"], "mean": [0.5] * 3, "std": [0.5] * 3}).encode()


def _file(parse: Callable[[Path], object], name: str) -> Callable[[bytes, Path], object]:
    def read(content: bytes, folder: Path) -> object:
        (folder / name).write_bytes(content)
        return parse(folder / name)

    return read


def _prepared(content: bytes, folder: Path) -> object:
    (folder / "manifest.json").write_bytes(content)
    np.save(folder / "test_images.npy", IMAGES)
    np.save(folder / "test_labels.npy", np.zeros(10, np.int64))
    return load_images(folder, "test")


def _array(content: bytes, folder: Path) -> object:
    (folder / "manifest.json").write_bytes(MANIFEST)
    (folder / "test_images.npy").write_bytes(content)
    np.save(folder / "test_labels.npy", np.zeros(10, np.int64))
    return load_images(folder, "test")


def _npy() -> bytes:
    stream = io.BytesIO()
    np.save(stream, IMAGES)
    return stream.getvalue()


# parser: how it is called, valid files to begin with, what it may raise
PARSERS: dict[str, tuple[Callable[[bytes, Path], object], list[bytes], tuple[type[Exception], ...]]] = {
    "picture": (
        lambda content, folder: decode_picture(content, "x"),
        [_encoded(kind) for kind in FORMATS] + [_encoded("PNG", mode) for mode in ("1", "P", "LA", "RGBA")],
        (InputError,),
    ),
    "pickle": (
        lambda content, folder: read_python_batch(content, "labels", "x"),
        [python2_batch(IMAGES, LABELS)]
        + [pickle.dumps({"data": IMAGES.reshape(10, -1), "labels": list(LABELS)}, p) for p in (2, 3, 4, 5)],
        (InputError,),
    ),
    "binary": (lambda content, folder: read_binary_batch(content, 1, "x"), [bytes(3073)], (InputError,)),
    "parquet": (
        lambda content, folder: read_parquet_table(content, ("label",), "x"),
        [parquet_table(IMAGES, LABELS)],
        (InputError,),
    ),
    "archive": (_file(lambda path: list(read_members(path)), "a"), [_tar(), _zip()], (InputError,)),
    "params": (_file(load_params, "params.yaml"), [PARAMS], (InputError,)),
    "summary": (_file(read_summary, "summary.json"), [SUMMARY], (InputError,)),
    "manifest": (_prepared, [MANIFEST], (InputError,)),
    "array": (_array, [_npy()], (InputError,)),
    "table": (_file(read_parquet, "t.parquet"), [parquet_table(IMAGES, LABELS)], (InputError,)),
    "checkpoint": (_file(load_checkpoint, "step.pt"), [], (ValueError,)),
    "lock": (lambda content, folder: damage(content), [LOCK], ()),
}  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """A valid file with a few bytes replaced, cut out, doubled or put in, half of the time near its beginning."""
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 6))):
        end = min(len(content), 64) if draw(st.booleans()) else len(content)
        start = draw(st.integers(0, max(end - 1, 0)))
        length = draw(st.integers(0, 16))
        new = draw(st.one_of(st.binary(max_size=16), st.just(bytes(content[start : start + 64]))))
        content[start : start + length] = new
    return bytes(content)


def _said(call: Callable[[], object], accepted: tuple[type[Exception], ...]) -> str:
    """The line with which `call` refuses, "" if it does not; any other exception is the caller's."""
    try:
        call()
    except accepted as error:
        return str(error)
    return ""


def _try(parser: str, content: bytes, folder: Path) -> None:
    call, _, accepted = PARSERS[parser]
    line = _said(lambda: call(content, folder), accepted)
    assert len(line) < 1000
    assert "\n" not in line


@pytest.mark.parametrize("parser", PARSERS)
def test_damaged_files_give_a_result_or_one_line(parser: str, tmp_path: Path) -> None:
    files = PARSERS[parser][1] or [_checkpoint(tmp_path)]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize="NORMLAB_FUZZ" not in os.environ,  # in CI the same examples each time
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(files))
    def run(content: bytes) -> None:
        _try(parser, content, tmp_path)

    for whole in files:
        PARSERS[parser][0](whole, tmp_path)
    run()


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_once_failed_fails_no_more(path: Path, tmp_path: Path) -> None:
    _try(path.stem.partition("-")[0], path.read_bytes(), tmp_path)


def test_the_corpus_names_known_parsers() -> None:
    assert CORPUS
    assert {path.stem.partition("-")[0] for path in CORPUS} <= set(PARSERS)


@pytest.mark.parametrize(
    "text",
    [
        "&a [*a]",
        "a: &x [*x, *x]",
        "? [1]\n: 2",
        "? {a: 1}\n: 2",
        "!!python/object:os.system {}",
        "1: 2",
        "null: 3",
        "a: !!binary x",
        "a: 2026-13-45",
        "<<: 3",
        "=: 1",
    ],
)
def test_yaml_that_is_no_settings_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text)
    assert "\n" not in _said(lambda: load_params(tmp_path / "params.yaml"), (InputError,))


@settings(
    max_examples=EXAMPLES // 2, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_any_value_at_any_place_of_a_section(value: object) -> None:
    for section in SPECS:
        for name in QUICK[section]:
            line = _said(lambda key=f"{section}.{name}": use(key, value), (InputError,))  # type: ignore[misc]
            assert not line or line.startswith(f"{section}."), line
