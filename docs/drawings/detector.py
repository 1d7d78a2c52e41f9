"""The detector: a sensor, its arrangements in arrays, its axes, its geometry."""

import numpy as np
from matplotlib.patches import Circle, Rectangle

from drawings.tools import DARK, arrow, box, canvas, words
from workbench.detectors import CSPAD
from workbench.figures.style import (
    BLUE,
    FAINT,
    GROUP_COLOURS,
    INK,
    ORANGE,
    VERMILLION,
    describe,
    group_colours,
    styled,
)

QUADRANT_COLOURS = group_colours(CSPAD)


@styled
def sensor():
    """One sensor with its two ASICs, the wide columns and the unbonded pixels."""
    figure, axes = canvas(9, 5.9, (-62, 452), (300, -48))
    for start, name in ((0, "ASIC 0"), (194, "ASIC 1")):
        axes.add_patch(
            Rectangle((start, 0), 194, 185, facecolor=f"{BLUE}1c", edgecolor=BLUE, lw=1.2)
        )
        words(axes, start + 132, 34, name, 13, INK, fontweight="bold")
        words(axes, start + 132, 54, "185 rows × 194 columns", 8.5, DARK)
        places = np.arange(0, 185, 10)
        axes.plot(start + places + 0.5, places + 0.5, "s", ms=2.6, color=VERMILLION)
    axes.add_patch(Rectangle((192.5, 0), 3, 185, facecolor=ORANGE, edgecolor="none"))
    axes.plot(2, 2, "o", ms=7, mfc="none", mec=INK)
    words(axes, -3, -12, "pixel (0, 0)", 9, ha="center")
    arrow(axes, (40, -20), (120, -20))
    words(axes, 126, -20, "column (fast): 0 … 387", 9, ha="left")
    arrow(axes, (-24, 20), (-24, 110))
    words(axes, -30, 64, "row (slow): 0 … 184", 9, ha="right", rotation=90)
    words(axes, 388, 200, "42.9 mm × 20.3 mm", 8.5, DARK, ha="right")
    arrow(axes, (300, 138), (322, 129), VERMILLION, width=1.0)
    words(axes, 296, 142, "unbonded pixels\n(10 k, 10 k), k = 0 … 18", 8.5, ha="right", va="center")
    # the seam, enlarged
    left, top, unit = 70, 226, 22
    arrow(axes, (194, 188), (194, 218), ORANGE, width=1.0)
    edges, columns = [left], (190, 191, 192, 193, 194, 195, 196, 197)
    for column in columns:
        width = 2.5 * unit if column in (193, 194) else unit
        wide = column in (193, 194)
        axes.add_patch(
            Rectangle(
                (edges[-1], top),
                width,
                26,
                facecolor=f"{ORANGE}55" if wide else f"{BLUE}1c",
                edgecolor=ORANGE if wide else BLUE,
            )
        )
        words(axes, edges[-1] + width / 2, top + 13, str(column), 8)
        edges.append(edges[-1] + width)
    words(axes, left + unit * 1.5, top + 40, "109.92 µm each", 8.5, DARK)
    words(axes, left + unit * 5.5, top + 40, "wide: 274.80 µm each", 8.5, DARK)
    words(axes, edges[4], top - 7, "ASIC 0", 8, DARK, ha="right")
    words(axes, edges[4] + 4, top - 7, "ASIC 1", 8, DARK, ha="left")
    words(
        axes,
        left,
        top + 60,
        "the seam, enlarged: both wide columns together span what five pixels span elsewhere",
        8.5,
        DARK,
        ha="left",
    )
    return describe(
        figure,
        "A sensor of 185 rows and 388 columns: ASIC 0 left, ASIC 1 right. Pixel (0, 0) is at the"
        " upper left, rows count downwards, columns to the right. Nineteen unbonded pixels lie on"
        " the diagonal of each ASIC. The two columns at the seam, 193 and 194, are 274.80"
        " micrometres wide, all others 109.92.",
    )


