"""The English door: ``from aula.en import check, timeline``."""

from aula.diagnose import Diagnose
from aula.exercises.check import Check
from aula.exercises.progress import Progress
from aula.instruments.timeline import Timeline
from aula.instruments.wiretap import Wiretap
from aula.kernel import be_honest
from aula.versions import Fresh

__all__ = ["check", "diagnose", "fresh", "progress", "timeline", "wiretap"]


class timeline(Timeline):
    __doc__ = Timeline.__doc__
    language = "en"


class wiretap(Wiretap):
    __doc__ = Wiretap.__doc__
    language = "en"


check = Check("en")
diagnose = Diagnose("en")
fresh = Fresh("en")
progress = Progress("en")
be_honest("en")
