from .experiment import write_experiment as write_experiment
from .powder import powder_image as powder_image
