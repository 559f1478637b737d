"""Names of parts, and the files behind them, from real files in a folder on Python's path."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from normlab.specs.parts import Source, check, family, names, resolve, slug, sources, stems
from normlab.specs.strict import InputError

FILES = {
    "my_layers.py": "import math\nfrom my_shared.sizes import half\n\n\nclass RMSNorm2d:\n    pass\n",
    "my_shared/__init__.py": "from . import texts\n",
    "my_shared/sizes.py": "import my_shared.deep.inner\nhalf = 0.5\n",
    "my_shared/texts.py": "import torchvision\n",
    "my_shared/deep/__init__.py": '"""Nothing that could change a number."""\n',
    "my_shared/deep/inner.py": "def f():\n    from ..sizes import half\n    from .lazily import g\n",
    "my_shared/deep/lazily.py": "g = 1\n",
    "my_shared/unused.py": "",
    "my_star.py": "from math import *\n",
    "my_error.py": "def f(:\n",
    ".venv/lib/site-packages/my_installed.py": "x = 1\n",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / ".venv/lib/site-packages")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_built_in_names_are_the_stems_of_the_files() -> None:
    for kind, folder in (("normalizer", "normalizers"), ("network", "networks")):
        package = importlib.import_module(f"normlab.nn.{folder}").__path__[0]
        assert set(stems(kind)) == {path.stem for path in Path(package).glob("*.py")} - {"__init__"}  # type: ignore[arg-type]
    assert {"batch", "l1", "none"} <= set(names("normalizer"))
    assert {"vgg11", "vgg16", "resnet20", "deep_linear"} <= set(names("network"))
    assert "vgg" not in names("network")


def test_a_name_is_short_for_a_dotted_path() -> None:
    part = resolve("batch", "normalizer")
    assert (part.module, part.attribute, part.options) == ("normlab.nn.normalizers.batch", "batch", {})
    part = resolve("vgg16", "network")
    assert (part.module, part.attribute, part.options) == ("normlab.nn.networks.vgg", "vgg", {"depth": 16})
    part = resolve("a.b:c", "network")
    assert (part.module, part.attribute, part.options) == ("a.b", "c", {})


def test_nothing_is_imported() -> None:
    program = "import sys; from normlab.specs import parts; parts.sources('torchvision.models:resnet18', 'network');"
    program += "parts.check('l1', 'normalizer'); print({'torch', 'torchvision', 'normlab.nn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", ["vgg12", "vgg", "my_nets", "my_nets:", ":f", "a:b:c", "a:b.c", "../a:b", ""])
def test_a_misspelled_name_is_refused_in_one_line(name: str) -> None:
    message = rf"grid\.network: accepted: .*vgg11.*, or a path module:attribute, got {re.escape(repr(name))}"
    with pytest.raises(InputError, match=message) as caught:
        resolve(name, "network", "grid.network")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("tree")
def test_paths_that_lead_nowhere_are_refused_in_one_line() -> None:
    for name, message in (
        ("my_layer:RMSNorm2d", "there is no module 'my_layer'"),
        ("my_shared.missing:f", "there is no module 'my_shared.missing'"),
        ("my_layers.deeper:f", "there is no module 'my_layers.deeper'"),
        ("my_layers:RMSNorm", "my_layers has no 'RMSNorm'; it has: math, half, RMSNorm2d"),
        ("my_error:f", "not Python: invalid syntax"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            check(name, "normalizer", "grid.norm_layer")
        assert "\n" not in str(caught.value)
    for name in ("my_layers:RMSNorm2d", "my_layers:half", "my_star:sqrt", "my_installed:x", "batch"):
        check(name, "normalizer")


def test_a_file_of_the_working_tree_comes_with_all_that_it_imports_there(tree: Path) -> None:
    assert sources("my_layers:RMSNorm2d", "normalizer") == Source(
        (
            "my_layers.py",
            "my_shared/__init__.py",
            "my_shared/deep/inner.py",
            "my_shared/deep/lazily.py",
            "my_shared/sizes.py",
            "my_shared/texts.py",
        )
    )
    with pytest.raises(InputError, match=r"neither a file below .* nor an installed package"):
        sources("my_layers:RMSNorm2d", "normalizer", tree / "my_shared")
    with pytest.raises(InputError, match=r"neither a file below .* nor an installed package"):
        sources("my_installed:x", "normalizer")  # the environment is no part of the tree that it lies in


def test_an_installed_package_gives_its_version() -> None:
    found = sources("torchvision.models:resnet18", "network")
    assert found.files == ()
    assert re.fullmatch(r"torchvision==\d+\.\d+\.\d+", found.requirement or "")


def test_a_built_in_part_is_its_own_file_and_what_no_other_needs(repository: Path) -> None:
    for name in names("normalizer"):
        found = sources(name, "normalizer", repository)
        assert found.files[0] == f"src/normlab/nn/normalizers/{name}.py"
        assert found.requirement is None
    assert sources("batch", "normalizer", repository).files == ("src/normlab/nn/normalizers/batch.py",)
    assert sources("vgg16", "network", repository).files[0] == "src/normlab/nn/networks/vgg.py"


def test_folders_and_families() -> None:
    assert [slug(name) for name in ("batch", "my.layers:RMSNorm2d")] == ["batch", "my.layers.RMSNorm2d"]
    assert [family(name) for name in ("vgg16", "resnet20", "deep_linear")] == ["vgg", "resnet", "deep_linear"]
    assert family("torchvision.models:resnet18") == "torchvision.models.resnet18"