@styled
def layouts():
    """One array, three arrangements: psana's, the panels of a CBF, Cheetah's slab."""
    figure, axes = canvas(9, 4.2, (0, 900), (0, 420))

    def stack(x, y, count, width, height, names, split=False):
        for number in range(count):
            colour = GROUP_COLOURS[number * 4 // count]
            top = y - number * height
            axes.add_patch(
                Rectangle(
                    (x, top - height),
                    width,
                    height,
                    facecolor=f"{colour}33",
                    edgecolor=colour,
                    lw=0.6,
                )
            )
            if split:
                axes.plot([x + width / 2] * 2, [top - height, top], color=colour, lw=0.6)
            if number in names:
                words(axes, x + width + 8, top - height / 2, names[number], 7.5, DARK, ha="left")

    stack(40, 370, 32, 84, 9.5, {0: "0 = Q0 S0", 7: "7 = Q0 S7", 8: "8 = Q1 S0", 31: "31 = Q3 S7"})
    words(axes, 110, 398, "(32, 185, 388)", 11, fontweight="bold")
    words(axes, 110, 38, "everywhere in the workbench,\nand psana's (4, 8, 185, 388)", 8.5, DARK)
    stack(
        300,
        370,
        64,
        42,
        4.75,
        {0: "ARRAY_D0Q0S0A0", 1: "", 15: "ARRAY_D0Q0S7A1", 63: "ARRAY_D0Q3S7A1"},
    )
    words(axes, 380, 398, "(64, 185, 194)", 11, fontweight="bold")
    words(axes, 380, 38, "the panels of a CSPAD CBF,\nof a DIALS mask", 8.5, DARK)
    for quadrant, colour in enumerate(GROUP_COLOURS[:4]):
        for section in range(8):
            axes.add_patch(
                Rectangle(
                    (580 + 72 * quadrant, 332 - 36 * section),
                    72,
                    36,
                    facecolor=f"{colour}33",
                    edgecolor=colour,
                    lw=0.7,
                )
            )
            words(axes, 616 + 72 * quadrant, 350 - 36 * section, f"S{section}", 7, DARK)
        words(axes, 616 + 72 * quadrant, 376, f"Q{quadrant}", 9, fontweight="bold")
    words(axes, 724, 398, "(1480, 1552)", 11, fontweight="bold")
    words(
        axes,
        724,
        38,
        "Cheetah's slab (CXI files, CrystFEL):\nsensors down, quadrants across",
        8.5,
        DARK,
    )
    return describe(
        figure,
        "Three arrangements of the same pixels: 32 sensors of 185 by 388, quadrant by quadrant; 64"
        " ASICs of 185 by 194, named ARRAY_D0Q0S0A0 to ARRAY_D0Q3S7A1; and Cheetah's slab of 1480"
        " by 1552 with the eight sensors of a quadrant below each other and the quadrants side by"
        " side.",
    )


@styled
def frames():
    """The axes of psana, of CSPAD CBF files and of CrystFEL, seen against the beam."""
    figure, axes = canvas(9, 3.5, (0, 900), (0, 350))
    sets = [
        (
            150,
            "psana, SLAC geometry files",
            {"x": (0, -1), "y": (1, 0)},
            "z: towards the source",
            "out",
        ),
        (450, "CSPAD CBF (imgCIF)", {"x": (0, -1), "y": (1, 0)}, "z: towards the source", "out"),
        (750, "CrystFEL, as written here", {"x": (-1, 0), "y": (0, 1)}, "z: along the beam", "in"),
    ]
    for x, title, directions, z, sense in sets:
        y = 170
        for sign_x, sign_y, colour in (
            (1, 1, GROUP_COLOURS[0]),
            (1, -1, GROUP_COLOURS[1]),
            (-1, -1, GROUP_COLOURS[2]),
            (-1, 1, GROUP_COLOURS[3]),
        ):
            axes.add_patch(
                Rectangle(
                    (x + (6 if sign_x > 0 else -86), y + (6 if sign_y > 0 else -86)),
                    80,
                    80,
                    facecolor=f"{colour}18",
                    edgecolor=f"{colour}88",
                )
            )
        for place, name in (
            ((62, 62), "Q0"),
            ((62, -62), "Q1"),
            ((-62, -62), "Q2"),
            ((-62, 62), "Q3"),
        ):
            words(axes, x + place[0], y + place[1], name, 9, DARK)
        for name, (dx, dy) in directions.items():
            arrow(axes, (x, y), (x + 104 * dx, y + 104 * dy), INK, width=1.8)
            words(axes, x + 118 * dx, y + 118 * dy, name, 13, fontweight="bold")
        axes.add_patch(Circle((x, y), 9, facecolor="white", edgecolor=INK, lw=1.4, zorder=5))
        if sense == "out":
            axes.add_patch(Circle((x, y), 3, facecolor=INK, zorder=6))
        else:
            for slope in (1, -1):
                axes.plot(
                    [x - 6, x + 6], [y - 6 * slope, y + 6 * slope], color=INK, lw=1.2, zorder=6
                )
        words(axes, x, 324, title, 11, fontweight="bold")
        words(axes, x, 22, z, 9, DARK)
    return describe(
        figure,
        "Three detectors seen by someone who looks along the beam's return, that is as psana draws"
        " them. psana and CSPAD CBF files: x down, y right, z towards the source. CrystFEL files"
        " written here: x left, y up, z along the beam.",
    )


@styled
def tree():
    """The tree of a SLAC geometry file."""
    figure, axes = canvas(9, 3.9, (0, 900), (0, 390))
    for y, name, below in (
        (350, "IP 0", "where beam and sample meet"),
        (280, "RAIL 0", "z: distance on the rail"),
        (210, "CSPAD:V1 0", "the detector: x, y of the beam"),
    ):
        box(axes, 450, y, 250, 46, name, FAINT, 9.5, below)
    arrow(axes, (450, 326), (450, 304))
    arrow(axes, (450, 256), (450, 234))
    for quadrant, colour in enumerate(GROUP_COLOURS[:4]):
        x = 120 + 220 * quadrant
        box(
            axes,
            x,
            128,
            170,
            50,
            f"QUAD:V1 {quadrant}",
            colour,
            9.5,
            "moved by alignment",
            bold=True,
        )
        arrow(axes, (450, 186), (x, 154))
        for section in range(8):
            left = x - 84 + 21 * section
            axes.add_patch(Rectangle((left, 52), 18, 30, facecolor=f"{colour}22", edgecolor=colour))
            words(axes, left + 9, 67, f"{section}", 8)
        axes.plot([x - 75, x + 72], [92, 92], color=colour, lw=1)
        axes.plot([x, x], [92, 103], color=colour, lw=1)
        words(axes, x, 36, "SENS2X1:V1 0 … 7", 8, DARK)
    words(
        axes,
        450,
        10,
        "each line: parent, object, origin (µm) and rotations (°) in the parent's frame",
        9,
        DARK,
    )
    return describe(
        figure,
        "The tree of a SLAC geometry: IP, RAIL, CSPAD:V1, four quadrants QUAD:V1 0 to 3, each with"
        " eight sensors SENS2X1:V1 0 to 7. Alignment moves x and y of the quadrants.",
    )
