"""The English door: ``from aula.en import check, timeline``."""

from aula.check import Check
from aula.diagnose import Diagnose
from aula.kernel import be_honest
from aula.progress import Progress
from aula.timeline import Timeline
from aula.wiretap import Wiretap

__all__ = ["check", "diagnose", "progress", "timeline", "wiretap"]


class timeline(Timeline):
    __doc__ = Timeline.__doc__
    language = "en"


class wiretap(Wiretap):
    __doc__ = Wiretap.__doc__
    language = "en"


check = Check("en")
diagnose = Diagnose("en")
progress = Progress("en")
be_honest("en")
