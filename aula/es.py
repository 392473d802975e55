"""The Spanish door: ``from aula.es import check, timeline``."""

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
    language = "es"


class wiretap(Wiretap):
    __doc__ = Wiretap.__doc__
    language = "es"


check = Check("es")
diagnose = Diagnose("es")
fresh = Fresh("es")
progress = Progress("es")
be_honest("es")
