"""Names of parts, and the files behind them, from real files in a folder on Python's path."""

import re
from pathlib import Path

import pytest

from normlab.specs.parts import Source, sources
from normlab.specs.strict import InputError

FILES = {
    "my_layers.py": "import math\nfrom my_shared.sizes import half\n\n\nclass RMSNorm2d:\n    pass\n",
    "my_shared/__init__.py": "from . import texts\n",
    "my_shared/sizes.py": "import my_shared.deep.inner\nhalf = 0.5\n",
    "my_shared/texts.py": "import torchvision\n",
    "my_shared/deep/__init__.py": "",
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


def test_a_file_of_the_working_tree_comes_with_all_that_it_imports_there(tree: Path) -> None:
    assert sources("my_layers:RMSNorm2d", "normalizer") == Source(
        (
            "my_layers.py",
            "my_shared/__init__.py",
            "my_shared/deep/__init__.py",
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
