"""How the parts of the workbench fit together: the recipe, versions."""

from drawings.tools import DARK, arrow, box, canvas, words
from workbench.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    describe,
    styled,
)


@styled
def workflow():
    """The steps from raw runs to a new version, and the recipe that decides them all."""
    figure, axes = canvas(10, 3.4, (0, 1000), (0, 340))
    steps = [
        (95, "raw runs", "XTC files of\ndark and bright runs", FAINT),
        (297, "averages", "mean, noise and\nmaximum per pixel", BLUE),
        (499, "mask", "trusted pixels,\nreasons, counts", VERMILLION),
        (701, "quadrants", "four offsets ± σ\nfrom powder rings", GREEN),
        (903, "geometry", "new version,\nolder ones kept", PURPLE),
    ]
    for number, (x, name, below, colour) in enumerate(steps):
        box(axes, x, 250, 160, 96, name, colour, 11, below)
        if number:
            arrow(axes, (steps[number - 1][0] + 84, 250), (x - 84, 250))
    box(
        axes,
        600,
        110,
        770,
        56,
        "recipe: one small text file with everything that decides the result",
        ORANGE,
        10.5,
    )
    for x, *_ in steps[1:]:
        arrow(axes, (x, 140), (x, 198), ORANGE)
    for x, text in (
        (330, "edited by eye\nin JupyterLab"),
        (510, "run by a command\nor a batch job"),
        (690, "run by\na script"),
        (870, "told by a report\nwith a verdict"),
    ):
        words(axes, x, 34, text, 9, DARK)
        arrow(axes, (x, 56), (x, 80), DARK, "<|-|>", 1.0)
    return describe(
        figure,
        "Five steps in a row: raw runs, averages, mask, quadrants, geometry. A recipe decides all"
        " but the first; it is edited by eye in JupyterLab, run by commands or scripts and told by"
        " a report.",
    )


@styled
def floors():
    """The packages by floors; what stands above uses what is below."""
    figure, axes = canvas(9.4, 4.9, (0, 940), (0, 490))
    rooms = [
        ("faces", (("ui", BLUE), ("cli", BLUE), ("report", BLUE))),
        ("what the app knows", (("session", SKY),)),
        ("pictures", (("figures", PURPLE),)),
        ("recipe in, results out", (("pipeline", ORANGE),)),
        ("computations", (("averages", GREEN), ("mask", GREEN), ("alignment", GREEN))),
        ("files", (("images", VERMILLION), ("geometry", VERMILLION), ("corrections", VERMILLION))),
        ("raw data", (("runs", VERMILLION), ("constants", VERMILLION))),
        ("foundations", (("detectors", FAINT), ("recipe", FAINT), ("errors", FAINT),
                         ("progress", FAINT), ("provenance", FAINT), ("files", FAINT),
                         ("memory", FAINT))),
    ]  # fmt: skip
    for number, (name, packages) in enumerate(rooms):
        y = 456 - number * 59
        words(axes, 8, y, f"{len(rooms) - 1 - number}", 12, DARK, ha="left", fontweight="bold")
        words(axes, 34, y, name, 9, DARK, ha="left")
        width = 560 / len(packages) - 8
        for place, (package, colour) in enumerate(packages):
            box(axes, 190 + (place + 0.5) * 560 / len(packages), y, width, 42, package, colour,
                9 if len(packages) < 5 else 6.8)  # fmt: skip
    box(axes, 868, 254, 110, 46, "simulate", FAINT, 9)
    words(axes, 868, 214, "sample data,\nused by cli and tests", 8, DARK)
    arrow(axes, (775, 452), (775, 62), DARK)
    words(axes, 785, 440, "imports", 8.5, DARK, ha="left")
    return describe(
        figure,
        "Eight floors, imports go down: 7 ui, cli and report; 6 session; 5 figures; 4 pipeline;"
        " 3 averages, mask and alignment; 2 images, geometry and corrections; 1 runs and constants;"
        " 0 detectors, recipe, errors, progress, provenance, files and memory. Aside stands"
        " simulate.",
    )


@styled
def versions():
    """What deploying does to the files of the calibration directory."""
    figure, axes = canvas(9.4, 3.9, (0, 940), (0, 390))
    columns = [
        (120, "as found", [("0-end.data", "plain file", FAINT)], None),
        (
            400,
            "deployed",
            [
                ("0-end.data", "link", ORANGE),
                ("0-end.data.v0", "what was there", FAINT),
                ("0-end.data.v1", "the new one", GREEN),
            ],
            2,
        ),
        (
            720,
            "rolled back",
            [
                ("0-end.data", "link", ORANGE),
                ("0-end.data.v0", "what was there", FAINT),
                ("0-end.data.v1", "kept", GREEN),
            ],
            1,
        ),
    ]
    for number, (x, title, files, target) in enumerate(columns):
        words(axes, x, 366, title, 11, fontweight="bold")
        for place, (name, below, colour) in enumerate(files):
            box(axes, x, 300 - 92 * place, 170, 58, name, colour, 9.5, below)
        if target is not None:
            arrow(axes, (x + 87, 300), (x + 87, 300 - 92 * target), ORANGE, bend=-0.55, width=1.8)
            words(
                axes,
                x,
                44,
                "0-end.data.v0.json, .v1.json: who, when, why,\nSHA-256, recipe, inputs,"
                " quality\nHISTORY: one line for each switch",
                8,
                DARK,
            )
        if number:
            start = columns[number - 1][0] + (92 if number == 1 else 138)
            arrow(axes, (start, 206), (x - 96, 206), DARK)
            words(axes, (start + x - 96) / 2, 220, ("", "deploy", "rollback 0")[number], 9, DARK)
    words(axes, 120, 236, "psana reads this name", 8.5, DARK)
    return describe(
        figure,
        "Before: 0-end.data is a plain file. After a deployment it is a link to 0-end.data.v1, and"
        " what was there is kept as v0. After a rollback the link leads to v0 and v1 is kept. Side"
        " files record who, when, why, hash, recipe, inputs and quality; HISTORY has one line for"
        " each switch.",
    )
