"""Teachers: frozen vision-language models, and the prompts that adapt their image towers."""

from cg3d_training.teachers.choose import load_teacher
from cg3d_training.teachers.open_clip import ClipTeacher, load_open_clip
from cg3d_training.teachers.prompts import INITIALISATIONS, DeepPrompts, load_prompts
from cg3d_training.teachers.slip import load_slip, load_slip_state
from cg3d_training.teachers.teacher import Teacher
from cg3d_training.teachers.tokens import TokenTower

__all__ = [
    "INITIALISATIONS",
    "ClipTeacher",
    "DeepPrompts",
    "Teacher",
    "TokenTower",
    "load_open_clip",
    "load_prompts",
    "load_slip",
    "load_slip_state",
    "load_teacher",
]
