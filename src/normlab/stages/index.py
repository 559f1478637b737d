"""Stage `index`: the first page, which opens with the table of claims and the landscape figure."""

import argparse
import html
from pathlib import Path

from normlab.analysis.rules import VERDICTS
from normlab.figures.bands import BAND
from normlab.figures.landscape import figure_4
from normlab.pages.answer import answer
from normlab.pages.comparisons import level
from normlab.pages.paper_figures import definitions
from normlab.pages.pictures import Picture
from normlab.pages.results import Results
from normlab.pages.sentences import data_sentence, finite_caption
from normlab.pages.shell import PAGES, page, write_page
from normlab.pages.standings import standings
from normlab.pages.verdicts import badge, claims_tables, tally
from normlab.specs.report import ReportSpec
from normlab.specs.strict import load_section
from normlab.stages import command


def body(results: Results, spec: ReportSpec) -> str:
    """The content of the index page."""
    landscape = results.measurements(results.study, probe="landscape")
    bands = landscape[landscape["norm_layer"].isin(["none", "batch"])]
    picture = Picture(
        figure_4(landscape, results.spec.learning_rate, eta_min_factor=min(results.grid("probe"))),
        f"Left and middle: band between the least and greatest value over the paper's step sizes. {BAND} "
        f"{finite_caption(bands)} Dashed: the paper, one run.",
        "The landscape along the gradient, with and without BatchNorm",
        [figure_4, *definitions(figure_4, "index")],
    )
    shown = [name for name in PAGES if name in spec.notebooks]
    pages = "\n".join(
        f'<li><a href="{name}.html">{html.escape(PAGES[name][0])}</a>: {html.escape(PAGES[name][1])}</li>'
        for name in shown
    )
    legend = "".join(f"<li>{badge(verdict)} {html.escape(meaning)}</li>" for verdict, meaning in VERDICTS.items())
    found = standings(results.claims, [], None)
    answers = "\n".join(
        f"<li><strong>{html.escape(question)}</strong> {html.escape(said)}</li>" for question, said in answer(found)
    )
    return (
        "<h1>How does Batch Normalization help optimization? The paper, measured</h1>\n"
        f"<ol>\n{answers}\n</ol>\n"
        f"<p>{html.escape(tally(results.claims))} Preset <code>{html.escape(spec.preset)}</code>. "
        f"{html.escape(data_sentence(results))}</p>\n"
        f"{claims_tables(results.claims, level(results.spec))}\n"
        f"<details><summary>what the verdicts mean</summary><ul>{legend}</ul></details>\n"
        f"<h2>The picture</h2>\n{picture._repr_html_()}\n<h2>Pages</h2>\n<ul>\n{pages}\n</ul>"
    )


def main(argv: list[str] | None = None) -> None:
    """Write index.html from the tables, the verdicts, the parameters and the data set's manifest."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--tables", type=Path, default=Path("reports/tables"))
    parser.add_argument("--claims", type=Path, default=Path("reports/claims.json"))
    parser.add_argument("--manifest", type=Path, default=Path("data/prepared/manifest.json"))
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    spec = load_section(args.params, "report", ReportSpec)
    results = Results.load(str(args.tables), str(args.claims), str(args.params), str(args.manifest))
    write_page(args.out, page("All claims", body(results, spec), "index"))


if __name__ == "__main__":
    command.run(main)
