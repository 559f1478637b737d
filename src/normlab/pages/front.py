"""The content of index pages: of a study with tables, and of a record that has verdicts alone."""

import base64
import html
from collections.abc import Container, Sequence
from dataclasses import replace

from normlab.analysis.rules import VERDICTS
from normlab.figures.bands import BAND, LOGARITHMIC
from normlab.figures.deep_linear import figure_5b
from normlab.figures.landscape import figure_4
from normlab.figures.live import LANDSCAPE, TRAINING, live_data
from normlab.figures.training import figure_1
from normlab.pages.lottery import lottery_cells, lottery_picture, lottery_sentences
from normlab.pages.paper_figures import definitions
from normlab.pages.pictures import Picture
from normlab.pages.projection import answer, projection_cells, projection_picture
from normlab.pages.record_page import PICTURES
from normlab.pages.records import Record, scale
from normlab.pages.results import Results
from normlab.pages.sentences import data_sentence, finite_caption, smoothing
from normlab.pages.shell import named
from normlab.pages.standings import Standing, standings
from normlab.pages.story import check, claims_tables, story, too_few_seeds
from normlab.pages.verdicts import badge, cards

HERE = "#{id}"  # a claim of a page that has all of them


def front(
    results: Results,
    notebooks: Sequence[str],
    found: Sequence[Standing] | None = None,
    unfinished: str = "",
    own: Container[str] = (),
) -> str:
    """The index page of a study: the story and its claims, or, where seeds are too few for any, a check.

    Args:
        results: of the study.
        notebooks: the pages that exist beside it.
        found: where its claims stand, if that is known: a record's stand beside those of the other records.
        unfinished: what of a record is finished and what is not; empty where all is there.
        own: names of the figures of a record's own studies, which come first, as on its page on GitHub.
    """
    found = found or standings(results.claims, [], None)
    found = [one if one.page.removesuffix(".html") in notebooks else replace(one, page="") for one in found]
    reason = "" if unfinished else too_few_seeds(results.claims)
    pictures = first_pictures(results, own)
    if reason:
        body = check(found, reason, pictures, extent(results))
    else:
        told = story(found, pictures if unfinished else pictures[:1], extent(results), unfinished=unfinished)
        body = f"{told}\n{claims_tables(found)}\n{legend()}"
    return f"{body}\n{pages(notebooks)}"


def claims_front(record: Record) -> str:
    """The one page of a record without tables: the story, the picture that was kept, and a card a claim."""
    found = record.standings
    kept = "\n".join(
        f'<figure><img class="dots" alt="{html.escape(shows)}" src="data:image/png;base64,'
        f'{base64.b64encode((record.folder / name).read_bytes()).decode("ascii")}">\n'
        f"<figcaption><strong>{html.escape(heading)}.</strong> {html.escape(shows)}</figcaption></figure>"
        for name, (heading, shows) in PICTURES.items()
        if (record.folder / name).is_file()
    )
    rules = (
        f"<p class='notice'>Scored under the {html.escape(record.first_rules)}. Its tables were not kept, so only what "
        "does not rest on its runs has a present verdict; the cards below have the verdicts of that time.</p>"
        if record.first_rules
        else ""
    )
    return (
        f"{story(found, [kept], record.scale, HERE)}\n{rules}\n{claims_tables(found, HERE)}\n{legend()}\n"
        f"<h2>Every claim with its parts</h2>\n{cards(record.entries, '95 %').markup}"
    )


def first_pictures(results: Results, own: Container[str] = ()) -> list[str]:
    """The first two figures of which there is something to draw: those of `own`, then Figures 4 and 1, the projection
    ablation and what many seeds say of the paper's one, both with their sentences, and Figure 5(b)."""
    lottery, projection = lottery_picture(results), projection_picture(results)
    every = {
        "landscape": (landscape(results), ""),
        "training": (accuracy(results), ""),
        "projection": (projection, answer(projection_cells(results)).markup if projection.drawn else ""),
        "lottery": (lottery, lottery_sentences(lottery_cells(results)).markup if lottery.drawn else ""),
        "deep-linear": (deep_linear(results), ""),
    }
    shown = (every[name] for name in sorted(every, key=lambda name: name not in own))
    return [f"{picture._repr_html_()}{text}" for picture, text in shown if picture.drawn][:2]


def deep_linear(results: Results) -> Picture:
    """Figure 5(b)."""
    rows = results.measurements("dln", probe="history")
    return Picture(
        figure_5b(rows, results.spec.dln_learning_rate),
        f"{BAND} Dashed: the paper, one run.",
        "Training loss of the deep linear network",
        [figure_5b, *definitions(figure_5b, "06-deep-linear")],
    )


def landscape(results: Results) -> Picture:
    """Figure 4, the picture of the story."""
    rows = results.measurements(results.study, probe="landscape")
    bands = rows[rows["norm_layer"].isin(["none", "batch"])]
    return Picture(
        figure_4(rows, results.spec.learning_rate, eta_min_factor=min(results.grid("probe"))),
        f"Left and middle: band between the least and greatest value over the paper's step sizes. {BAND} "
        f"{LOGARITHMIC} {finite_caption(bands)} Dashed: the paper, one run.",
        "The landscape along the gradient, with and without BatchNorm",
        [figure_4, *definitions(figure_4, "index")],
        live_data(
            rows,
            LANDSCAPE,
            results.spec.learning_rate,
            ["none", "batch"],
            history=results.measurements(results.study, probe="history"),
            window=results.spec.window,
            paper_figure=4,
        ),
    )


def accuracy(results: Results) -> Picture:
    """Figure 1(a, b)."""
    rows = results.measurements(results.study, probe=["history", "test"])
    return Picture(
        figure_1(rows, results.spec.learning_rate, window=results.spec.window),
        f"{BAND} {smoothing(results.spec.window)} Dashed: the paper, one run.",
        "Train and test accuracy, with and without BatchNorm",
        [figure_1, *definitions(figure_1, "01-training")],
        live_data(
            rows,
            TRAINING,
            results.spec.learning_rate,
            ["none", "batch"],
            history=rows,
            window=results.spec.window,
            paper_figure=1,
        ),
    )


def extent(results: Results) -> str:
    """What was measured, in a sentence; of parameters without a grid and its lengths, the data."""
    params = results.params
    sections = {
        "grid": params.get("grid"),
        "train": params.get("train"),
        "dln": params.get("dln"),
        "dln_lottery": params.get("dln_lottery"),
        "analyze": params.get("analyze"),
    }
    present = {name: section for name, section in sections.items() if section is not None}
    return scale({**present, "data": results.manifest}) or data_sentence(results)


def legend() -> str:
    """What each verdict means, folded."""
    meanings = "".join(f"<li>{badge(verdict)} {html.escape(meaning)}</li>" for verdict, meaning in VERDICTS.items())
    return f"<details><summary>what the verdicts mean</summary><ul>{meanings}</ul></details>"


def pages(notebooks: Sequence[str]) -> str:
    """The list of the other pages."""
    items = "\n".join(
        f'<li><a href="{name}.html">{html.escape(short)}</a>{html.escape(f": {about}" if about else "")}</li>'
        for name, (short, about) in ((name, named(name)) for name in notebooks)
    )
    return f"<h2>Pages</h2>\n<ul>\n{items}\n</ul>"
