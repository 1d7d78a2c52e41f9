"""Pages and drawings that are made from the program itself, so that they cannot disagree with it.

mkdocs calls `on_files` before it builds the site.
"""

import argparse
import dataclasses
import io
from importlib import import_module
from pathlib import Path

from mkdocs.structure.files import File


def on_config(config):
    handler = config.plugins["mkdocstrings"].config.handlers["python"]
    extension = Path(__file__).with_name("docstrings.py")
    handler["options"]["extensions"] = [{str(extension): {}}]
    return config


def on_files(files, config):
    pages = {
        "images/detector.svg": drawing("detector_layout"),
        "images/signs.svg": drawing("axes_and_signs"),
        "reference/commands.md": commands(),
        "reference/recipe.md": recipe(),
        "reference/mask.md": mask(),
        "changelog.md": Path(config["config_file_path"]).with_name("CHANGELOG.md").read_text(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def drawing(name):
    """One of the explaining pictures as SVG, the same bytes each time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    from workbench import figures

    figure = getattr(figures, name)()
    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    return out.getvalue()


def commands():
    """Help of every verb, as the program prints it."""
    from workbench.cli import VERBS, Parser

    text = [
        "# Commands",
        "",
        "Long options may be written with hyphens or with underscores. A verb ends with status 0;",
        "with 1 and one line on standard error if it refuses; with 2 if it was called wrongly.",
        "",
    ]
    for verb, summary in VERBS.items():
        parser = Parser(
            prog=f"workbench {verb}", description=summary.capitalize() + ".",
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=92),
        )  # fmt: skip
        import_module(f"workbench.cli.{verb}").add_arguments(parser)
        text += [f"## workbench {verb}", "", "```text", parser.format_help().rstrip(), "```", ""]
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, inner in action.choices.items():
                    text += [f"### workbench {verb} {name}", "", "```text",
                             inner.format_help().rstrip(), "```", ""]  # fmt: skip
    return "\n".join(text)


def recipe():
    """Every setting with its default and its sentence."""
    from workbench.recipe import Recipe, recipe_to_text

    text = [
        "# The recipe",
        "",
        "Everything that decides a calibration, in one TOML file. Settings that are left out have",
        "their defaults; a setting that is not known is refused. Relative paths are relative to",
        "the recipe file. This is a recipe with all defaults:",
        "",
        "```toml",
        recipe_to_text(Recipe()).rstrip(),
        "```",
        "",
        "## Layers of the mask",
        "",
        "Layers are applied in their order, after the thresholds and the border. Each is a",
        "`[[mask.layers]]` table with its `kind`:",
        "",
    ]
    from workbench.recipe import mask as settings

    kinds = [
        value
        for value in vars(settings).values()
        if isinstance(value, type) and isinstance(getattr(value, "kind", None), str)
    ]
    for kind in kinds:
        summary = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
        text += [f"### {kind.kind}", "", summary, "", "| setting | default | meaning |",
                 "|---|---|---|"]  # fmt: skip
        for field in dataclasses.fields(kind):
            default = "" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
            doc = field.metadata.get("doc", "").replace("|", "\\|")
            text.append(f"| `{field.name}` | {default} | {doc} |")
        text.append("")
    return "\n".join(text)


def mask():
    """Rules with their bits, and the file formats."""
    from workbench.mask.formats import FORMATS
    from workbench.mask.rules import RULES

    text = [
        "# Mask: rules and files",
        "",
        "A pixel is good exactly if no rule removed it. Inside the workbench `True` is good.",
        "",
        "## Rules",
        "",
        "Bits of the reason word of a pixel (`Mask.reasons`); a bit keeps its meaning.",
        "",
        "| bit | name | removes a pixel that is |",
        "|---|---|---|",
    ]
    text += [f"| {rule.bit} | `{rule.name}` | {rule.text} |" for rule in RULES.values()]
    text += ["", "## File formats", "", "| name | endings | what it is |", "|---|---|---|"]
    text += [
        f"| `{name}` | {', '.join(f'`{ending}`' for ending in one.endings)} | {one.text} |"
        for name, one in FORMATS.items()
    ]
    text += ["", "Nothing in a mask file is ever executed when it is read, pickles included.", ""]
    return "\n".join(text)
