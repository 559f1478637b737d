"""The library runs without the pipeline's tools, and so do the stages that GPU machines run."""

import subprocess
import sys

import pytest

TOOLS = ("dvc", "mlflow", "papermill", "nbconvert", "nbclient", "dask", "distributed", "ruamel")
BLOCKED = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import normlab; normlab.nn, normlab.probes, normlab.theory",
            (*TOOLS, "matplotlib", "scipy", "pyarrow", "PIL", "torchvision", "tqdm", "yaml"),
        ),
        (
            "from normlab.integrations import distributed, loggers, watch",
            (*TOOLS, "lightning", "transformers", "accelerate", "tensorboard", "wandb"),
        ),
        ("from normlab.stages import data, train, probe, dln, theory", TOOLS),
        ("from normlab.stages import site, index, record", (*TOOLS, "torch")),
        ("from normlab.stages import report", ("torch", "mlflow", "dvc")),
    ],
)
def test_imports_without(statement: str, absent: tuple[str, ...]) -> None:
    program = BLOCKED.format(blocked=set(absent)) + statement
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_package_itself_imports_nothing() -> None:
    program = "import sys, normlab; print({'torch', 'numpy', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_page_does_not_wait_for_a_grammar_of_web_addresses() -> None:
    program = "import sys; from normlab.stages import report; print('rfc3987_syntax.syntax_helpers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
