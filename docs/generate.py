"""Pages and drawings that are made from the program itself, so that they cannot disagree with it.

mkdocs calls `on_files` before it builds the site.
"""

import argparse
import dataclasses
import functools
import inspect
import io
import re
import sys
from importlib import import_module
from pathlib import Path

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
from drawings import DRAWINGS


def on_config(config):
    handler = config.plugins["mkdocstrings"].config.handlers["python"]
    extension = Path(__file__).with_name("docstrings.py")
    handler["options"]["extensions"] = [{str(extension): {}}]
    return config


def on_files(files, config):
    pages = {f"images/{name}.svg": svg(name, figure) for name, figure in figures().items()}
    pages |= {
        "reference/python.md": python(),
        "reference/commands.md": commands(),
        "reference/recipe.md": recipe(),
        "reference/mask.md": mask(),
        "reference/geometry.md": geometry(),
        "changelog.md": Path(__file__).parents[1].joinpath("CHANGELOG.md").read_text("utf-8"),
    }
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown, **_):
    """Give each drawing its own alternative text."""
    from workbench.figures import alt_text

    known = {name: alt_text(figure) for name, figure in figures().items()}
    return re.sub(
        r"!\[drawing\]\(([\w/.]*?)images/([\w-]+)\.svg\)",
        lambda found: f"![{known[found[2]]}]({found[1]}images/{found[2]}.svg)",
        markdown,
    )


@functools.cache
def figures():
    """Every drawing by the name of its file."""
    from workbench import figures as house

    drawn = {name: draw() for name, draw in DRAWINGS.items()}
    return drawn | {"detector": house.detector_layout(), "signs": house.axes_and_signs()}


def svg(name, figure):
    """A figure as SVG, the same bytes each time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    return out.getvalue()


def python():
    """Every public name with its signature, its sentence, and the page that describes it."""
    import workbench as wb

    places = {}
    for page in sorted(Path(__file__).with_name("reference").glob("python/*.md")):
        for path in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.M):
            places[path.rpartition(".")[2]] = f"python/{page.name}#{path}"
    text = [
        "# Python",
        "",
        "Each name is `wb.NAME` after `import workbench as wb`. The pages have examples, which the",
        "tests run, and describe what lies deeper: `workbench.recipe`, `workbench.mask`,",
        "`workbench.geometry`, `workbench.pipeline`, `workbench.report`, `workbench.figures`.",
        "",
        "| name | what it is |",
        "|---|---|",
    ]
    for name in sorted(set(wb.__all__) - {"__version__"}, key=str.lower):
        value = getattr(wb, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            places[name] = f"python/errors.md#workbench.errors.{name}"
        place = places[name]  # a page has to describe it
        arguments = ""
        if not inspect.isclass(value):
            taken = inspect.signature(value).parameters
            arguments = "(" + ", ".join(taken) + ")"
        sentence = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
        text.append(f"| [`{name}{arguments}`]({place}) | {sentence.replace('|', '&#124;')} |")
    return "\n".join([*text, ""])


def commands():
    """Help of every verb, as the program prints it."""
    from workbench.cli import VERBS, Parser

    class RememberingParser(Parser):
        """Parser that remembers the verbs below it."""

        inner = None

        def add_subparsers(self, **options):
            self.inner = super().add_subparsers(**options)
            return self.inner

    text = [
        "# Commands",
        "",
        "Long options may be written with hyphens or with underscores. The exit status is 0; 1 if",
        "something is refused, with one line on standard error; 2 if the command line is wrong;",
        "130 after Ctrl-C.",
        "",
    ]
    for verb, summary in VERBS.items():
        parser = RememberingParser(
            prog=f"workbench {verb}", description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=lambda prog: argparse.HelpFormatter(prog, width=92),
        )  # fmt: skip
        import_module(f"workbench.cli.{verb}").add_arguments(parser)
        text += [f"## workbench {verb}", "", "```text", parser.format_help().rstrip(), "```", ""]
        for name, inner in parser.inner.choices.items() if parser.inner else ():
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


def geometry():
    """The formats of geometry files."""
    from workbench.geometry import FORMATS

    text = [
        "# Geometry: files",
        "",
        "The content of a file says which format is read, its ending in which one it is written,",
        "by `Geometry.read` and `Geometry.write` as by `workbench geometry convert`.",
        "",
        "| name | endings | what it is | read |",
        "|---|---|---|---|",
    ]
    text += [
        f"| `{known.name}` | {', '.join(f'`{ending}`' for ending in known.endings)} | "
        f"{known.text} | {'yes' if known.read else 'no'} |"
        for known in FORMATS
    ]
    text += [
        "",
        "A version such as `0-end.data.v3` is a SLAC file. psana reads that format, DIALS the CBF",
        "and `.expt` files, CrystFEL the `.geom`. A SLAC file keeps the tree of objects and its",
        "comments. CrystFEL and numpy files hold the places of panels or pixels only: read back,",
        "the groups are at their design places and the shifts are those of the modules.",
        "",
    ]
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
