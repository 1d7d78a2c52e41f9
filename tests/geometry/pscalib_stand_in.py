"""Stand-in for LCLS's PSCalib, which Debian lacks, so that cctbx's two converters can run.

``cxi.cbfheader2slaccalib`` derives from `GeometryAccess`; its own code makes every number, and
this class writes them to the output as JSON, without PSCalib's rounding.
``cxi.slaccalib2cbfheader`` asks it for the rows of a file (in index order) and for the pixel
coordinates of a sensor.

    pscalib_stand_in.py cxi_cbfheader2slaccalib|cxi_slaccalib2cbfheader ARGUMENTS
"""

import json
import sys
import types
from importlib import import_module

import numpy as np

NUMBERS = ("x0", "y0", "z0", "rot_z", "rot_y", "rot_x", "tilt_z", "tilt_y", "tilt_x")


class GeometryObject:
    def __init__(self, **numbers):
        self.__dict__.update(numbers)

    def move_geo(self, dx, dy, dz):
        self.x0, self.y0, self.z0 = self.x0 + dx, self.y0 + dy, self.z0 + dz

    def get_list_of_children(self):
        return self.children

    def get_pixel_coords(self):
        column, row = np.arange(388.0), np.arange(185.0)
        x = 109.92 * np.where(column < 194, column - 195, column - 192)
        x, y = np.meshgrid(x, 109.92 * (92 - row))
        return x, y, np.zeros_like(x)


class GeometryAccess:
    pbits = 0

    def __init__(self, path):
        self.load_pars_from_file(path)

    def load_pars_from_file(self, path):
        with open(path) as file:
            rows = [line.split() for line in file if line.strip() and line[0] != "#"]
        places = {}
        for row in sorted(rows, key=lambda row: int(row[3])):
            numbers = dict(zip(NUMBERS, map(float, row[4:]), strict=True))
            one = GeometryObject(children=[], **numbers)
            places[row[2], row[3], row[0], row[1]] = one
        for (_, _, parent, index), one in places.items():
            above = [other for key, other in places.items() if key[:2] == (parent, index)]
            for other in above:
                other.children.append(one)
        top = next(row for row in rows if row[0] == "IP")
        self.top = places[top[2], top[3], "IP", "0"]

    def get_top_geo(self):
        return GeometryObject(children=[self.top], **dict.fromkeys(NUMBERS, 0.0))

    def get_pixel_scale_size(self):
        return 109.92

    def _set_relations(self):
        pass

    def save_pars_in_file(self, path):
        with open(path, "w") as file:
            json.dump([vars(one) for one in self.list_of_geos], file)


def install():
    module = types.ModuleType("PSCalib.GeometryAccess")
    module.GeometryAccess, module.GeometryObject = GeometryAccess, GeometryObject
    sys.modules["PSCalib"] = types.ModuleType("PSCalib")
    sys.modules["PSCalib.GeometryAccess"] = module


if __name__ == "__main__":
    install()
    import_module(f"xfel.command_line.{sys.argv[1]}").run(sys.argv[2:])
