"""Our reader and DVC's (ruamel.yaml) agree on every scalar that is not refused."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML, YAMLError

from normlab.specs.strict import InputError, load_params
from normlab.specs.yaml12 import load_scalar, load_yaml

AMBIGUOUS = ("050", "-07", "1:20", "1e-3", "1.0e3", "no", "on", "Yes", "1_000", "0b11", "0o17", "190:20:30.15")
CLEAR = (
    "50",
    "-7",
    "0",
    "0x1F",
    "1.0e-3",
    "-2.5",
    ".5",
    "true",
    "False",
    "null",
    "~",
    "none",
    "batch",
    "1.0e+3",
    ".inf",
)


def _read(path: Path, text: str) -> object:
    path.write_text(f"train: {{steps: {text}}}\n", encoding="utf-8")
    return load_params(path)["train"]["steps"]


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_what_two_versions_read_differently_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError, match=r"params\.yaml: train\.steps: .* is read in two ways") as caught:
        _read(path, text)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert _read(path, f"'{text}'") == text  # in quotes it is text


@pytest.mark.parametrize("text", CLEAR)
def test_what_is_clear_is_read_as_dvc_reads_it(tmp_path: Path, text: str) -> None:
    dvc = YAML(typ="safe").load(text)
    found = _read(tmp_path / "params.yaml", text)
    assert (found, type(found)) == (dvc, type(dvc))


@given(st.text(alphabet="0123456789+-._:eExXoObnulytrsaif~", min_size=1, max_size=8))
@example("1e3")
@example("0o8")
@example("+.inf")
@example("._")
@example("._1")
def test_no_scalar_means_something_else_to_dvc(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "scalar.yaml"
    path.write_text(f"a: {text}\n", encoding="utf-8")
    try:
        found = load_params(path)["a"]
    except InputError:
        return  # refused, or not YAML
    try:
        dvc = YAML(typ="safe").load(path.read_text(encoding="utf-8"))["a"]
    except YAMLError:
        pytest.fail(f"{text!r} is not YAML to DVC, and {found!r} to us")
    assert (str(found), type(found)) == (str(dvc), type(dvc))


def test_a_key_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("train: {steps: 1, width: 1.0, steps: 2}\n")
    with pytest.raises(InputError, match=r"not valid YAML: .*the key 'steps' stands twice"):
        load_params(path)


def test_files_of_other_programs_may_be_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "workflow.yml"
    path.write_text("on: {push: 1e3}\n")
    assert load_yaml(path) == {"on": {"push": 1000.0}}


def test_a_value_that_stands_alone() -> None:
    assert [load_scalar(text) for text in ("64", "0.0004", "1e-05", "true", "mlp")] == [64, 4e-4, 1e-5, True, "mlp"]
    with pytest.raises(InputError, match="not valid YAML"):
        load_scalar("[1")
