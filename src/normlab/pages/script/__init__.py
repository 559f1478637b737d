"""The one script that all pages share: Vega-Lite and what pages do with it. It lies beside them and loads nothing."""

from importlib import resources
from pathlib import Path

NAME = "normlab.js"


def shared_script() -> str:
    """Vega, Vega-Lite and vega-embed with `live.js` at their end, as one classic script: pages open from disk."""
    import vl_convert  # 80 MB of compiled code, which only the writer of the script needs

    snippet = resources.files("normlab.pages.script").joinpath("live.js").read_text(encoding="utf-8")
    # the bundle's names are its own: a classic script would make them the page's
    return f"(() => {{\n{vl_convert.javascript_bundle(snippet=snippet)}\n}})();\n"


def write_script(folder: Path) -> None:
    """Write the script into the folder of the pages."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(shared_script(), encoding="utf-8")
