"""Stand-in for LCLS's PSCalib, which Debian lacks: keeps what cctbx's converter gives it.

``cxi.cbfheader2slaccalib`` derives from `GeometryAccess`; its own code makes every number, and
this class writes them to the output as JSON, without PSCalib's rounding.
"""

import json
import sys
import types


class GeometryObject:
    def __init__(self, **numbers):
        self.__dict__.update(numbers)

    def move_geo(self, dx, dy, dz):
        self.x0, self.y0, self.z0 = self.x0 + dx, self.y0 + dy, self.z0 + dz


class GeometryAccess:
    pbits = 0

    def __init__(self, path):
        self.load_pars_from_file(path)

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
    from xfel.command_line import cxi_cbfheader2slaccalib

    cxi_cbfheader2slaccalib.run(sys.argv[1:])
