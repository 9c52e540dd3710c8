"""State that every act of the demo works with."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

from lsloop import task_types
from lsloop.config import Config
from lsloop.demo.annotators import Annotator
from lsloop.demo.proof import World
from lsloop.demo.story import Report, Tell
from lsloop.labelstudio.client import LabelStudio
from lsloop.ledger import Ledger, projects, servers
from lsloop.records import Project
from lsloop.task_types import Kind

TASK_TYPE = "transcript_correction"
FIELD = "transcript"

ERROR_RATES = {"An": 0.02, "Binh": 0.1, "Chi": 0.3}
HABITS = {"skip_rate": 0.05, "edit_rate": 0.08, "delete_rate": 0.05}
LEAD, LEAD_ERRS = "Dung", 0.01


@dataclass(frozen=True)
class Scene:
    """State that every act works with.

    `said` is what is said in each clip; those in `gold` have a known answer.
    """

    config: Config
    ledger: Ledger
    studio: LabelStudio
    report: Report
    tell: Tell
    said: dict[str, str]
    gold: Collection[str]
    world: World

    @cached_property
    def project(self) -> Project:
        found = projects.find(
            self.ledger, TASK_TYPE, servers.spelled(self.ledger, self.config.label_studio_server)
        )
        assert found is not None
        return found

    @property
    def ls_project_id(self) -> int:
        assert self.project.ls_project_id is not None
        return self.project.ls_project_id

    @property
    def people(self) -> list[Annotator]:
        return [Annotator(name, rate, **HABITS, seed=self.report.seed) for name, rate in ERROR_RATES.items()]

    @property
    def lead(self) -> Annotator:
        return Annotator(LEAD, LEAD_ERRS, seed=self.report.seed)

    @property
    def kind(self) -> Kind:
        return task_types.load(TASK_TYPE)

    @property
    def without_probes(self) -> Config:
        """Return the settings without probes, for every push but the first.

        Which probe is drawn is chance, and would tell another story each time.
        """
        params = self.config.params
        none = params.gold.model_copy(update={"ratio": 0.0})
        return replace(self.config, params=params.model_copy(update={"gold": none}))
