"""The records beside each other: each question's leading claim in every one of them, and the studies of their own."""

from normlab.pages.answer import answers
from normlab.pages.markdown import markdown_table
from normlab.pages.record_page import study_link
from normlab.pages.records import FOLDER, Record
from normlab.pages.standings import Standing


def beside_each_other(record: Record) -> list[str]:
    """Lines of Markdown: a row a question that another record answers, a column a record; then the others' studies.

    Of each study there is the first sentence.

    Records that were scored under the first rules have no column, since their numbers are of other quantities; without
    any other record there is nothing to say.
    """
    others = [one for one in record.others if not one.first_rules]
    leads = {one.name: {each.question.text: each.lead for each in answers(one.standings)} for one in (record, *others)}
    shown = [one for one in others if any(lead.measured for lead in leads[one.name].values())]
    rows = [
        [f"{text} ({lead.quantity})", *(_said(leads[one.name].get(text)) for one in (record, *shown))]
        for text, lead in leads[record.name].items()
        if any(text in leads[one.name] and leads[one.name][text].measured for one in shown)
    ]
    if not rows:
        return []
    links = [f"[`{one.name}`]({page_from_root(one)})" for one in (record, *shown)]
    own = [
        f"- {study_link(name, page_from_root(one))}: {told.splitlines()[0].removeprefix('- ')}"
        for one in others
        for name, told in one.told.items()
    ]
    studies = ["**Studies of their own**", "", *own, ""] if own else []
    return ["**The same question in each record**", "", markdown_table(["", *links], rows), "", *studies]


def _said(lead: Standing | None) -> str:
    if lead is None or not lead.measured:
        return "–"
    return f"**{lead.verdict}**" if lead.group == "theory" else f"{lead.here}: **{lead.verdict}**"


def page_from_root(record: Record) -> str:
    """Where the record's page is, from the repository's root."""
    return (FOLDER / record.name / "README.md").as_posix()
