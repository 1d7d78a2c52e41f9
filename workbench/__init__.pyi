from .alignment import Alignment as Alignment
from .alignment import align_quadrants as align_quadrants
from .averages import RunImages as RunImages
from .averages import average_run as average_run
from .averages import merge_images as merge_images
from .errors import WorkbenchError as WorkbenchError
from .geometry import Geometry as Geometry
from .geometry import GeometryStore as GeometryStore
from .images import DetectorImage as DetectorImage
from .images import read_image as read_image
from .images import write_image as write_image
from .mask import Mask as Mask
from .mask import make_mask as make_mask
from .mask import read_mask as read_mask
from .mask import write_mask as write_mask
from .pipeline import open_frames as open_frames
from .pipeline import open_run as open_run
from .pipeline import run_recipe as run_recipe
from .recipe import AlignmentSettings as AlignmentSettings
from .recipe import Corrections as Corrections
from .recipe import MaskSettings as MaskSettings
from .recipe import Recipe as Recipe
from .recipe import Thresholds as Thresholds
from .recipe import read_recipe as read_recipe
from .recipe import write_recipe as write_recipe
from .ui import Workbench as Workbench

__version__: str
